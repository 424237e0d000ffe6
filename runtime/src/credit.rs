//! Byte credits: what bounds the memory of what is read and not processed yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes a pipeline may have in flight. Whoever reads takes; the batch gives back when it is dropped.
#[derive(Clone, Debug)]
pub struct Credits(Arc<CreditState>);

#[derive(Debug)]
struct CreditState {
    budget: usize,
    taken: AtomicUsize,
    reader: std::sync::Mutex<Option<std::thread::Thread>>,
}

/// A share of [`Credits`], given back on drop.
#[derive(Debug)]
pub struct Credit {
    from: Credits,
    bytes: usize,
}

impl Credits {
    pub fn new(budget: usize) -> Self {
        Self(Arc::new(CreditState { budget, taken: AtomicUsize::new(0), reader: std::sync::Mutex::new(None) }))
    }

    /// The thread to wake when credit comes back.
    pub fn wake_on_return(&self, reader: std::thread::Thread) {
        if let Ok(mut slot) = self.0.reader.lock() {
            *slot = Some(reader);
        }
    }

    /// Bytes that may still be read. What is read may exceed it by one message: none is cut.
    pub fn available(&self) -> usize {
        self.0.budget.saturating_sub(self.in_flight())
    }

    pub fn in_flight(&self) -> usize {
        self.0.taken.load(Ordering::Acquire)
    }

    pub fn take(&self, bytes: usize) -> Credit {
        self.0.taken.fetch_add(bytes, Ordering::AcqRel);
        Credit { from: self.clone(), bytes }
    }
}

impl Credit {
    /// Another share of the same budget.
    pub fn again(&self, bytes: usize) -> Credit {
        self.from.take(bytes)
    }
}

impl Clone for Credit {
    fn clone(&self) -> Self {
        self.again(self.bytes)
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.from.0.taken.fetch_sub(self.bytes, Ordering::AcqRel);
        if let Ok(reader) = self.from.0.reader.lock()
            && let Some(thread) = reader.as_ref()
        {
            thread.unpark();
        }
    }
}

//! Waking a thread that waits: what comes before it waits counts too.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Wake {
    is_woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake {
    pub(super) fn wake(&self) {
        *self.is_woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Until woken since the last wait, at most so long.
    pub(super) fn wait(&self, at_most: Duration) {
        let woken = self.is_woken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(woken, at_most, |is_woken| !*is_woken);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

//! What is seen of a pipeline's calls from their threads: counts for the breaker, and the gap at a switch.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::breaker::{Breaker, Counts, Verdict};
use super::keeper::Order;
use crate::processor::CallReport;

/// Sees every call, and tells the keeper what it must know. Cheap to clone.
#[derive(Clone)]
pub struct Watch {
    now: Arc<Mutex<Now>>,
    orders: mpsc::UnboundedSender<Order>,
}

struct Now {
    /// Of the module that calls are made with; see `Ready::number`.
    number: u64,
    breaker: Option<Breaker>,
    /// Highest number of a call that ended, and when the last call ended.
    last: Option<(u64, Instant)>,
}

impl Watch {
    pub(super) fn new(number: u64, breaker: Option<Breaker>, orders: mpsc::UnboundedSender<Order>) -> Self {
        Self { now: Arc::new(Mutex::new(Now { number, breaker, last: None })), orders }
    }

    /// From now on only calls of this module count.
    pub(super) fn switched(&self, number: u64, breaker: Option<Breaker>) {
        let mut now = self.now();
        (now.number, now.breaker) = (number, breaker);
    }

    /// A call ended. Returns the time since the one before.
    pub fn called(&self, call: &CallReport<'_>) -> Option<Duration> {
        let (at, number) = (Instant::now(), call.ready.number());
        let mut now = self.now();
        let gap = now.last.map(|(_, before)| at.saturating_duration_since(before));
        let newest = now.last.map_or(number, |(newest, _)| newest.max(number));
        if now.last.is_some_and(|(newest, _)| number > newest) {
            let _ = self.orders.send(Order::Switched { number, gap: gap.unwrap_or_default() });
        }
        now.last = Some((newest, at));
        if number == now.number
            && let Some(verdict) = now.judge(Counts::of(call.messages, call.parts), at)
        {
            let _ = self.orders.send(Order::Tripped { number, verdict });
        }
        gap
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Now {
    fn judge(&mut self, counts: Counts, at: Instant) -> Option<Verdict> {
        self.breaker.as_mut()?.called(counts, at)
    }
}

//! Which host of a cluster is asked: the first in the order of the configuration, but for those that lately failed.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::{Class, Error};
use crate::metrics::Metrics;

/// The hosts of one cluster, and until when each is passed over.
pub(super) struct Hosts {
    names: Vec<String>,
    passed_over: Mutex<Vec<Option<Instant>>>,
    metrics: OnceLock<Metrics>,
}

/// Whether another host may do what one failed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Another {
    /// This one took nothing.
    Now,
    /// This one may have taken it, and whoever asked decides whether it is sent again: it goes elsewhere then.
    NextTime,
    /// Any host would say the same.
    No,
}

/// A host that failed is asked again after this long, if another is there.
const PASS_OVER: Duration = Duration::from_secs(10);

impl Hosts {
    pub(super) fn new(names: Vec<String>) -> Self {
        let passed_over = Mutex::new(vec![None; names.len()]);
        Self { names, passed_over, metrics: OnceLock::new() }
    }

    pub(super) fn report_to(&self, metrics: &Metrics) {
        self.metrics.get_or_init(|| metrics.clone());
    }

    /// All hosts; those that lately failed come last.
    pub(super) fn order(&self) -> Vec<usize> {
        let (now, passed_over) = (Instant::now(), self.passed_over());
        let mut order: Vec<usize> = (0..passed_over.len()).collect();
        order.sort_by_key(|index| passed_over[*index].is_some_and(|until| until > now));
        order
    }

    pub(super) fn answered(&self, index: usize) {
        if self.passed_over()[index].take().is_some() {
            tracing::info!(host = self.names[index], "host answers again");
        }
    }

    pub(super) fn failed(&self, index: usize, error: &Error) -> Another {
        let another = Another::after(error);
        if another == Another::No {
            return another;
        }
        let host = &self.names[index];
        if let Some(metrics) = self.metrics.get() {
            metrics.host_failed(host);
        }
        let known = self.passed_over()[index].replace(Instant::now() + PASS_OVER).is_some();
        if !known && self.names.len() > 1 {
            tracing::warn!(host, %error, again_after = ?PASS_OVER, "host failed, it is passed over");
        }
        another
    }

    fn passed_over(&self) -> MutexGuard<'_, Vec<Option<Instant>>> {
        self.passed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Another {
    fn after(error: &Error) -> Self {
        match error {
            Error::Connect { .. } | Error::Tls { .. } => Self::Now,
            Error::Exception { .. } if error.class() == Class::Replica => Self::Now,
            Error::Transport { .. } | Error::Answer { .. } | Error::Status { status: 500.., .. } => Self::NextTime,
            Error::Exception { .. } | Error::Status { .. } => Self::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(vec!["http://a".into(), "http://b".into()])
    }

    #[test]
    fn a_host_that_fails_is_the_last_resort_until_it_answers() {
        let (hosts, refused) = (hosts(), Error::Connect { host: "http://a".into(), cause: "refused".into() });
        assert_eq!(hosts.order(), [0, 1]);
        assert_eq!(hosts.failed(0, &refused), Another::Now);
        assert_eq!(hosts.order(), [1, 0]);
        assert_eq!(hosts.failed(1, &refused), Another::Now);
        assert_eq!(hosts.order(), [0, 1]);
        hosts.answered(1);
        assert_eq!(hosts.order(), [1, 0]);
    }

    #[test]
    fn what_may_have_been_taken_goes_elsewhere_next_time_and_what_all_refuse_stays() {
        let (hosts, host) = (hosts(), "http://a".to_owned());
        let refused = Error::Exception { host: host.clone(), code: 60, text: "no such table".into() };
        assert_eq!(hosts.failed(0, &refused), Another::No);
        assert_eq!(hosts.order(), [0, 1]);
        // Whether replicas confirm is the same, whichever is asked; in order, the rows stay where readers look first.
        for code in [285, 286, 319] {
            let unconfirmed = Error::Exception { host: host.clone(), code, text: "quorum".into() };
            assert_eq!(hosts.failed(0, &unconfirmed), Another::No);
        }
        let broken = Error::Transport { host, cause: "connection reset".into() };
        assert_eq!(hosts.failed(0, &broken), Another::NextTime);
        assert_eq!(hosts.order(), [1, 0]);
    }
}

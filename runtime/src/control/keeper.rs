//! How a pipeline's module is asked for, and what is seen of it from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use super::breaker::Verdict;
use super::fleet::{Fleet, Name, Report};
use super::keeping::{Keeping, Work};
use super::state::{Desired, Entry};
use super::{First, Orders};
use crate::load::Origin;

/// Takes orders for one pipeline. Cheap to clone.
#[derive(Clone)]
pub struct Keeper {
    orders: mpsc::UnboundedSender<Order>,
    view: watch::Receiver<View>,
    fleet: Option<(Fleet, Name)>,
}

/// What a pipeline runs and why.
#[derive(Clone, Debug, Serialize)]
pub struct View {
    pub pipeline: String,
    pub module: String,
    pub digest: String,
    pub source: String,
    pub pinned: bool,
    /// The last wish that was seen.
    pub desired: Desired,
    /// Why it does not run what is desired, or why it does not go on.
    pub why: Option<String>,
    /// Oldest first.
    #[serde(skip)]
    pub history: Vec<Entry>,
}

/// What may be asked of a pipeline's module.
#[derive(Clone, Debug)]
pub enum Ask {
    /// This one, of this digest if there is one.
    Load(Origin),
    /// The one before, or the last whose digest begins so.
    RollBack(Option<String>),
    Pin,
    Unpin,
    /// Go on with a pipeline that the breaker paused.
    Resume,
}

/// What a keeper does something about.
#[derive(Debug)]
pub enum Order {
    Asked(Ask, oneshot::Sender<Result<View, String>>),
    /// A call of a module ended that is newer than all before.
    Switched {
        number: u64,
        gap: Duration,
    },
    Tripped {
        number: u64,
        verdict: Verdict,
    },
}

impl Keeper {
    /// Starts keeping; ends when all keepers and watches of the pipeline are gone.
    pub(super) fn start(work: Work, first: First, orders: Orders) -> Self {
        let fleet = work.fleet.clone();
        let (keeping, view) = Keeping::new(work, first);
        tokio::spawn(keeping.keep(orders.1));
        Self { orders: orders.0, view, fleet }
    }

    /// Asks, and waits until it is done.
    ///
    /// # Errors
    /// Why it was refused, in one sentence.
    pub async fn ask(&self, ask: Ask) -> Result<View, String> {
        let (reply, replied) = oneshot::channel();
        let gone = || "the pipeline has ended".to_owned();
        self.orders.send(Order::Asked(ask, reply)).map_err(|_| gone())?;
        replied.await.map_err(|_| gone())?
    }

    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// What the processes of the fleet say, by member; empty without a control topic.
    pub fn reports(&self) -> BTreeMap<String, Report> {
        self.fleet.as_ref().map(|(fleet, name)| fleet.reports(name)).unwrap_or_default()
    }

    /// Takes back what this process said to the fleet.
    pub async fn leave(&self) {
        if let Some((fleet, name)) = &self.fleet {
            fleet.leave(name).await;
        }
    }
}

/// Enough of a digest for people.
pub fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

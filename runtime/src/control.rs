//! Which module each pipeline runs, and how that changes while it runs.
//!
//! ```text
//! state    what survives a restart: the wish, and what became of each change      one file a pipeline
//! keeper   how a pipeline's module is asked for and seen
//! keeping  carries out what is asked and wished, one at a time                    one task a pipeline
//! watch    sees every call: counts, and the gap at a switch                       on the processor's threads
//! breaker  when a module does too much harm                                       pure
//! fleet    wishes and reports in a compacted topic, for all processes of a group  one thread
//! ```

pub mod breaker;
mod fleet;
mod keeper;
mod keeping;
mod state;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::mpsc;

pub use fleet::{Fleet, FleetError, Name, Report};
pub use keeper::{Ask, Keeper, Order, View, short};
pub use state::{Because, Desired, Entry};
pub use watch::Watch;

use crate::load::{Fitted, Loader, Origin, Refusal};
use crate::processor::Switch;
use crate::status::PipelineStatus;
use breaker::Breaker;
use keeping::Work;
use state::{Folder, State};

/// The module that a pipeline begins with.
pub struct First {
    pub fitted: Fitted,
    runs: Desired,
    state: State,
    /// The fleet's last wish that is known, by its id.
    wish: Option<String>,
    /// Why it is not the one that should run.
    instead: Option<String>,
}

/// What is needed to keep a pipeline on its module.
#[derive(Clone)]
pub struct Control {
    pub loader: Loader,
    pub folder: PathBuf,
    pub fleet: Option<Fleet>,
}

impl Control {
    /// Loads what the pipeline should run: what the fleet or this process was told last, else what the configuration says.
    /// If that cannot be loaded, what ran last, and then what the configuration says.
    ///
    /// # Errors
    /// The first refusal, if nothing can be loaded.
    pub async fn first(&self, name: &Name) -> Result<First, Refusal> {
        let pipeline = name.pipeline.as_str();
        let mut state = Folder::new(self.folder.clone()).read(pipeline);
        let configured = self.loader.configured(pipeline);
        if state.configured != configured.to_string() {
            // Somebody changed the configuration since: that is the last word.
            state.desired = None;
            state.configured = configured.to_string();
        }
        if let Some(fleet) = &self.fleet {
            state.desired = fleet.desired(name).or(state.desired);
        }
        let ran = state.ran().next();
        let wish = state.desired.clone();
        let known = wish.as_ref().map(|wish| wish.id.clone());
        let origins = wish.iter().map(|wish| Origin::of(&wish.source, &wish.digest));
        let ran = ran.filter(|_| wish.is_some()).map(|entry| Origin::of(&entry.source, &entry.digest));
        let mut refusal = None;
        for origin in origins.chain(ran).chain([configured]) {
            match self.loader.load(pipeline, &origin).await {
                Ok(fitted) => return Ok(First::new(fitted, state, known, refusal)),
                Err(error) => {
                    tracing::error!(pipeline, source = origin.source, %error, "module refused at the start");
                    refusal.get_or_insert(error);
                }
            }
        }
        Err(refusal.expect("the configuration names a module, so something was tried"))
    }

    /// Starts keeping the pipeline, which has been started with the module of `first`.
    pub fn keep(&self, name: &Name, first: First, at: AtWork, status: PipelineStatus) -> Keeper {
        let work = Work {
            pipeline: name.pipeline.clone(),
            loader: self.loader.clone(),
            threads: at.threads,
            switch: at.switch,
            watch: at.watch,
            limits: at.limits,
            folder: Folder::new(self.folder.clone()),
            fleet: self.fleet.clone().map(|fleet| (fleet, name.clone())),
            status,
        };
        Keeper::start(work, first, at.orders)
    }
}

/// The keepers of a process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Keepers(Arc<Mutex<BTreeMap<String, Keeper>>>);

impl Keepers {
    pub fn add(&self, pipeline: &str, keeper: Keeper) {
        self.all().insert(pipeline.to_owned(), keeper);
    }

    pub fn get(&self, pipeline: &str) -> Option<Keeper> {
        self.all().get(pipeline).cloned()
    }

    /// In the order of the pipelines' names.
    pub fn list(&self) -> Vec<Keeper> {
        self.all().values().cloned().collect()
    }

    /// Takes back what this process said to the fleet.
    pub async fn leave(&self) {
        for keeper in self.list() {
            keeper.leave().await;
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Keeper>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A pipeline's processor at work, from where it can be changed.
pub struct AtWork {
    pub threads: usize,
    pub switch: Switch,
    pub watch: Watch,
    pub limits: Option<breaker::Limits>,
    pub orders: Orders,
}

/// The way of orders to a keeper: made before the calls that give them.
pub type Orders = (mpsc::UnboundedSender<Order>, mpsc::UnboundedReceiver<Order>);

impl First {
    fn new(fitted: Fitted, mut state: State, wish: Option<String>, refusal: Option<Refusal>) -> Self {
        let desired = state.desired.take().filter(|desired| desired.digest == fitted.digest());
        let runs = desired.unwrap_or_else(|| Desired::new(&fitted.source, &fitted.digest(), Because::Configured));
        if state.ran().next().is_none_or(|last| last.digest != runs.digest) {
            state.remember(Entry::of(&runs, Some(fitted.module.name()), None));
        }
        Self { fitted, runs, state, wish, instead: refusal.map(|refusal| refusal.to_string()) }
    }
}

/// Sees the calls of a pipeline that starts with the module of this number; see `Ready::number`.
pub fn watch(number: u64, limits: Option<breaker::Limits>, orders: &Orders) -> Watch {
    Watch::new(number, limits.map(Breaker::new), orders.0.clone())
}

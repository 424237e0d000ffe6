//! Keeps one pipeline on the module that it should run: one change at a time, and whatever fails leaves the module that
//! runs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

use super::First;
use super::breaker::{self, Breaker, Verdict};
use super::fleet::{Fleet, Name, Report};
use super::keeper::{Ask, Order, View, short};
use super::state::{Because, Desired, Entry, Folder, State};
use super::watch::Watch;
use crate::clock::now_ms;
use crate::load::{Fitted, Loader, Origin};
use crate::module_source::Stamp;
use crate::processor::Switch;
use crate::status::PipelineStatus;

/// A module at work, or that was.
struct Current {
    fitted: Fitted,
    desired: Desired,
    number: u64,
}

/// Everything about the module of one pipeline.
pub(super) struct Work {
    pub pipeline: String,
    pub loader: Loader,
    pub threads: usize,
    pub switch: Switch,
    pub watch: Watch,
    /// None: off.
    pub limits: Option<breaker::Limits>,
    pub folder: Folder,
    pub fleet: Option<(Fleet, Name)>,
    pub status: PipelineStatus,
}

/// The stage behind a [`Keeper`](super::Keeper).
pub(super) struct Keeping {
    work: Work,
    state: State,
    now: Current,
    before: Option<Fitted>,
    /// Fits, and waits until the wish for it comes back from the control topic.
    expected: BTreeMap<String, (Fitted, oneshot::Sender<Result<View, String>>)>,
    why: Option<String>,
    looked: Looked,
    /// Of the fleet, until keeping begins.
    wishes: Option<mpsc::UnboundedReceiver<Desired>>,
    shown: watch::Sender<View>,
}

/// What a watched source looked like.
#[derive(Default)]
struct Looked {
    stamp: Option<Stamp>,
    /// A file that changes is left alone until it is the same twice.
    changed: Option<Stamp>,
}

const LOOK: Duration = Duration::from_secs(1);
const REPORT: Duration = Duration::from_secs(10);

/// Under which the breaker holds a pipeline.
const STAGE: &str = "processor";

impl Keeping {
    pub(super) fn new(work: Work, first: First) -> (Self, watch::Receiver<View>) {
        let First { fitted, runs, mut state, wish, instead } = first;
        let number = work.switch.ready().number();
        state.desired.get_or_insert_with(|| runs.clone());
        let now = Current { fitted, desired: runs, number };
        let (shown, view) = watch::channel(View::of(&work.pipeline, &now, &state, instead.clone()));
        let (expected, before) = (BTreeMap::new(), None);
        let looked = Looked { stamp: now.fitted.stamp.clone(), changed: None };
        // What is wished for, or changes, from here on is not missed, however long the disk takes for the first state.
        let wishes = work.fleet.as_ref().map(|(fleet, name)| fleet.follow(name, wish.as_deref()));
        (Self { work, state, now, before, expected, why: instead, looked, wishes, shown }, view)
    }

    pub(super) async fn keep(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        self.keep_state().await;
        let mut wishes = self.wishes.take();
        let (mut look, mut report) = (tokio::time::interval(LOOK), tokio::time::interval(REPORT));
        loop {
            let wish = async {
                match &mut wishes {
                    Some(wishes) => wishes.recv().await,
                    None => None,
                }
            };
            tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => self.carry_out(order).await,
                    None => return,
                },
                Some(desired) = wish => self.follow(desired).await,
                _ = look.tick() => self.look().await,
                _ = report.tick() => self.report().await,
            }
            self.show();
        }
    }

    async fn carry_out(&mut self, order: Order) {
        match order {
            Order::Asked(ask, reply) => self.asked(ask, reply).await,
            Order::Switched { number, gap } if number == self.now.number => {
                let digest = &self.now.desired.digest;
                let entry = self.state.history.iter_mut().rev().find(|entry| entry.digest == *digest);
                if let Some(entry) = entry {
                    entry.gap_us = u64::try_from(gap.as_micros()).ok();
                }
                self.keep_state().await;
            }
            Order::Tripped { number, verdict } if number == self.now.number => self.tripped(verdict).await,
            Order::Switched { .. } | Order::Tripped { .. } => {}
        }
    }

    async fn asked(&mut self, ask: Ask, reply: oneshot::Sender<Result<View, String>>) {
        let pinned = &self.now.desired;
        if pinned.pinned && matches!(ask, Ask::Load(_) | Ask::RollBack(_)) {
            let text =
                format!("pipeline {:?} is pinned to {}; unpin it first", self.work.pipeline, short(&pinned.digest));
            return self.answer(reply, Err(text));
        }
        let (wish, fitted) = match self.wish_of(ask).await {
            Ok(Some(wish)) => wish,
            Ok(None) => return self.answer(reply, Ok(())),
            Err(why) => return self.answer(reply, Err(why)),
        };
        match self.work.fleet.clone() {
            // All processes take wishes in the order of the topic, this one too.
            Some((fleet, name)) => {
                self.expected.insert(wish.id.clone(), (fitted, reply));
                if let Err(error) = fleet.wish(&name, &wish).await
                    && let Some((_, reply)) = self.expected.remove(&wish.id)
                {
                    let text = format!("the control topic did not take it, and nothing has changed: {error}");
                    self.answer(reply, Err(text));
                }
            }
            None => {
                let done = self.switch_to(wish, fitted).await;
                self.answer(reply, done);
            }
        }
    }

    /// What is asked for, as a wish, with the module that fits; none where it is done already.
    async fn wish_of(&mut self, ask: Ask) -> Result<Option<(Desired, Fitted)>, String> {
        let now = &self.now;
        match ask {
            Ask::Load(origin) => self.fit(&origin, Because::Load).await.map(Some),
            Ask::RollBack(to) => {
                let entry = match &to {
                    Some(digest) => self.state.ran().find(|entry| entry.digest.starts_with(digest.as_str())),
                    None => self.state.ran().find(|entry| entry.digest != now.desired.digest),
                };
                let entry = entry.ok_or_else(|| match &to {
                    Some(digest) => format!(
                        "no module whose digest begins with {digest:?} ran in pipeline {:?}",
                        self.work.pipeline
                    ),
                    None => format!("no other module ran in pipeline {:?}", self.work.pipeline),
                })?;
                let origin = Origin::of(&entry.source, &entry.digest);
                self.fit(&origin, Because::Rollback).await.map(Some)
            }
            Ask::Pin | Ask::Unpin => {
                let again = Desired::new(&now.desired.source, &now.desired.digest, now.desired.because);
                let pinned = matches!(ask, Ask::Pin);
                Ok(Some((Desired { pinned, ..again }, now.fitted.clone())))
            }
            Ask::Resume => {
                self.work.watch.switched(now.number, self.work.limits.map(Breaker::new));
                self.work.switch.resume();
                self.work.status.clear(STAGE);
                self.why = None;
                Ok(None)
            }
        }
    }

    /// Fetches, compiles, compares and tests. What fails is kept in the history and changes nothing else.
    async fn fit(&mut self, origin: &Origin, because: Because) -> Result<(Desired, Fitted), String> {
        match self.work.loader.load(&self.work.pipeline, origin).await {
            Ok(fitted) => Ok((Desired::new(&fitted.source, &fitted.digest(), because), fitted)),
            Err(refusal) => {
                let digest = origin.digest.clone().unwrap_or_default();
                let why = refusal.to_string();
                self.refused(&Desired::new(&origin.source, &digest, because), &why).await;
                Err(why)
            }
        }
    }

    /// A wish of the fleet, also those of this process.
    async fn follow(&mut self, desired: Desired) {
        if self.state.desired.as_ref().is_some_and(|followed| followed.id == desired.id) {
            // This process wished for what it had done already.
            return;
        }
        let expected = self.expected.remove(&desired.id);
        let (fitted, reply) = match expected {
            Some((fitted, reply)) => (Ok(fitted), Some(reply)),
            None if desired.digest == self.now.desired.digest => (Ok(self.now.fitted.clone()), None),
            None => {
                let origin = Origin::of(&desired.source, &desired.digest);
                let loaded = self.work.loader.load(&self.work.pipeline, &origin).await;
                (loaded.map_err(|refusal| refusal.to_string()), None)
            }
        };
        let done = match fitted {
            Ok(fitted) => self.switch_to(desired, fitted).await,
            Err(why) => {
                self.refused(&desired, &why).await;
                self.state.desired = Some(desired);
                self.keep_state().await;
                Err(why)
            }
        };
        self.report().await;
        if let Some(reply) = reply {
            self.answer(reply, done);
        }
    }

    /// From the next call on.
    async fn switch_to(&mut self, desired: Desired, fitted: Fitted) -> Result<(), String> {
        if desired.digest != self.now.desired.digest {
            let ready = match self.work.loader.ready(&fitted, self.work.threads).await {
                Ok(ready) => ready,
                Err(refusal) => {
                    let why = refusal.to_string();
                    self.refused(&desired, &why).await;
                    return Err(why);
                }
            };
            let number = ready.number();
            let breaker = self.work.limits.map(|limits| match desired.because {
                Because::Breaker => Breaker::new(limits),
                _ => Breaker::on_probation(limits, Instant::now()),
            });
            self.work.watch.switched(number, breaker);
            self.work.switch.to(ready);
            self.work.status.clear(STAGE);
            self.work.status.module(fitted.module.name());
            fitted.report_to(&self.work.status);
            let (pipeline, module) = (&self.work.pipeline, fitted.module.name());
            tracing::info!(pipeline, module = module.name, version = module.version, digest = %module.digest, because = ?desired.because, "module switched to");
            let before = std::mem::replace(&mut self.now, Current { fitted, desired: desired.clone(), number });
            self.before = Some(before.fitted);
            self.state.remember(Entry::of(&desired, Some(self.now.fitted.module.name()), None));
            let stamp = match desired.because {
                // It was fetched some time ago, and its source has changed since.
                Because::Breaker => self.stamp().await,
                _ => self.now.fitted.stamp.clone(),
            };
            self.looked = Looked { stamp, changed: None };
        }
        self.now.desired = desired.clone();
        self.state.desired = Some(desired);
        self.why = None;
        self.keep_state().await;
        Ok(())
    }

    async fn tripped(&mut self, verdict: Verdict) {
        let (pipeline, digest) = (self.work.pipeline.clone(), short(&self.now.desired.digest).to_owned());
        match (verdict, self.before.take()) {
            (Verdict::RollBack(why), Some(before)) => {
                tracing::error!(pipeline, digest, why, "the module is rolled back: it does too much harm");
                let desired = Desired::new(&before.source, &before.digest(), Because::Breaker);
                self.refused(&self.now.desired.clone(), &format!("rolled back: {why}")).await;
                let done = self.switch_to(desired.clone(), before).await;
                self.work.status.last_error(&format!("module {digest} was rolled back: {why}"));
                if done.is_err() {
                    self.pause(&why);
                } else if let Some((fleet, name)) = self.work.fleet.clone() {
                    fleet.insist(name, desired);
                }
                self.why = Some(format!("module {digest} was rolled back: {why}"));
            }
            (Verdict::RollBack(why) | Verdict::Pause(why), before) => {
                self.before = before;
                self.pause(&why);
            }
        }
        self.report().await;
    }

    fn pause(&mut self, why: &str) {
        let pipeline = &self.work.pipeline;
        tracing::error!(pipeline, why, "paused: the module does too much harm, and there is none to go back to");
        self.work.switch.pause();
        let text = format!("paused: {why}; load another module, or `tidegate module resume {pipeline}`");
        self.work.status.hold(STAGE, &text);
        self.why = Some(text);
    }

    /// A watched source that changed is loaded, once it is the same for a second.
    async fn look(&mut self) {
        if self.now.desired.pinned {
            return;
        }
        let stamp = self.stamp().await;
        if stamp.is_none() || stamp == self.looked.stamp {
            return;
        }
        if self.looked.changed != stamp {
            self.looked.changed = stamp;
            return;
        }
        self.looked.stamp = stamp;
        let origin = Origin { source: self.now.desired.source.clone(), digest: None };
        let Ok((desired, fitted)) = self.fit(&origin, Because::Watch).await else { return self.report().await };
        if desired.digest == self.now.desired.digest {
            return;
        }
        match self.work.fleet.clone() {
            Some((fleet, name)) => fleet.insist(name, desired),
            None => drop(self.switch_to(desired, fitted).await),
        }
    }

    /// Of the source that should run.
    async fn stamp(&self) -> Option<Stamp> {
        self.work.loader.stamp(&self.work.pipeline, &self.now.desired.source).await
    }

    async fn refused(&mut self, desired: &Desired, why: &str) {
        let pipeline = &self.work.pipeline;
        tracing::warn!(pipeline, source = desired.source, why, "module refused, the one that runs goes on");
        self.state.remember(Entry::of(desired, None, Some(why.to_owned())));
        self.why = Some(why.to_owned());
        self.work.status.last_error(&format!("module refused: {why}"));
        self.keep_state().await;
    }

    async fn report(&self) {
        let Some((fleet, name)) = &self.work.fleet else { return };
        let module = self.now.fitted.module.name();
        let desired = self.state.desired.as_ref().unwrap_or(&self.now.desired);
        let report = Report {
            module: module.titled(),
            digest: module.digest.hex(),
            desired: desired.id.clone(),
            why: self.why.clone(),
            at_ms: now_ms(),
        };
        fleet.report(name, &report).await;
    }

    async fn keep_state(&self) {
        self.work.folder.write(&self.work.pipeline, &self.state).await;
    }

    fn show(&self) -> View {
        let view = View::of(&self.work.pipeline, &self.now, &self.state, self.why.clone());
        self.shown.send_replace(view.clone());
        view
    }

    fn answer(&self, reply: oneshot::Sender<Result<View, String>>, done: Result<(), String>) {
        let view = self.show();
        // Whoever asked may have gone away; what was done is done.
        let _ = reply.send(done.map(|()| view));
    }
}

impl View {
    fn of(pipeline: &str, now: &Current, state: &State, why: Option<String>) -> Self {
        let module = now.fitted.module.name();
        Self {
            pipeline: pipeline.to_owned(),
            module: module.titled(),
            digest: module.digest.hex(),
            source: now.desired.source.clone(),
            pinned: now.desired.pinned,
            desired: state.desired.clone().unwrap_or_else(|| now.desired.clone()),
            why,
            history: state.history.clone(),
        }
    }
}

//! The way of a message, stage by stage. Each stage is a function of an input and an output; what may wait between
//! two of them is on the edges:
//!
//! ```text
//!         bytes ≤ credits      calls ≤ 2 × threads       1 call            1 batch          n batches
//! source ────────────────▶ call ──────────────▶ answer ─────▶ accumulate ─────▶ write ──────────▶ settle
//!                                                                                │ ≤ n inserts      │ one at a time
//!                                                                                ▼                  ▼
//!                                                                            storages    dead letters, replacements
//!                                                                                        → commit → commit log
//! ```
//!
//! Calls and inserts overlap, what comes after them is in order; a batch carries its progress from end to end. A batch with
//! rewrites is written alone, and until it is committed nothing after it is.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::mpsc::{self, Receiver, Sender, UnboundedReceiver};

use crate::accumulate::{self, RowBatch, accumulate};
use crate::flow::{Flow, Sign};
use crate::metrics::PipelineMetrics;
use crate::outcome::Answered;
use crate::processor::Process;
use crate::publish::Publish;
use crate::recall::Recall;
use crate::settle::Settler;
use crate::share::Share;
use crate::sink::{Insert, Sinks, Writing};
use crate::source::{Commit, Event};

/// Everything a pipeline is made of.
pub struct Pipeline<P, I, C, B, L> {
    pub name: String,
    pub processor: P,
    pub calls_in_flight_max: usize,
    pub limits: accumulate::Limits,
    pub sinks: Sinks<I>,
    pub settler: Settler<C, B, L>,
    pub metrics: PipelineMetrics,
}

impl<P: Process, I: Insert, C: Commit, B: Publish, L: Recall> Pipeline<P, I, C, B, L> {
    /// Runs until the events end and all that was flushed is settled. Dropped before, it abandons what is not settled,
    /// uncommitted.
    pub async fn run(self, events: UnboundedReceiver<Event>) {
        let (called, calls) = mpsc::channel(self.calls_in_flight_max);
        let (answered, answers) = mpsc::channel(1);
        let (closed, batches) = mpsc::channel(1);
        let (started, writings) = mpsc::channel(self.sinks.in_flight_max());
        let share = self.settler.share.clone();
        tokio::join!(
            call(&self.processor, &self.metrics, events, called),
            answer(calls, answered),
            accumulate(self.name, self.limits, answers, closed),
            write(&self.sinks, &share, batches, started),
            self.settler.settle(writings),
        );
    }
}

type Call = BoxFuture<'static, Answered>;

/// Calls start in the order of the events and run side by side. While the processor is paused, nothing passes.
async fn call(
    processor: &impl Process,
    metrics: &PipelineMetrics,
    mut events: UnboundedReceiver<Event>,
    calls: Sender<Flow<Call>>,
) {
    while let Some(event) = events.recv().await {
        let Ok(place) = calls.reserve().await else { return };
        place.send(match event {
            Event::Messages(batch) => {
                metrics.read(&batch.progress());
                processor.ready().await;
                Flow::Data(Box::pin(processor.process(batch)))
            }
            Event::Assigned(assigned) => Flow::Sign(Sign::Assigned(assigned)),
            Event::Flush(flush) => Flow::Sign(Sign::Flush(flush)),
            Event::Revoked(revoked) => Flow::Sign(Sign::Revoked(revoked)),
        });
    }
}

/// Answers go on in the order of the calls.
async fn answer(mut calls: Receiver<Flow<Call>>, answers: Sender<Flow<Answered>>) {
    while let Some(flow) = calls.recv().await {
        let flow = match flow {
            Flow::Data(call) => Flow::Data(call.await),
            Flow::Sign(sign) => Flow::Sign(sign),
        };
        if answers.send(flow).await.is_err() {
            return;
        }
    }
}

/// Inserts start in the order of the batches, as many at a time as the sinks allow; a batch with rewrites has no other
/// beside it.
async fn write<I: Insert>(
    sinks: &Sinks<I>,
    share: &Arc<Share<impl Commit>>,
    mut batches: Receiver<Flow<RowBatch>>,
    writings: Sender<Flow<Writing>>,
) {
    while let Some(flow) = batches.recv().await {
        let flow = match flow {
            Flow::Data(batch) => Flow::Data(sinks.start(batch, share).await),
            Flow::Sign(sign) => Flow::Sign(sign),
        };
        if writings.send(flow).await.is_err() {
            return;
        }
    }
}

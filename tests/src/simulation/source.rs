//! The simulated consumer: reads in uneven bites, loses partitions and gets them back, and stops cleanly at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate::message::{MessageBatch, Parts};
use tidegate::offset::{Assignment, Partition};
use tidegate::source::{Assigned, Event, Flush};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::run::QUIET;
use super::world::{Kind, World, exists, kind};

/// Name of the topic read.
pub const TOPIC: &str = "events";

/// The header by which pipelines that share the source select; for one that is alone the source does it.
pub const SELECTED: (&str, &[u8]) = ("selected", b"yes");

/// One life of the consumer, from joining the group to leaving it.
pub struct Source {
    world: World,
    events: mpsc::UnboundedSender<Event>,
    held: BTreeMap<i32, (Assignment, i64)>,
}

/// How a life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is read and settled.
    Stopped,
    /// To be killed now, whatever it was doing.
    Crash,
}

impl Source {
    pub fn new(world: World, events: mpsc::UnboundedSender<Event>) -> Self {
        Self { world, events, held: BTreeMap::new() }
    }

    pub async fn live(&mut self) -> End {
        let partitions: Vec<i32> = (0..self.world.lock().faults.partitions).collect();
        self.assign(&partitions);
        loop {
            sleep(Duration::from_millis(self.world.pick(0..30))).await;
            if self.world.chance(|faults| faults.crash) {
                return End::Crash;
            }
            if self.world.chance(|faults| faults.revoke) {
                self.rebalance().await;
            }
            if !self.read() {
                break;
            }
        }
        // Heartbeats mend what processes that linger have said, and what comes late.
        sleep(QUIET).await;
        if self.flush(Duration::from_secs(3600)).await { End::Stopped } else { End::Crash }
    }

    fn assign(&mut self, partitions: &[i32]) {
        let mut assigned = Vec::new();
        {
            let mut state = self.world.lock();
            for number in partitions {
                state.assignment_last += 1;
                let assignment = Assignment(state.assignment_last);
                state.assignments.insert(*number, assignment);
                let committed = state.committed.get(number).cloned();
                let places = (0..state.of.len()).map(|of| state.place_of(*number, of));
                let position = places.min().expect("there is a pipeline");
                state.note(format!("assigned {TOPIC}/{number}@{position}"));
                self.held.insert(*number, (assignment, position));
                assigned.push(Assigned { partition: Partition::new(TOPIC, *number), assignment, position, committed });
            }
        }
        self.send(Event::Assigned(assigned));
    }

    /// Some partitions go away, with a drain that may not end in time, and come back.
    async fn rebalance(&mut self) {
        let leaving: Vec<i32> = self.held.keys().copied().filter(|_| self.world.pick(0..2) == 0).collect();
        let deadline = Duration::from_millis(self.world.pick(1..2000));
        if !self.flush(deadline).await {
            let mut state = self.world.lock();
            state.abandoned += 1;
            state.note("the drain did not end in time".into());
        }
        let mut revoked = Vec::new();
        for number in &leaving {
            let (assignment, _) = self.held.remove(number).expect("it was held");
            let mut state = self.world.lock();
            state.assignments.remove(number);
            state.note(format!("revoked {TOPIC}/{number}"));
            revoked.push((Partition::new(TOPIC, *number), assignment));
        }
        self.send(Event::Revoked(revoked));
        sleep(Duration::from_millis(self.world.pick(0..300))).await;
        self.assign(&leaving);
    }

    /// True if everything sent before was settled in time.
    async fn flush(&self, deadline: Duration) -> bool {
        let (done, answer) = oneshot::channel();
        self.send(Event::Flush(Flush { done }));
        matches!(timeout(deadline, answer).await, Ok(Ok(())))
    }

    /// Reads a bite of up to three runs. False at the end of the topic.
    fn read(&mut self) -> bool {
        let (end, alone) = {
            let state = self.world.lock();
            (state.faults.messages_per_partition, state.of.len() == 1)
        };
        let mut batch = MessageBatch::default();
        for _ in 0..self.world.pick(1..4) {
            let open: Vec<i32> = self.held.iter().filter(|(_, (_, at))| *at < end).map(|(number, _)| *number).collect();
            if open.is_empty() {
                break;
            }
            let number = open[self.world.pick(0..open.len() as u64) as usize];
            let count = self.world.pick(1..9) as i64;
            let (assignment, position) = self.held.get_mut(&number).expect("it is held");
            let start = *position;
            *position = (start + count).min(end);
            batch.begin_run(Partition::new(TOPIC, number), *assignment, start);
            for offset in (start..*position).filter(|offset| exists(*offset)) {
                let timestamp_ms = 1_700_000_000_000 + offset;
                let selected = kind(offset) != Kind::Unselected;
                if !selected && alone {
                    batch.pass_over(offset, timestamp_ms);
                    continue;
                }
                let headers: &[(&str, &[u8])] = if selected { &[SELECTED] } else { &[] };
                batch.push(Parts { offset, timestamp_ms, payload: Some(b"{}"), headers, ..Parts::default() });
            }
        }
        let read = !batch.runs.is_empty();
        if read {
            self.send(Event::Messages(batch));
        }
        read
    }

    fn send(&self, event: Event) {
        self.events.send(event).expect("the pipeline lives as long as its source");
    }
}

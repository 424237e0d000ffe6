//! A position that is not in the topic: decided by the policy, told, counted, and never passed over in silence.

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::group::{Callbacks, Group};
use super::{Error, Reset};
use crate::offset::Range;

impl Group {
    /// Goes on where the policy says, in what the topic has of the partition. That becomes a stay of its own: positions may
    /// run backwards here, and what was read before may not be committed as a part of it.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if the policy is to stop, and any other if the client refuses.
    pub(super) fn begin_anew(&self, consumer: &BaseConsumer<Callbacks>, number: i32, has: Range) -> Result<(), Error> {
        let Some(position) = self.held().get(&number).map(|held| held.position) else { return Ok(()) };
        let partition = self.partition(number);
        let Some(goes_on) = goes_on(self.settings.out_of_range, position, has) else {
            let group = self.settings.group.clone();
            return Err(Error::OutOfRange { partition, group, position, has });
        };
        let jumped_over = (goes_on - position).max(0);
        tracing::warn!(%partition, position, topic_has = %has, goes_on, jumped_over, "position out of range");
        self.observers.tell(|metrics, _| metrics.jumped_over(&partition, jumped_over.unsigned_abs()));
        let failed = |cause: String| Error::Read { topic: self.topic.to_string(), cause };
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, number);
        self.let_go([number]);
        consumer.incremental_unassign(&list).map_err(|error| failed(error.to_string()))?;
        self.take_on(&mut list, vec![(number, goes_on, None)])?;
        consumer.incremental_assign(&list).map_err(|error| failed(error.to_string()))?;
        // Not before: when the client stops a partition it takes it out of our queue, some time after it has answered. It
        // serves requests in their order, so that is done when the next one is answered. What came since waits in the
        // partition's own queue: one that we have led away once, the client does not lead to the consumer's.
        self.take_in(consumer, &[number])
    }
}

/// `None`: somebody has to decide. A position that is there after all was ahead of what the broker knew of its end.
fn goes_on(policy: Reset, position: i64, has: Range) -> Option<i64> {
    match policy {
        _ if (has.start..=has.end).contains(&position) => Some(position),
        Reset::Earliest => Some(has.start),
        Reset::Latest => Some(has.end),
        Reset::Error => None,
    }
}

/// For the text of the error: what became of the messages.
pub(super) fn what_happened(position: i64, has: Range) -> String {
    if position < has.start {
        format!("{} messages were deleted before they were read", has.start - position)
    } else {
        "the topic was made anew, or lost its end".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_decides_only_what_is_out_of_range() {
        let has = Range::new(100, 200);
        for policy in [Reset::Earliest, Reset::Latest, Reset::Error] {
            for position in [100, 150, 200] {
                assert_eq!(goes_on(policy, position, has), Some(position));
            }
        }
        for position in [99, 201] {
            assert_eq!(goes_on(Reset::Earliest, position, has), Some(100));
            assert_eq!(goes_on(Reset::Latest, position, has), Some(200));
            assert_eq!(goes_on(Reset::Error, position, has), None);
        }
    }

    #[test]
    fn the_error_says_what_is_there_and_the_way_out() {
        let (partition, group) = (crate::offset::Partition::new("events", 3), "consumers".to_owned());
        let error = Error::OutOfRange { partition, group, position: 1042, has: Range::new(2000, 3000) };
        let text = error.to_string();
        for part in [
            "failed to read events/3@1042: the topic has [2000..3000) there, 958 messages were deleted",
            "\n\nhint: ",
            "`out_of_range: earliest` goes on at 2000",
            "`out_of_range: latest` at 3000",
            "group \"consumers\"",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}

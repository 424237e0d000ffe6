"""What a commit log has said so far: the highest record of every key, whether its end has been reached, and which
topics the records are about. Records may come in any order, doubled, and from several partitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.record import Key, Record


class Mark(NamedTuple):
    """How far a group has written a partition.

    Ordered by epoch, then by position, so that a group can go back on purpose and a late record of an earlier life
    changes nothing.
    """

    epoch: int
    position: int
    """Everything before it is written."""


class Rewind(NamedTuple):
    """A higher epoch with a lower position: the group has gone back on purpose."""

    start: int
    end: int


@dataclass(slots=True)
class Watermarks:
    """The commit log as a table. It holds keys of all groups it is told of."""

    marks: dict[Key, dict[str | None, Mark]] = field(default_factory=dict)
    """By what the records call their topic; `None` for records that do not."""
    topics: dict[str, str] = field(default_factory=dict)
    """The topics that have the names now, by id."""
    partitions: int = 0
    ended: set[int] = field(default_factory=set)

    def set_partitions(self, count: int) -> None:
        """So many partitions has the commit log; 0 when it is not there."""
        self.partitions = count
        self.ended = {partition for partition in self.ended if partition < count}

    def end(self, partition: int) -> None:
        """A partition of the commit log has been read to the end that it had."""
        if 0 <= partition < self.partitions:
            self.ended.add(partition)

    def is_loaded(self) -> bool:
        """Whether all partitions have been read to their end.

        Before that nothing may be opened: a later record may say less than an earlier one (invariant 8).
        """
        return 0 < self.partitions == len(self.ended)

    def record(self, record: Record) -> Rewind | None:
        """Merges by maximum, so that order, doubling and the way it came do not matter (invariants 6 and 7)."""
        key, read = record.about, Mark(record.epoch, record.offset)
        before = self.mark(key)
        of_topic = self.marks.setdefault(key, {})
        of_topic[record.topic_id] = max(read, of_topic.get(record.topic_id, read))
        after = self.mark(key)
        if before is not None and after is not None and after.position < before.position:
            return Rewind(before.position, after.position)
        return None

    def forget(self, key: Key) -> None:
        """A record without a value: the key is known no longer."""
        self.marks.pop(key, None)

    def set_topic(self, topic: str, topic_id: str | None) -> None:
        """The topic of this name has this id now; `None` when that must be asked for again."""
        if topic_id is None:
            self.topics.pop(topic, None)
        else:
            self.topics[topic] = topic_id

    def mark(self, key: Key) -> Mark | None:
        """The highest mark of a key.

        Once any record of a key names its topic by id, only those that name the topic that is there now count
        (invariant 14).
        """
        of_topic = self.marks.get(key, {})
        if not self.names_topic(key):
            return of_topic.get(None)
        topic_id = self.topics.get(key.topic)
        return None if topic_id is None else of_topic.get(topic_id)

    def names_topic(self, key: Key) -> bool:
        """Whether records of this key say which topic they are about."""
        return any(topic_id is not None for topic_id in self.marks.get(key, ()))

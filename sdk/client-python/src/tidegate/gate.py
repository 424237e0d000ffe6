"""How far a group may be believed to have written: what the commit log says, repaired by what the group has committed.

`Follower` and `Waiters` both ask here; nothing else decides what is written. With repair on, a key opens only after the
group itself was asked once (Kafka's OffsetFetch, without joining it):

| the group has committed | compared with the mark when it was asked | believed |
|---|---|---|
| no less | of the same epoch as now | the higher of both: a lost record is made good (invariant 12) |
| less, or nothing | of the same epoch as now | what is committed: the group went back, or the topic was made anew |
| anything | of an earlier epoch | the mark: the answer is older than the record |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from tidegate.record import Key, Record
from tidegate.watermark import Mark, Rewind, Watermarks


class LogPartitions(NamedTuple):
    """So many partitions has the commit log."""

    partitions: int


class LogEnd(NamedTuple):
    """This partition of the commit log has been read to its end."""

    partition: int


class Tombstone(NamedTuple):
    """A key without a value: it is forgotten."""

    key: Key


class Topic(NamedTuple):
    """The topic of this name has this id."""

    name: str
    id: str


class Committed(NamedTuple):
    """What the group has committed, asked for by an `Ask`; `None` if nothing."""

    key: Key
    position: int | None


class AskFailed(NamedTuple):
    """What was asked for could not be learnt."""

    key: Key


Fact = LogPartitions | LogEnd | Record | Tombstone | Topic | Committed | AskFailed
"""Something learnt about the commit log, the topics or the groups."""


class Ask(NamedTuple):
    """What has this group committed? A `Committed` or `AskFailed` must follow."""

    key: Key


class Describe(NamedTuple):
    """What id has this topic? A `Topic` should follow where the broker knows."""

    topic: str


class Touched(Enum):
    """Which keys a fact may have changed, if it is not one of them."""

    NOTHING = 0
    EVERYTHING = 1


@dataclass(slots=True)
class _Asked:
    mark: Mark | None
    at_ms: int
    is_open: bool = True
    """No answer yet; there is one question at a time."""
    is_void: bool = False
    """The answer is about an earlier assignment, and is passed over."""


class _Answer(NamedTuple):
    mark: Mark | None
    """What the commit log said when the question was asked."""
    committed: int | None

    def is_below(self) -> bool:
        """Nothing committed is less than any position."""
        return self.mark is not None and (self.committed is None or self.committed < self.mark.position)


class Gate:
    """Closed by default (invariant 5): `position` is none until the log is loaded and the key is known."""

    def __init__(self, repair_ms: int | None) -> None:
        """With `repair_ms`, so many milliseconds lie between two questions; with none, groups are never asked."""
        self._watermarks = Watermarks()
        self._repair_ms = repair_ms
        self._asked: dict[Key, _Asked] = {}
        self._answers: dict[Key, _Answer] = {}
        # Keys whose records may be about an earlier topic of the name, and the epoch that would prove them newer.
        self._doubted: dict[Key, int] = {}

    def learn(self, fact: Fact) -> tuple[Touched | Key, Rewind | None]:
        """Takes a fact. Says what it may have changed, and whether a record took something back."""
        match fact:
            case Record():
                return fact.about, self._watermarks.record(fact)
            case LogPartitions(count):
                return self._loading(lambda: self._watermarks.set_partitions(count)), None
            case LogEnd(partition):
                return self._loading(lambda: self._watermarks.end(partition)), None
            case Tombstone(key):
                self._watermarks.forget(key)
                return key, None
            case Topic(name, topic_id):
                self._watermarks.set_topic(name, topic_id)
                return Touched.EVERYTHING, None
            case Committed(key, position):
                return self._answered(key, position), None
            case AskFailed(key):
                if asked := self._asked.get(key):
                    asked.is_open = False
                return Touched.NOTHING, None

    def _loading(self, change: Callable[[], None]) -> Touched:
        """The end of a partition is reached again after every record; only the first time opens anything."""
        before = self.is_loaded()
        change()
        return Touched.NOTHING if self.is_loaded() == before else Touched.EVERYTHING

    def _answered(self, key: Key, committed: int | None) -> Touched | Key:
        asked = self._asked.get(key)
        if asked is None or not asked.is_open:
            return Touched.NOTHING
        asked.is_open = False
        if asked.is_void:
            del self._asked[key]
            return Touched.NOTHING
        self._answers[key] = _Answer(asked.mark, committed)
        return key

    def position(self, key: Key) -> int | None:
        """Everything before it is written by the group of the key; none when that is not known."""
        if not self._watermarks.is_loaded():
            return None
        mark = self._watermarks.mark(key)
        if self._repair_ms is None:
            return mark.position if mark is not None and self._is_believed(key, mark) else None
        answer = self._answers.get(key)
        if answer is None:
            return None
        if _epoch(mark) != _epoch(answer.mark):
            return None if mark is None else mark.position
        if answer.is_below() or mark is None:
            return answer.committed
        return mark.position if answer.committed is None else max(answer.committed, mark.position)

    def committed_below(self, key: Key) -> tuple[int | None, int] | None:
        """What the group has committed, and the higher position that the commit log said before.

        It has gone back, or the topic was made anew. None when all is well.
        """
        answer = self._answers.get(key)
        if answer is None or answer.mark is None or not answer.is_below():
            return None
        return answer.committed, answer.mark.position

    def _is_believed(self, key: Key, mark: Mark) -> bool:
        epoch = self._doubted.get(key)
        return epoch is None or mark.epoch > epoch or self._watermarks.names_topic(key)

    def ask(self, key: Key, now_ms: int, *, wanted: bool) -> bool:
        """Whether the group shall be asked now; then an answer or a failure must follow.

        `wanted` says that the key holds somebody up; a key is asked for once in any case.
        """
        if self._repair_ms is None or not self._watermarks.is_loaded():
            return False
        asked = self._asked.get(key)
        if asked is not None:
            wanted = wanted or key not in self._answers
            if asked.is_open or not wanted or now_ms - asked.at_ms < self._repair_ms:
                return False
        self._asked[key] = _Asked(self._watermarks.mark(key), now_ms)
        return True

    def unconfirm(self, key: Key) -> None:
        """What the group said is worth nothing any more: it must be asked again before the key opens."""
        self._answers.pop(key, None)
        asked = self._asked.get(key)
        if asked is not None and asked.is_open:
            asked.is_void = True
        else:
            self._asked.pop(key, None)

    def doubt(self, key: Key) -> None:
        """The topic may be another one than the records are about.

        Only a record of a higher epoch, a topic's id or the group itself can say.
        """
        self.unconfirm(key)
        mark = self._watermarks.mark(key)
        if mark is not None:
            self._doubted[key] = mark.epoch

    def forget_topic(self, topic: str) -> None:
        """The id of the topic must be learnt again."""
        self._watermarks.set_topic(topic, None)

    def is_loaded(self) -> bool:
        """Whether the commit log has been read to its end."""
        return self._watermarks.is_loaded()


def _epoch(mark: Mark | None) -> int | None:
    return None if mark is None else mark.epoch

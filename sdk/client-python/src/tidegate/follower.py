"""The synchronized consumer as a state machine: facts and messages in, deliveries out.

No I/O, no clock but the one that is passed in. The numbers are the invariants in `sdk/client/README.md`. Whoever
drives it gives it messages only of partitions that are `readable`, and does what comes out. A message that is not
written yet stays in the hand of the driver, one per partition, until a `Deliver` or `Drop` of it comes out: no other
partition waits (11).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tidegate.gate import (
    Ask,
    AskFailed,
    Committed,
    Describe,
    Fact,
    Gate,
    LogEnd,
    LogPartitions,
    Tombstone,
    Topic,
    Touched,
)
from tidegate.partition import Partition
from tidegate.record import Key, Record
from tidegate.watermark import Rewind


class Assigned(NamedTuple):
    """These partitions are ours from now on."""

    partitions: Sequence[Partition]


class Revoked(NamedTuple):
    """These are not ours any more."""

    partitions: Sequence[Partition]


class Read(NamedTuple):
    """The next message of a readable partition."""

    partition: Partition
    offset: int


class Pause(NamedTuple):
    """The user wants nothing of these until they are resumed. It holds for one assignment."""

    partitions: Sequence[Partition]


class Resume(NamedTuple):
    """The user wants these again."""

    partitions: Sequence[Partition]


class Tick(NamedTuple):
    """Time has passed."""


Input = Fact | Assigned | Revoked | Read | Pause | Resume | Tick


class Deliver(NamedTuple):
    """The message just read or in hand goes to the user."""

    partition: Partition
    offset: int


class Hold(NamedTuple):
    """The message just read stays in hand; the partition is not readable."""

    partition: Partition
    offset: int


class Drop(NamedTuple):
    """The message just read or in hand is thrown away: its partition is not ours."""

    partition: Partition
    offset: int


class Rewound(NamedTuple):
    """A record of a higher epoch has taken back what was said: rows after `end` are being made anew."""

    key: Key
    start: int
    end: int


class CommittedBelow(NamedTuple):
    """The group has committed less than its records said: it went back by hand, or the topic was made anew.

    Only what is committed is delivered.
    """

    key: Key
    committed: int | None
    recorded: int


class WentBack(NamedTuple):
    """The partition's messages went back: the topic was made anew, or positions were reset. Closed until confirmed."""

    partition: Partition
    offset: int
    expected: int


Report = Rewound | CommittedBelow | WentBack
"""What somebody should know of."""

Output = Deliver | Hold | Drop | Ask | Describe | Rewound | CommittedBelow | WentBack


class _InHand(NamedTuple):
    offset: int
    since_ms: int


@dataclass(slots=True)
class _Held:
    """A partition that is ours."""

    watermark: int = 0
    """Everything before it is written by all groups; 0 is closed."""
    next: int = 0
    """No message before it may come any more."""
    is_paused: bool = False
    in_hand: _InHand | None = None

    def is_readable(self) -> bool:
        return not self.is_paused and self.in_hand is None


class Follower:
    """See the module's text."""

    def __init__(self, groups: Sequence[str], repair_ms: int | None) -> None:
        """Follows all of these groups: a message is delivered when the last of them has written it.

        With `repair_ms`, groups are asked what they have committed before a partition opens, and again when a message
        has been in hand for so many milliseconds (12). Raises `ValueError` without groups: there would be nothing to
        wait for.
        """
        if not groups:
            raise ValueError("a synchronized consumer follows at least one group")
        self._groups = tuple(groups)
        self._repair_ms = repair_ms
        self._gate = Gate(repair_ms)
        # Sorted.
        self._assigned: dict[Partition, _Held] = {}
        self._now_ms = 0

    def handle(self, given: Input, now_ms: int) -> list[Output]:
        """Takes one input, at a time in milliseconds that never goes back.

        What comes out is in the order in which it has to be done.
        """
        self._now_ms = max(self._now_ms, now_ms)
        out: list[Output] = []
        match given:
            case Read(partition, offset):
                self._read(partition, offset, out)
            case Assigned(partitions):
                self._assign(partitions, out)
            case Revoked(partitions):
                self._revoke(partitions, out)
            case Pause(partitions):
                self._set_paused(partitions, True, out)
            case Resume(partitions):
                self._set_paused(partitions, False, out)
            case Tick():
                self._ask_all(out)
            case LogPartitions() | LogEnd() | Record() | Tombstone() | Topic() | Committed() | AskFailed():
                self._learn(given, out)
        return out

    def readable(self) -> Iterator[Partition]:
        """Partitions whose next message is wanted, sorted: ours, not paused, nothing in hand (11)."""
        return (partition for partition, held in self._assigned.items() if held.is_readable())

    def is_readable(self, partition: Partition) -> bool:
        """See `readable`."""
        held = self._assigned.get(partition)
        return held is not None and held.is_readable()

    def watermark(self, partition: Partition) -> int | None:
        """Everything before it is written by all groups; none when the partition is not ours or closed."""
        held = self._assigned.get(partition)
        return (held.watermark or None) if held is not None else None

    def in_hand(self) -> Iterator[tuple[Partition, int]]:
        """Partitions with a message in hand, and its offset."""
        for partition, held in self._assigned.items():
            if held.in_hand is not None:
                yield partition, held.in_hand.offset

    def _learn(self, fact: Fact, out: list[Output]) -> None:
        if isinstance(fact, Record) and fact.group not in self._groups:
            return
        touched, rewind = self._gate.learn(fact)
        if isinstance(touched, Key):
            partition = Partition(touched.topic, touched.partition)
            if partition in self._assigned:
                self._report(touched, fact, rewind, out)
                self._look(partition, out)
        elif touched is Touched.EVERYTHING:
            self._ask_all(out)
            for partition in self._assigned:
                self._look(partition, out)

    def _report(self, key: Key, fact: Fact, rewind: Rewind | None, out: list[Output]) -> None:
        if rewind is not None:
            out.append(Rewound(key, rewind.start, rewind.end))
        below = self._gate.committed_below(key) if isinstance(fact, Committed) else None
        if below is not None:
            out.append(CommittedBelow(key, *below))

    def _assign(self, partitions: Sequence[Partition], out: list[Output]) -> None:
        """Starts closed, whatever an earlier assignment knew (5, 14)."""
        self._revoke(partitions, out)
        for topic in sorted({partition.topic for partition in partitions}):
            self._gate.forget_topic(topic)
            out.append(Describe(topic))
            for other in self._assigned:
                if other.topic == topic:
                    self._look(other, out)
        for partition in partitions:
            for key in self._keys(partition):
                self._gate.unconfirm(key)
            self._assigned[partition] = _Held()
            self._ask(partition, out)
            self._look(partition, out)
        self._assigned = dict(sorted(self._assigned.items()))

    def _revoke(self, partitions: Sequence[Partition], out: list[Output]) -> None:
        for partition in partitions:
            held = self._assigned.pop(partition, None)
            if held is not None and held.in_hand is not None:
                out.append(Drop(partition, held.in_hand.offset))

    def _read(self, partition: Partition, offset: int, out: list[Output]) -> None:
        held = self._assigned.get(partition)
        if held is None:
            out.append(Drop(partition, offset))
            return
        assert held.in_hand is None, f"a message of {partition} was read while one is in hand"
        held.in_hand = _InHand(offset, self._now_ms)
        if offset < held.next:
            expected, held.next = held.next, offset
            self._went_back(WentBack(partition, offset, expected), out)
        self._look(partition, out)
        if held.in_hand is not None:
            out.append(Hold(partition, offset))

    def _went_back(self, report: WentBack, out: list[Output]) -> None:
        """Nothing known of this partition is sure to be about the messages that come now (14)."""
        out.append(report)
        topic = report.partition.topic
        self._gate.forget_topic(topic)
        for key in self._keys(report.partition):
            self._gate.doubt(key)
        out.append(Describe(topic))
        self._ask(report.partition, out)

    def _set_paused(self, partitions: Sequence[Partition], is_paused: bool, out: list[Output]) -> None:
        for partition in partitions:
            held = self._assigned.get(partition)
            if held is not None:
                held.is_paused = is_paused
                self._look(partition, out)

    def _look(self, partition: Partition, out: list[Output]) -> None:
        """Takes the minimum of the groups, and lets go of the message in hand if all have written it (4)."""
        held = self._assigned[partition]
        held.watermark = min(self._gate.position(key) or 0 for key in self._keys(partition))
        if held.in_hand is not None and not held.is_paused and held.in_hand.offset < held.watermark:
            offset = held.in_hand.offset
            held.in_hand, held.next = None, offset + 1
            out.append(Deliver(partition, offset))

    def _ask_all(self, out: list[Output]) -> None:
        if self._repair_ms is not None:
            for partition in self._assigned:
                self._ask(partition, out)

    def _ask(self, partition: Partition, out: list[Output]) -> None:
        stuck = self._stuck(self._assigned[partition])
        for key in self._keys(partition):
            wanted = stuck is not None and (self._gate.position(key) or 0) <= stuck
            if self._gate.ask(key, self._now_ms, wanted=wanted):
                out.append(Ask(key))

    def _stuck(self, held: _Held) -> int | None:
        """The offset that has been in hand for too long."""
        if self._repair_ms is None or held.in_hand is None or held.is_paused:
            return None
        offset, since_ms = held.in_hand
        return offset if self._now_ms - since_ms >= self._repair_ms else None

    def _keys(self, partition: Partition) -> list[Key]:
        return [partition.key(group) for group in self._groups]

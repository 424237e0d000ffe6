"""Up to which time is everything written? Records of the commit log and the ends of partitions in, ticks out.

This knows neither Kafka nor a clock. A partition is written up to the later of two times:

| time | because |
|---|---|
| of its records | a record follows its rows, and nothing behind them in the partition is earlier |
| of the look that found it written to its end | all that was there is written, and what comes later is not earlier |

The first moves while there is traffic. The second moves a partition without: its records repeat an old time for ever,
and would hold the tick for all others. The tick is the minimum over all partitions and groups. It moves only at a look
and not beyond it, so that a partition which is added later has nothing earlier.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from tidegate import Key, Record


class Clock(Enum):
    """Which time of a record counts."""

    ORIG_MESSAGE_TS = "orig_message_ts"
    """When Kafka took the last message: no later message has an earlier one."""
    RECEIVED_P99 = "received_p99"
    """When the application had received 99 of 100 messages. Later messages may have been received earlier: the
    allowance for late rows has to cover them. Of records that have none, the other time counts."""

    def time_ms(self, record: Record) -> int:
        """Rounded down, because everything earlier is taken to be written."""
        seconds = record.orig_message_ts
        if self is Clock.RECEIVED_P99 and record.received_p99 is not None:
            seconds = record.received_p99
        return math.floor(seconds * 1000)


class Ends(NamedTuple):
    """A look at a topic. All records that were heard before it must have been given before."""

    at_ms: int
    """The time just before Kafka was asked."""
    partitions: Mapping[int, range]
    """The offsets that each partition has; the range's end is where the next message will be."""


@dataclass(slots=True)
class Written:
    """How far a group has written a partition."""

    epoch: int = 0
    position: int = 0
    time_ms: int = 0
    """Everything earlier is written; 0 when nothing is known."""


class Ticks:
    """The tick of a topic that these groups write."""

    def __init__(self, topic: str, groups: Sequence[str], clock: Clock) -> None:
        self._topic, self._groups, self._clock = topic, groups, clock
        self._written: dict[Key, Written] = {}
        self._tick_ms = 0
        self.slowest: Key | None = None
        """What the tick waited for at the last look."""

    def record(self, record: Record) -> None:
        """Takes a record. Their order does not matter, nor does it that one comes again."""
        written = self.written(record.about)
        if record.epoch > written.epoch:
            # The group has gone back on purpose: what was known before is worth nothing.
            written = self._written[record.about] = Written(record.epoch)
        if record.epoch == written.epoch:
            written.position = max(written.position, record.offset)
            written.time_ms = max(written.time_ms, self._clock.time_ms(record))

    def look(self, ends: Ends) -> int | None:
        """The tick in milliseconds: every message with an earlier time is written. It never goes back.

        None until something is known of all partitions.
        """
        keys = [Key(self._topic, number, group) for number in ends.partitions for group in self._groups]
        for key in keys:
            self._look(key, ends)
        self.slowest = min(keys, key=lambda key: self.written(key).time_ms)
        self._tick_ms = max(self._tick_ms, self.written(self.slowest).time_ms)
        return self._tick_ms or None

    def written(self, key: Key) -> Written:
        """What is known of a partition, as a group writes it."""
        return self._written.setdefault(key, Written())

    def _look(self, key: Key, ends: Ends) -> None:
        written, offsets = self.written(key), ends.partitions[key.partition]
        # What is below the first offset is gone, and nobody will write it. A position beyond the end is about another
        # topic that had the name, and proves nothing.
        if max(written.position, offsets.start) == offsets.stop:
            written.time_ms = max(written.time_ms, ends.at_ms)

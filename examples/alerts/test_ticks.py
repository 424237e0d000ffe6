"""The tick against a topic that is played: any order of messages, writes, records and looks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ticks import Clock, Ends, Ticks

from tidegate import Record

GROUPS = ("errors", "sessions")


class World(RuleBasedStateMachine):
    """A clock, partitions with the times of their messages, and groups that write them."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1_700_000_000_000
        self.partitions: list[list[int]] = []
        self.written: dict[tuple[str, int], int] = {}
        self.records: list[Record] = []
        self.ticks = Ticks("events", GROUPS, Clock.ORIG_MESSAGE_TS)
        self.tick_ms = 0

    @initialize(count=st.integers(1, 2))
    def begin(self, count: int) -> None:
        self.partitions = [[] for _ in range(count)]

    @rule(number=st.integers(0, 5), ms=st.integers(0, 3))
    def append(self, number: int, ms: int) -> None:
        self.now_ms += ms
        self.partitions[number % len(self.partitions)].append(self.now_ms)

    @rule(ms=st.integers(1, 3))
    def look(self, ms: int) -> None:
        self.now_ms += ms
        tick_ms = self.ticks.look(self.ends()) or 0
        assert tick_ms >= self.tick_ms, "the tick went back"
        self.tick_ms = tick_ms

    @rule(group=st.sampled_from(GROUPS), number=st.integers(0, 5), count=st.integers(1, 4), is_heard=st.booleans())
    def write(self, group: str, number: int, count: int, is_heard: bool) -> None:
        """The record may also be heard late, twice, behind another, or never."""
        number %= len(self.partitions)
        if self.partitions[number]:
            before = self.written.get((group, number), 0)
            self.written[group, number] = min(before + count, len(self.partitions[number]))
            self.records.append(self.record(group, number))
            if is_heard:
                self.ticks.record(self.records[-1])

    @precondition(lambda self: self.records)
    @rule(at=st.integers(0, 99))
    def hear(self, at: int) -> None:
        self.ticks.record(self.records[at % len(self.records)])

    @precondition(lambda self: len(self.partitions) < 3)
    @rule()
    def add_partition(self) -> None:
        self.partitions.append([])

    @invariant()
    def everything_before_the_tick_is_written(self) -> None:
        for number, times in enumerate(self.partitions):
            early = sum(time_ms < self.tick_ms for time_ms in times)
            for group in GROUPS:
                assert self.written.get((group, number), 0) >= early, f"{group} has not written {number}"

    def teardown(self) -> None:
        """All is written, and all positions are said again: nothing holds the tick."""
        for number, times in enumerate(self.partitions):
            for group in GROUPS:
                self.written[group, number] = len(times)
                if times:
                    self.ticks.record(self.record(group, number))
        assert self.ticks.look(self.ends()) == self.now_ms

    def record(self, group: str, number: int) -> Record:
        position = self.written[group, number]
        return Record("events", number, group, position, self.partitions[number][position - 1] / 1000)

    def ends(self) -> Ends:
        return Ends(self.now_ms, {number: range(len(times)) for number, times in enumerate(self.partitions)})


World.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestTheTickIsNeverEarlyAndNeverStuck = World.TestCase


def ticks(clock: Clock = Clock.ORIG_MESSAGE_TS) -> Ticks:
    return Ticks("events", ["w"], clock)


def ends(at: int, *partitions: range) -> Ends:
    return Ends(at * 1000, dict(enumerate(partitions)))


def test_the_slowest_partition_with_messages_holds_the_tick() -> None:
    of = ticks()
    assert of.look(ends(10, range(5), range(5))) is None
    of.record(Record("events", 0, "w", 3, 8.0))
    assert of.look(ends(10, range(5), range(5))) is None
    of.record(Record("events", 1, "w", 4, 9.0))
    assert of.look(ends(10, range(5), range(5))) == 8_000
    assert str(of.slowest) == "events:0:w"


def test_an_idle_partition_does_not_hold_it() -> None:
    of = ticks()
    idle = Record("events", 1, "w", 5, 2.0)
    of.record(idle)
    of.record(Record("events", 0, "w", 3, 8.0))
    of.record(idle.repeated())
    assert of.look(ends(10, range(5), range(5))) == 8_000
    # A message that is not written holds it again, at the last look that saw it idle.
    of.record(Record("events", 0, "w", 5, 12.0))
    assert of.look(ends(13, range(5), range(6))) == 10_000
    assert str(of.slowest) == "events:1:w"


def test_a_partition_without_any_message_is_idle() -> None:
    """One that never had any, and one whose messages are all gone."""
    assert ticks().look(ends(11, range(0), range(7, 7))) == 11_000


def test_records_may_come_in_any_order() -> None:
    of = ticks()
    of.record(Record("events", 0, "w", 5, 8.0))
    of.record(Record("events", 0, "w", 3, 6.0))
    assert of.look(ends(10, range(6))) == 8_000
    assert of.look(ends(11, range(5))) == 11_000


def test_a_position_beyond_the_end_proves_nothing() -> None:
    of = ticks()
    of.record(Record("events", 0, "w", 100, 8.0))
    assert of.look(ends(20, range(5))) == 8_000


def test_what_others_write_does_not_count() -> None:
    of = ticks()
    of.record(Record("events", 0, "other", 5, 8.0))
    of.record(Record("other", 0, "w", 5, 8.0))
    assert of.look(ends(10, range(5))) is None


def test_a_group_that_goes_back_holds_it_until_it_is_there_again() -> None:
    of = ticks()
    of.record(Record("events", 0, "w", 5, 8.0))
    assert of.look(ends(9, range(5))) == 9_000
    of.record(Record("events", 0, "w", 2, 3.0, epoch=1))
    # A late record of the time before.
    of.record(Record("events", 0, "w", 5, 8.0))
    assert of.look(ends(20, range(5))) == 9_000
    of.record(Record("events", 0, "w", 5, 8.0, epoch=1))
    assert of.look(ends(21, range(5))) == 21_000


@pytest.mark.parametrize(
    ("clock", "received", "expected"),
    [
        (Clock.ORIG_MESSAGE_TS, 6.5, 8_000),
        (Clock.RECEIVED_P99, 6.5, 6_500),
        (Clock.RECEIVED_P99, None, 8_000),
        # Rounded down: what is 0.4 ms later may still come.
        (Clock.RECEIVED_P99, 6.5009, 6_500),
    ],
)
def test_the_time_of_a_record(clock: Clock, received: float | None, expected: int) -> None:
    of = ticks(clock)
    of.record(replace(Record("events", 0, "w", 3, 8.0), received_p99=received))
    assert of.look(ends(10, range(5))) == expected

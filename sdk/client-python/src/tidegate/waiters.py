"""Waiting until a message is written, as a state machine: any number of waiters over one commit log.

A record costs the waiters it lets go and a look into a sorted list; a waiter costs a binary search.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tidegate.follower import Tick
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
from tidegate.partition import Token
from tidegate.record import Key, Record


class Wait(NamedTuple):
    """What is waited for."""

    id: int
    """Given by whoever waits, and used once."""
    token: Token
    groups: Sequence[str]
    """All of these must have written everything before the token's position."""
    deadline_ms: int
    """When to give up, on the clock that is passed in."""


class Cancel(NamedTuple):
    """Nobody waits for it any more."""

    id: int


WaitInput = Fact | Wait | Cancel | Tick


class Done(NamedTuple):
    """All groups are there."""

    id: int


class TimedOut(NamedTuple):
    """The deadline has passed."""

    id: int
    reached: dict[str, int | None]
    """How far each group is known to have come, in the order of the groups."""


WaitOutput = Done | TimedOut | Ask | Describe


class Waiters:
    """See the module's text."""

    def __init__(self, repair_ms: int | None) -> None:
        """With `repair_ms`, groups are asked what they have committed.

        Once before a key opens, and again after every so many milliseconds that somebody waits.
        """
        self._gate = Gate(repair_ms)
        self._waits: dict[int, Wait] = {}
        # Each waiter stands at one key at a time, the first of its groups that is not there yet: (position, id),
        # sorted.
        self._standing: dict[Key, list[tuple[int, int]]] = {}
        # How many of these keys each topic has.
        self._topics: Counter[str] = Counter()
        # (milliseconds, id), sorted.
        self._deadlines: list[tuple[int, int]] = []
        self._now_ms = 0

    def handle(self, given: WaitInput, now_ms: int) -> list[WaitOutput]:
        """Takes one input, at a time in milliseconds that never goes back."""
        self._now_ms = max(self._now_ms, now_ms)
        out: list[WaitOutput] = []
        match given:
            case Wait():
                self._begin(given, out)
            case Cancel(id):
                self._end(id)
            case Tick():
                self._ask_all(out)
            case LogPartitions() | LogEnd() | Record() | Tombstone() | Topic() | Committed() | AskFailed():
                self._learn(given, out)
        self._give_up(out)
        return out

    def next_deadline_ms(self) -> int | None:
        """When a `Tick` is needed at the latest."""
        return self._deadlines[0][0] if self._deadlines else None

    def is_loaded(self) -> bool:
        """Whether the commit log has been read to its end."""
        return self._gate.is_loaded()

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waits)

    def _learn(self, fact: Fact, out: list[WaitOutput]) -> None:
        touched, _ = self._gate.learn(fact)
        if isinstance(touched, Key):
            self._look(touched, out)
        elif touched is Touched.EVERYTHING:
            self._ask_all(out)
            for key in sorted(self._standing):
                self._look(key, out)

    def _begin(self, wait: Wait, out: list[WaitOutput]) -> None:
        topic = wait.token.partition.topic
        insort(self._deadlines, (wait.deadline_ms, wait.id))
        self._waits[wait.id] = wait
        if topic not in self._topics:
            out.append(Describe(topic))
        self._stand(wait, out)

    def _stand(self, wait: Wait, out: list[WaitOutput]) -> None:
        """Puts a waiter where it has to wait, or lets it go. All groups are looked at again: one may have gone back."""
        partition, position = wait.token
        for key in map(partition.key, wait.groups):
            reached = self._gate.position(key)
            if reached is None or reached < position:
                if self._gate.ask(key, self._now_ms, wanted=False):
                    out.append(Ask(key))
                if key not in self._standing:
                    self._standing[key] = []
                    self._topics[key.topic] += 1
                insort(self._standing[key], (position, wait.id))
                return
        self._end(wait.id)
        out.append(Done(wait.id))

    def _look(self, key: Key, out: list[WaitOutput]) -> None:
        reached, waiting = self._gate.position(key), self._standing.get(key)
        if reached is None or waiting is None:
            return
        count = bisect_left(waiting, (reached + 1,))
        satisfied = waiting[:count]
        del waiting[:count]
        self._clear(key)
        for _, id in satisfied:
            self._stand(self._waits[id], out)

    def _clear(self, key: Key) -> None:
        """Where nobody stands any more, nothing is kept."""
        if not self._standing[key]:
            del self._standing[key]
            self._topics[key.topic] -= 1
            if self._topics[key.topic] == 0:
                del self._topics[key.topic]

    def _ask_all(self, out: list[WaitOutput]) -> None:
        for key in sorted(self._standing):
            if self._gate.ask(key, self._now_ms, wanted=True):
                out.append(Ask(key))

    def _give_up(self, out: list[WaitOutput]) -> None:
        over = self._deadlines[: bisect_right(self._deadlines, self._now_ms, key=lambda deadline: deadline[0])]
        for _, id in over:
            _, token, groups, _ = self._waits[id]
            reached = {group: self._gate.position(token.partition.key(group)) for group in groups}
            self._end(id)
            out.append(TimedOut(id, reached))

    def _end(self, id: int) -> None:
        wait = self._waits.pop(id, None)
        if wait is None:
            return
        _remove(self._deadlines, (wait.deadline_ms, id))
        for key in map(wait.token.partition.key, wait.groups):
            waiting = self._standing.get(key)
            if waiting is not None:
                _remove(waiting, (wait.token.position, id))
                self._clear(key)


def _remove(ordered: list[tuple[int, int]], entry: tuple[int, int]) -> None:
    at = bisect_left(ordered, entry)
    if at < len(ordered) and ordered[at] == entry:
        del ordered[at]

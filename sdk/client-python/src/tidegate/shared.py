"""What the thread that reads a commit log and those who wait for it share."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Lock
from typing import NamedTuple

from confluent_kafka import KafkaError

from tidegate.asker import Asker, Listener
from tidegate.follower import Tick
from tidegate.gate import Ask, Describe, Fact, Topic
from tidegate.partition import Token
from tidegate.wait_error import CommitLogEnded, WaitError, WaitTimedOut
from tidegate.waiters import Cancel, Done, TimedOut, Wait, Waiters, WaitInput, WaitOutput


@dataclass(frozen=True, slots=True)
class LogStatus:
    """What has been read so far."""

    is_loaded: bool = False
    """Whether all partitions have been read to their end."""
    records: int = 0
    """Records, and tombstones."""
    unreadable: int = 0
    """Messages that are no records, passed over."""
    waiting: int = 0
    """How many wait."""
    topics: dict[str, str] = field(default_factory=dict)
    """Ids of the topics that somebody waits for or follows, where the broker says."""
    last_error: KafkaError | None = None
    """The last error of reading, if there was one; reading goes on."""


class _Waiting(NamedTuple):
    token: Token
    timeout: float
    answer: Future[None]


class Shared:
    """Tells the waiters what is learnt, and does what they say. All methods may be called from any thread."""

    def __init__(self, repair: float | None, asker: Asker, listener: Listener | None) -> None:
        """`repair` and `listener` are those of the commit log."""
        self.is_ended = False
        self._lock = Lock()
        self._asker = asker
        self._listener = listener
        self._waiters = Waiters(milliseconds(repair))
        self._waiting: dict[int, _Waiting] = {}
        self._next_id = 0
        # Topics whose ids are looked at again and again.
        self._topics: set[str] = set()
        self._status = LogStatus()

    def begin(self, token: Token, groups: Sequence[str], timeout: float) -> Future[None]:
        """A wait. Its future may be cancelled."""
        waiting = _Waiting(token, timeout, Future())
        with self._lock:
            if self.is_ended:
                raise CommitLogEnded
            id, self._next_id = self._next_id, self._next_id + 1
            self._waiting[id] = waiting
            # Rounded up: nobody gives up before the time is over.
            deadline_ms = math.ceil((time.monotonic() + timeout) * 1000)
            wait = Wait(id, token, tuple(groups), deadline_ms)
            outputs = self._waiters.handle(wait, self._now_ms())
        waiting.answer.add_done_callback(lambda answer: self._cancel(id) if answer.cancelled() else None)
        self._act(outputs)
        return waiting.answer

    def learn(self, fact: Fact) -> None:
        """Tells the waiters and the listener."""
        with self._lock:
            if isinstance(fact, Topic):
                self._status.topics[fact.name] = fact.id
            outputs = self._waiters.handle(fact, self._now_ms())
            if self._listener is not None:
                self._listener(fact)
        self._act(outputs)

    def count(self, *, is_record: bool) -> None:
        """A message of the log was a record, or was none and passed over."""
        with self._lock:
            records, unreadable = self._status.records + is_record, self._status.unreadable + (not is_record)
            self._status = replace(self._status, records=records, unreadable=unreadable)

    def failed(self, error: KafkaError) -> None:
        """Reading failed, and goes on."""
        with self._lock:
            self._status = replace(self._status, last_error=error)

    def tick(self) -> float | None:
        """Time has passed. In how many seconds the next deadline is."""
        if len(self._waiters) > 0:
            self._handle(Tick())
        with self._lock:
            deadline_ms = self._waiters.next_deadline_ms()
        return None if deadline_ms is None else max(0, deadline_ms - self._now_ms()) / 1000

    def ask(self, outputs: Sequence[object], tell: Listener) -> None:
        """Asks what the outputs of a machine want to know: groups for it alone, topics for everybody."""
        keys = [output.key for output in outputs if isinstance(output, Ask)]
        if keys:
            self._asker.groups(keys, tell)
        topics = [output.topic for output in outputs if isinstance(output, Describe)]
        if topics:
            with self._lock:
                self._topics.update(topics)
            self._asker.topics(topics, self.learn)

    def describe_again(self) -> None:
        """Asks for the ids of all topics that anybody has asked for."""
        with self._lock:
            topics = sorted(self._topics)
        if topics:
            self._asker.topics(topics, self.learn)

    def status(self) -> LogStatus:
        """What has been read so far."""
        with self._lock:
            topics = dict(self._status.topics)
            is_loaded, waiting = self._waiters.is_loaded(), len(self._waiters)
            return replace(self._status, is_loaded=is_loaded, waiting=waiting, topics=topics)

    def end(self) -> None:
        """Nothing more is learnt: who still waits is told so."""
        with self._lock:
            self.is_ended = True
            waiting = list(self._waiting)
        for id in waiting:
            self._settle(id, lambda _: CommitLogEnded())

    def _handle(self, given: WaitInput) -> None:
        with self._lock:
            outputs = self._waiters.handle(given, self._now_ms())
        self._act(outputs)

    def _cancel(self, id: int) -> None:
        with self._lock:
            self._waiting.pop(id, None)
        self._handle(Cancel(id))

    def _act(self, outputs: Sequence[WaitOutput]) -> None:
        """Without the lock: whoever is let go may come back at once."""
        for output in outputs:
            match output:
                case Done(id):
                    self._settle(id)
                case TimedOut(id, reached):
                    self._settle(id, partial(_timed_out, reached))
        self.ask(outputs, self._handle)

    def _settle(self, id: int, error: Callable[[_Waiting], WaitError] | None = None) -> None:
        with self._lock:
            waiting = self._waiting.pop(id, None)
        # Somebody else may have settled it, or it is cancelled in this very moment.
        if waiting is not None:
            with suppress(InvalidStateError):
                if error is None:
                    waiting.answer.set_result(None)
                else:
                    waiting.answer.set_exception(error(waiting))

    @staticmethod
    def _now_ms() -> int:
        return time.monotonic_ns() // 1_000_000


def _timed_out(reached: dict[str, int | None], waiting: _Waiting) -> WaitError:
    return WaitTimedOut(waiting.token, waiting.timeout, reached)


def milliseconds(seconds: float | None) -> int | None:
    """For the machines, which count milliseconds."""
    return None if seconds is None else round(seconds * 1000)

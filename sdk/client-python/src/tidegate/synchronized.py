"""The synchronized consumer: a member of a group like any other, that hands out a message only when the followed groups
have written it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from threading import Event
from types import TracebackType
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from tidegate.backlog import Backlog
from tidegate.commit_log import CommitLog
from tidegate.follower import (
    Assigned,
    CommittedBelow,
    Deliver,
    Drop,
    Follower,
    Input,
    Output,
    Pause,
    Read,
    Resume,
    Revoked,
    Rewound,
    Tick,
    WentBack,
)
from tidegate.gate import Fact
from tidegate.partition import Partition
from tidegate.shared import milliseconds
from tidegate.wait_error import CommitLogEnded

logger = logging.getLogger(__name__)

Rebalanced = Callable[["SynchronizedConsumer", list[Partition]], None]
"""Called inside of `poll` and `close`."""

# Seconds: how often the follower is told the time, and the longest that a record waits while nothing is in hand.
_TICK = 0.1

# Seconds: how long a message of another partition may lie in Kafka's queue while one is in hand. Nothing wakes on both.
_LOOK_EVERY = 0.01


class SynchronizedConsumer:
    """Reads topics as a member of a consumer group, up to what other groups have written.

    It is polled like `confluent_kafka.Consumer`, by one thread, at least every `max.poll.interval.ms`. Messages of a
    partition come in order, each once in an assignment. Offsets are committed by whoever reads, with `commit`;
    nothing is committed by itself, because a message in hand is not read yet.
    """

    def __init__(
        self,
        config: dict[str, Any],
        topics: Sequence[str],
        *,
        commit_log_topic: str,
        groups: Sequence[str],
        repair: float | None = 1.0,
        refresh: float = 10.0,
        on_assign: Rebalanced | None = None,
        on_revoke: Rebalanced | None = None,
        on_lost: Rebalanced | None = None,
    ) -> None:
        """Subscribes to the topics.

        `config` is that of any `confluent_kafka.Consumer`, with its `group.id`; `enable.auto.commit` is off, whatever
        it says. A message is handed out when all `groups` have written it. `repair` and `refresh` are those of
        `CommitLog`, in seconds. `on_lost` is called for partitions that another may have by now; without it,
        `on_revoke` is. Raises `ValueError` without groups, and `confluent_kafka.KafkaException` if the configuration
        is not valid.
        """
        if isinstance(groups, str) or not groups:
            raise ValueError("no group is followed\nhint: give a list of the consumer groups that write what is read")
        self._follower = Follower(groups, milliseconds(repair))
        self._on_assign, self._on_revoke, self._on_lost = on_assign, on_revoke, on_lost or on_revoke
        self._facts: deque[Fact] = deque()
        self._woken = Event()
        # Messages that are not written yet, one a partition, and what Kafka has handed out after them.
        self._in_hand: dict[Partition, Message] = {}
        self._backlog = Backlog(self._follower.is_readable)
        # Messages that are written; nothing is learnt before the last of them is handed out.
        self._ready: deque[Message] = deque()
        self._paused: set[Partition] = set()
        # Partitions that Kafka sends nothing of, because the backlog is full.
        self._full: set[Partition] = set()
        self._assigned: set[Partition] = set()
        # Positions to commit, not sent yet.
        self._positions: dict[Partition, int] = {}
        self._ticked = 0.0
        ours = {"enable.auto.commit": False, "enable.auto.offset.store": False, "enable.partition.eof": False}
        self._consumer = Consumer({**config, **ours})
        try:
            self.commit_log = CommitLog(config, commit_log_topic, repair=repair, refresh=refresh, listener=self._hear)
        except BaseException:
            self._consumer.close()
            raise
        rebalanced = {"on_assign": self._assign, "on_revoke": self._revoke, "on_lost": self._lose}
        self._consumer.subscribe(list(topics), **rebalanced)

    def poll(self, timeout: float | None = None) -> Message | None:
        """The next message that all groups have written; none when there is none in so many seconds.

        `None` waits for ever. It wakes when a message or a record comes; rebalances happen in here. Raises
        `confluent_kafka.KafkaException` with what Kafka says, and the consumer goes on: poll again. Raises
        `CommitLogEnded` when no record will ever come.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            message = self._take_ready()
            if message is not None:
                return message
            left = _TICK if deadline is None else deadline - time.monotonic()
            is_read = self._serve(max(0.0, min(left, _TICK)))
            if left <= 0 and not is_read:
                return None

    def commit(self, message: Message, *, asynchronous: bool = True) -> None:
        """Commits the position after a message, for this consumer's own group.

        Asynchronous positions are sent together, within 100 ms of polling, before a rebalance and by `close`: one by one
        they could be thousands, and while a broker is away a rebalance waits for the answers to all of them. Raises
        `confluent_kafka.KafkaException` if it is not asynchronous.
        """
        partition = Partition.of(message)
        self._positions[partition] = _offset(message) + 1
        if not asynchronous:
            del self._positions[partition]
            self._consumer.commit(message=message, asynchronous=False)

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Hands out nothing of these partitions until they are resumed, or assigned again."""
        self._paused.update(self._assigned.intersection(partitions))
        self._handle(Pause(partitions))

    def resume(self, partitions: Sequence[Partition]) -> None:
        """Ends a pause."""
        self._paused.difference_update(partitions)
        self._handle(Resume(partitions))
        for partition in partitions:
            self._backlog.look(partition)

    def watermark(self, partition: Partition) -> int | None:
        """Everything before it has been written by all groups, as far as this consumer knows.

        None when the partition is not its own or closed.
        """
        return self._follower.watermark(partition)

    def waiting(self) -> Iterator[tuple[Partition, int]]:
        """Partitions whose next message waits for the groups, and its offset."""
        return self._follower.in_hand()

    def assignment(self) -> list[Partition]:
        """Partitions that are ours, sorted."""
        return sorted(self._assigned)

    def close(self) -> None:
        """Leaves the group, and ends the reading of the commit log."""
        self._commit_positions()
        self._consumer.close()
        self.commit_log.close()

    def __enter__(self) -> SynchronizedConsumer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take_ready(self) -> Message | None:
        for at, message in enumerate(self._ready):
            if Partition.of(message) not in self._paused:
                del self._ready[at]
                return message
        return None

    def _serve(self, wait: float) -> bool:
        """Facts, then the time, then a message: from the backlog, or from Kafka. Whether there was one."""
        self._woken.clear()
        while self._facts:
            self._handle(self._facts.popleft())
        if time.monotonic() - self._ticked >= _TICK:
            self._ticked = time.monotonic()
            self._handle(Tick())
            self._commit_positions()
            if self.commit_log.is_ended:
                raise CommitLogEnded
        if self._has_ready():
            return True
        taken = self._backlog.take()
        if taken is None:
            return self._poll_kafka(wait)
        partition, message = taken
        self._in_hand[partition] = message
        self._handle(Read(partition, _offset(message)))
        return True

    def _commit_positions(self) -> None:
        """Nobody waits for the answer: what is not committed is read again."""
        positions, self._positions = self._positions, {}
        if not positions:
            return
        offsets = [TopicPartition(*partition, position) for partition, position in positions.items()]
        try:
            self._consumer.commit(offsets=offsets, asynchronous=True)
        except (KafkaException, RuntimeError) as error:
            logger.warning("positions were not committed, what is behind them may be read again: %s", error)

    def _poll_kafka(self, wait: float) -> bool:
        self._resume_empty()
        # With a message in hand, a record is what is waited for.
        message = self._consumer.poll(0 if self._in_hand else wait)
        if message is None:
            if self._in_hand:
                self._woken.wait(min(wait, _LOOK_EVERY))
            return False
        error = message.error()
        if error is not None:
            raise KafkaException(error)
        partition = Partition.of(message)
        if self._backlog.append(partition, message):
            self._full.add(partition)
            self._consumer.pause([TopicPartition(*partition)])
        return True

    def _resume_empty(self) -> None:
        """Also those that were full when they were taken away, and are ours again."""
        for partition in [of for of in self._full if of in self._assigned and of not in self._backlog]:
            self._full.discard(partition)
            self._consumer.resume([TopicPartition(*partition)])

    def _has_ready(self) -> bool:
        return any(Partition.of(message) not in self._paused for message in self._ready)

    def _hear(self, fact: Fact) -> None:
        """In the threads of the commit log."""
        self._facts.append(fact)
        self._woken.set()

    def _assign(self, _: Consumer, assigned: list[TopicPartition]) -> None:
        partitions = _partitions(assigned)
        self._forget(partitions)
        self._assigned.update(partitions)
        self._handle(Assigned(partitions))
        if self._on_assign is not None:
            self._on_assign(self, partitions)

    def _revoke(self, _: Consumer, revoked: list[TopicPartition]) -> None:
        self._take_away(_partitions(revoked), self._on_revoke)

    def _lose(self, _: Consumer, lost: list[TopicPartition]) -> None:
        self._take_away(_partitions(lost), self._on_lost)

    def _take_away(self, partitions: list[Partition], tell: Rebalanced | None) -> None:
        self._forget(partitions)
        self._assigned.difference_update(partitions)
        self._handle(Revoked(partitions))
        if tell is not None:
            tell(self, partitions)
        # The group lets go of them when this returns.
        self._commit_positions()

    def _forget(self, partitions: list[Partition]) -> None:
        self._paused.difference_update(partitions)
        self._ready = deque(message for message in self._ready if Partition.of(message) not in partitions)
        for partition in partitions:
            self._backlog.forget(partition)

    def _handle(self, given: Input) -> None:
        outputs = self._follower.handle(given, time.monotonic_ns() // 1_000_000)
        for output in outputs:
            match output:
                case Deliver(partition):
                    self._ready.append(self._in_hand.pop(partition))
                    self._backlog.look(partition)
                case Drop(partition):
                    del self._in_hand[partition]
                case _:
                    _warn(output)
        self.commit_log._shared.ask(outputs, self._hear)


def _warn(output: Output) -> None:
    match output:
        case Rewound(key, start, end):
            logger.warning("%s: the group has gone back on purpose, from %s to %s", key, start, end)
        case CommittedBelow(key, committed, recorded):
            hint = "if it is no consumer group, follow it without repair"
            logger.warning("%s has committed %s, less than its records say: %s; %s", key, committed, recorded, hint)
        case WentBack(partition, offset, expected):
            logger.warning("%s@%s: messages went back from %s, closed until confirmed", partition, offset, expected)


def _partitions(partitions: list[TopicPartition]) -> list[Partition]:
    return [Partition(of.topic, of.partition) for of in partitions]


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None, "a message that was read has an offset"
    return offset

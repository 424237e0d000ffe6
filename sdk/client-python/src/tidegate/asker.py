"""Answers the questions of the machines: what a group has committed, and which id a topic has.

One thread, because the calls block; a group is asked without being joined, by a consumer that never subscribes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from tidegate.gate import AskFailed, Committed, Fact, Topic
from tidegate.record import Key

Listener = Callable[[Fact], None]
"""Takes facts, in threads that are not its own."""

logger = logging.getLogger(__name__)

_REQUEST_TIMEOUT = 5.0
"""How long one request may take, seconds."""

# What brokers say that know of no ids.
_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"

# Of consumers only: librdkafka warns of them where a client consumes nothing.
_OF_CONSUMERS = (
    "allow.auto.create.topics",
    "auto.offset.",
    "check.crcs",
    "consume.",
    "enable.auto.",
    "enable.partition.eof",
    "fetch.",
    "group.",
    "heartbeat.",
    "isolation.",
    "max.poll.",
    "partition.assignment.",
    "queued.",
    "session.",
)

_OF_MEMBERS = ("group.protocol", "group.remote.assignor", "group.instance.id", "on_commit")

# What only a client that is polled serves: for others it would heap up.
_SERVED = ("logger", "error_cb", "stats_cb", "statistics.interval.ms", "throttle_cb")


class _Groups(NamedTuple):
    """Always answered, if only by `AskFailed`."""

    keys: Sequence[Key]
    tell: Listener


class _Topics(NamedTuple):
    """Answered as far as the broker knows."""

    names: Sequence[str]
    tell: Listener


class _Count(NamedTuple):
    """How many partitions a topic has, 0 for one that is not there; none when that could not be learnt."""

    topic: str
    tell: Callable[[int | None], None]


class Asker:
    """A thread that asks Kafka. It ends when it is closed."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = config
        self._questions: SimpleQueue[_Groups | _Topics | _Count | None] = SimpleQueue()
        self._admin = AdminClient({name: value for name, value in config.items() if not _is_of_consumers(name)})
        # A client for each group; groups are few.
        self._clients: dict[str, Consumer] = {}
        self._thread = Thread(target=self._run, name="commit-log-asker", daemon=True)
        self._thread.start()

    def groups(self, keys: Sequence[Key], tell: Listener) -> None:
        """What have these groups committed? `tell` hears a `Committed` or `AskFailed` of every key."""
        self._questions.put(_Groups(keys, tell))

    def topics(self, names: Sequence[str], tell: Listener) -> None:
        """What ids have these topics? `tell` hears a `Topic` of each that the broker knows."""
        self._questions.put(_Topics(names, tell))

    def count(self, topic: str, tell: Callable[[int | None], None]) -> None:
        """How many partitions has this topic? 0 if it is not there, none if that could not be learnt."""
        self._questions.put(_Count(topic, tell))

    def close(self) -> None:
        """Waits for the request that is going on, five seconds at most. What was not asked yet is not answered."""
        self._questions.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (questions := self._waiting()) is not None:
            asked: dict[str, list[tuple[Key, Listener]]] = {}
            for question in questions:
                match question:
                    case _Groups(keys, tell):
                        for key in keys:
                            asked.setdefault(key.group, []).append((key, tell))
                    case _Topics(names, tell):
                        self._describe(names, tell)
                    case _Count(topic, tell_count):
                        tell_count(self._count(topic))
            for group, keys_of_group in asked.items():
                self._ask(group, keys_of_group)
        for client in self._clients.values():
            client.close()

    def _waiting(self) -> list[_Groups | _Topics | _Count] | None:
        """All that have come meanwhile, at least one; none when it is over."""
        questions = [self._questions.get()]
        try:
            while True:
                questions.append(self._questions.get_nowait())
        except Empty:
            pass
        found = [question for question in questions if question is not None]
        return found if len(found) == len(questions) else None

    def _ask(self, group: str, asked: list[tuple[Key, Listener]]) -> None:
        try:
            positions = self._committed(group, {key for key, _ in asked})
        except KafkaException as error:
            logger.warning("group %s could not be asked what it has committed: %s", group, error)
            positions = {}
        for key, tell in asked:
            tell(Committed(key, positions[key]) if key in positions else AskFailed(key))

    def _committed(self, group: str, keys: Iterable[Key]) -> dict[Key, int | None]:
        if group not in self._clients:
            self._clients[group] = Consumer(observer(self._config, group))
        partitions = [TopicPartition(key.topic, key.partition) for key in keys]
        found = self._clients[group].committed(partitions, timeout=_REQUEST_TIMEOUT)
        # A logical offset, which is negative, means that there is none.
        return {
            Key(of.topic, of.partition, group): of.offset if of.offset >= 0 else None
            for of in found
            if of.error is None
        }

    def _describe(self, names: Sequence[str], tell: Listener) -> None:
        for name, described in self._descriptions(names).items():
            try:
                topic_id = str(described.result().topic_id)
            except KafkaException as error:
                logger.warning("the broker did not say which id topic %s has: %s", name, error)
                continue
            if topic_id != _NO_ID:
                tell(Topic(name, topic_id))

    def _count(self, topic: str) -> int | None:
        try:
            return len(self._descriptions([topic])[topic].result().partitions)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return 0
            logger.warning("commit log %s could not be looked at: %s", topic, error)
            return None

    def _descriptions(self, names: Collection[str]) -> dict[str, Future[Any]]:
        if not names:
            return {}
        return self._admin.describe_topics(TopicCollection(list(names)), request_timeout=_REQUEST_TIMEOUT)


def observer(config: dict[str, Any], group: str) -> dict[str, Any]:
    """The user's connection, for a client that is a member of no group. What is not ours to decide is kept."""
    kept = {name: value for name, value in config.items() if name not in _OF_MEMBERS and name not in _SERVED}
    ours = {"enable.auto.commit": False, "enable.auto.offset.store": False, "allow.auto.create.topics": False}
    return {**kept, **ours, "group.id": group}


def _is_of_consumers(name: str) -> bool:
    return name.startswith(_OF_CONSUMERS) or name in _OF_MEMBERS or name in _SERVED

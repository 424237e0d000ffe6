"""A real Kafka, by the address that the tests are given, and a host that is played."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from tidegate import Record


def address(variable: str) -> str:
    """A test that cannot run has failed: nothing is skipped."""
    assert variable in os.environ, f"{variable} is not set\nhint: `cargo test --test python_client` starts the servers"
    return os.environ[variable]


def kafka() -> dict[str, Any]:
    return {"bootstrap.servers": address("TIDEGATE_TEST_KAFKA"), "broker.address.family": "v4"}


def consumer(group: str) -> dict[str, Any]:
    return {
        **kafka(),
        "group.id": group,
        "auto.offset.reset": "earliest",
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 500,
    }


@cache
def admin() -> AdminClient:
    """One for all: what it was asked is not done when it is gone."""
    return AdminClient(kafka())


def create(topic: str, partitions: int, **settings: str) -> None:
    made = admin().create_topics([NewTopic(topic, partitions, 1, config=settings)])
    made[topic].result()


def create_log(topic: str, partitions: int) -> None:
    create(topic, partitions, **{"cleanup.policy": "compact"})


def delete(topic: str) -> None:
    admin().delete_topics([topic])[topic].result()


def add_partitions(topic: str, count: int) -> None:
    admin().create_partitions([NewPartitions(topic, count)])[topic].result()


def eventually(what: str, is_so: Callable[[], bool]) -> None:
    """Looks every 20 ms."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, f"not within a minute: {what}"
        time.sleep(0.02)


def is_created(topic: str) -> bool:
    """A name is free only some time after its topic was deleted."""
    with suppress(KafkaException):
        create(topic, 1)
        return True
    return False


def producer() -> Producer:
    return Producer({**kafka(), "acks": "all", "linger.ms": 0, "topic.metadata.propagation.max.ms": 500})


def send_messages(topic: str, partitions: int, each: int) -> None:
    sender = producer()
    for offset in range(each):
        for partition in range(partitions):
            sender.produce(topic, str(offset), partition=partition)
    assert sender.flush(30) == 0


class Host:
    """Groups that write one topic, as far as the test says."""

    def __init__(self, topic: str, log: str, *groups: str) -> None:
        self.topic, self.log, self.groups = topic, log, groups
        self._sender = producer()
        self._clients = {group: Consumer({**consumer(group), "enable.auto.commit": False}) for group in groups}
        self._written: dict[tuple[str, int], int] = {}

    def durable(self, partition: int) -> int:
        """How far all groups have written, now."""
        return min(self._written.get((group, partition), 0) for group in self.groups)

    def write(self, group: str, partition: int, position: int) -> None:
        """The rows are durable."""
        self._written[group, partition] = position

    def commit(self, group: str, partition: int, position: int) -> None:
        def is_committed() -> bool:
            # The first of a group may come before its coordinator is there.
            with suppress(KafkaException):
                offsets = [TopicPartition(self.topic, partition, position)]
                self._clients[group].commit(offsets=offsets, asynchronous=False)
                return True
            return False

        eventually(f"{group} has committed", is_committed)

    def publish(self, group: str, partition: int, position: int) -> None:
        self.publish_record(Record(self.topic, partition, group, position))

    def publish_record(self, record: Record, log_partition: int = 0) -> None:
        self.send(record.key(), record.value(), log_partition=log_partition)

    def send(
        self, key: bytes | None, value: bytes | None, *, log_partition: int = 0, headers: dict[str, Any] | None = None
    ) -> None:
        self._sender.produce(self.log, value, key, partition=log_partition, headers=headers or {})
        assert self._sender.flush(30) == 0

    def advance(self, group: str, partition: int, position: int) -> None:
        """In the order that is promised."""
        self.write(group, partition, position)
        self.commit(group, partition, position)
        self.publish(group, partition, position)

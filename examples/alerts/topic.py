"""What Kafka says of the topic itself: how far its partitions reach, and whose times its messages have."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import IsolationLevel, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec  # type: ignore[attr-defined]
from ticks import Ends

_REQUEST_TIMEOUT = 5.0
"""How long one request may take, seconds."""


class Topic:
    """All methods raise `confluent_kafka.KafkaException`."""

    def __init__(self, kafka: dict[str, Any], name: str) -> None:
        self.name = name
        self._admin = AdminClient(kafka)

    def ends(self) -> Ends:
        """How far each partition reaches, now."""
        at_ms = time.time_ns() // 1_000_000
        topics = self._admin.describe_topics(TopicCollection([self.name]), request_timeout=_REQUEST_TIMEOUT)
        numbers = [partition.id for partition in topics[self.name].result().partitions]
        firsts = self._offsets(numbers, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        ends = self._offsets(numbers, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return Ends(at_ms, {number: range(firsts[number], ends[number]) for number in numbers})

    def timestamp_type(self) -> str:
        """`LogAppendTime`, or `CreateTime` for times that producers give."""
        resource = ConfigResource(ConfigResource.Type.TOPIC, self.name)
        described = self._admin.describe_configs([resource], request_timeout=_REQUEST_TIMEOUT)
        return str(described[resource].result()["message.timestamp.type"].value)

    def _offsets(self, numbers: Sequence[int], spec: OffsetSpec) -> dict[int, int]:
        found = self._admin.list_offsets(
            {TopicPartition(self.name, number): spec for number in numbers},
            # A transaction that is still open hides messages: its partition must not look written to the end.
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=_REQUEST_TIMEOUT,
        )
        return {partition.partition: future.result().offset for partition, future in found.items()}

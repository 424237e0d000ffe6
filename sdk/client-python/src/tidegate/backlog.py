"""Messages that Kafka has handed out and the follower has not taken yet.

confluent-kafka has one queue for all partitions, so what follows a message in hand comes too. It is kept here, within
bounds; only a partition that reaches them is paused in Kafka, because a pause throws away what was fetched ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from confluent_kafka import Message

from tidegate.partition import Partition

PARTITION_MAX = 256
"""Messages of one partition."""

BYTES_MAX = 64 << 20
"""Values of all messages together; each partition may pass it by one message."""


class Backlog:
    """Messages by partition, in order, and which of these partitions may have a turn."""

    def __init__(self, is_readable: Callable[[Partition], bool]) -> None:
        self._is_readable = is_readable
        self._messages: dict[Partition, deque[Message]] = {}
        self._bytes = 0
        # Partitions to be looked at, in order: something has changed since they were found not to be readable.
        self._turns: dict[Partition, None] = {}

    def append(self, partition: Partition, message: Message) -> bool:
        """True when no more of this partition should come."""
        waiting = self._messages.setdefault(partition, deque())
        waiting.append(message)
        self._bytes += len(message)
        self.look(partition)
        return len(waiting) >= PARTITION_MAX or self._bytes >= BYTES_MAX

    def look(self, partition: Partition) -> None:
        """The partition may have become readable."""
        if partition in self._messages:
            self._turns[partition] = None

    def take(self) -> tuple[Partition, Message] | None:
        """The next message that is wanted."""
        for partition in list(self._turns):
            if partition in self._messages and self._is_readable(partition):
                return partition, self._pop(partition)
            del self._turns[partition]
        return None

    def forget(self, partition: Partition) -> None:
        """It is not ours any more."""
        for message in self._messages.pop(partition, ()):
            self._bytes -= len(message)

    def __contains__(self, partition: Partition) -> bool:
        return partition in self._messages

    def _pop(self, partition: Partition) -> Message:
        waiting = self._messages[partition]
        message = waiting.popleft()
        self._bytes -= len(message)
        if not waiting:
            del self._messages[partition]
        return message

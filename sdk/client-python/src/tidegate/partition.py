"""A partition, and a position in it that a reader may wait for."""

from __future__ import annotations

import re
from typing import NamedTuple

from confluent_kafka import Message

from tidegate.record import Key

_TOKEN = re.compile(r"(.+)/([0-9]{1,10})@([0-9]{1,19})", re.DOTALL)
_NUMBER_MAX = 2**31 - 1
_POSITION_MAX = 2**63 - 1


class TokenError(ValueError):
    """A text that is no token."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text!r} is no token\nhint: a token is TOPIC/PARTITION@POSITION, as in events/3@1043")
        self.text = text


class Partition(NamedTuple):
    """A partition of a topic. Printed as `events/3`."""

    topic: str
    number: int

    @classmethod
    def of(cls, message: Message) -> Partition:
        """Where a message is that was read or delivered. Raises `ValueError` for one that never was."""
        topic, number = message.topic(), message.partition()
        if topic is None or number is None or number < 0:
            raise ValueError("the message has no partition: it was neither read nor delivered")
        return cls(topic, number)

    def key(self, group: str) -> Key:
        """What the commit log calls this partition as a group writes it."""
        return Key(self.topic, self.number, group)

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


class Token(NamedTuple):
    """A place to wait for: everything before `position` must be written.

    Printed and read as `events/3@1043`, so that it can travel in a header or a cookie.
    """

    partition: Partition
    position: int
    """The offset after the last message that must be written."""

    @classmethod
    def of(cls, message: Message) -> Token:
        """The token of one message: from a producer's delivery report, or as it was read.

        Raises `ValueError` for a message that was not delivered: nothing will ever be written of it.
        """
        error, offset = message.error(), message.offset()
        if error is not None:
            raise ValueError(f"the message was not delivered: {error.str()}")
        if offset is None or offset < 0:
            raise ValueError("the message has no offset\nhint: a producer with acks=0 is not told any")
        return cls.of_message(Partition.of(message), offset)

    @classmethod
    def of_message(cls, partition: Partition, offset: int) -> Token:
        """The token of the message that has this offset."""
        return cls(partition, offset + 1)

    @classmethod
    def parse(cls, text: str) -> Token:
        """Reads what `str` prints. Raises `TokenError`."""
        found = _TOKEN.fullmatch(text)
        if found is None:
            raise TokenError(text)
        topic, number, position = found[1], int(found[2]), int(found[3])
        if number > _NUMBER_MAX or position > _POSITION_MAX:
            raise TokenError(text)
        return cls(Partition(topic, number), position)

    def __str__(self) -> str:
        return f"{self.partition}@{self.position}"

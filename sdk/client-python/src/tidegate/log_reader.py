"""Reads all partitions of the commit log from their beginning, for ever, in a thread of its own.

No group is joined and nothing is committed: every reader reads it all, which compaction keeps short.
"""

from __future__ import annotations

import logging
import time
from threading import Event, Thread
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from tidegate.asker import Asker, observer
from tidegate.gate import Fact, LogEnd, LogPartitions, Tombstone
from tidegate.record import DecodeError, Key, Record
from tidegate.shared import Shared

logger = logging.getLogger(__name__)

# librdkafka wants a name to assign partitions; it is never joined, nothing is committed under it.
_GROUP = "tidegate-commit-log-reader"

# Seconds: how long a partition that is not there waits to be looked for again, and the longest sleep.
_LOOK_EVERY = 0.1


class LogReader:
    """The thread. It begins with `start`."""

    def __init__(self, config: dict[str, Any], topic: str, refresh: float, shared: Shared, asker: Asker) -> None:
        # The end of a partition is an event, so that holes of compaction do not hide it. Where a consumer of messages
        # begins is the user's choice; a commit log is always read whole.
        ours = {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
        self._consumer = Consumer({**observer(config, _GROUP), **ours})
        self._topic, self._refresh = topic, refresh
        self._shared, self._asker = shared, asker
        self._is_closing = Event()
        self._partitions = 0
        # What the asker has found, until the thread takes it.
        self._found: int | None = None
        self._is_found = Event()
        self._is_asked = False
        self._thread = Thread(target=self._run, name="commit-log", daemon=True)

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    def close(self) -> None:
        """Waits until the thread has ended, a fraction of a second."""
        self._is_closing.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            looked = -1e9
            while not self._is_closing.is_set():
                pause = self._refresh if self._partitions else _LOOK_EVERY
                if time.monotonic() - looked >= pause and not self._is_asked:
                    looked = time.monotonic()
                    self._look()
                self._take_found()
                self._step()
        finally:
            self._shared.end()
            self._consumer.close()

    def _step(self) -> None:
        due = self._shared.tick()
        wait = _LOOK_EVERY if due is None else min(due, _LOOK_EVERY)
        if self._partitions == 0:
            self._is_found.wait(wait)
            return
        message = self._consumer.poll(wait)
        if message is not None:
            self._message(message)

    def _look(self) -> None:
        """Notices partitions that were added, and a log that is made only now."""
        self._is_asked = True
        self._asker.count(self._topic, self._counted)
        self._shared.describe_again()

    def _counted(self, count: int | None) -> None:
        self._found = count
        self._is_found.set()

    def _take_found(self) -> None:
        if not self._is_found.is_set():
            return
        self._is_found.clear()
        self._is_asked = False
        count = self._found
        if count is not None and count != self._partitions:
            self._shared.learn(LogPartitions(count))
            self._assign(count)

    def _assign(self, count: int) -> None:
        """All from the beginning, also those that were read before: what is read twice changes nothing."""
        try:
            self._consumer.assign([TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in range(count)])
            self._partitions = count
        except KafkaException as error:
            logger.warning("assigning commit log %s failed, trying again: %s", self._topic, error)
            self._shared.failed(error.args[0])

    def _message(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self._record(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            partition = message.partition()
            assert partition is not None, "the end of a partition names it"
            self._shared.learn(LogEnd(partition))
        else:
            logger.warning("reading commit log %s failed, going on: %s", self._topic, error)
            self._shared.failed(error)

    def _record(self, message: Message) -> None:
        try:
            fact = _fact(message)
        except DecodeError as error:
            place = (self._topic, message.partition(), message.offset())
            logger.debug("%s/%s@%s was passed over: %s", *place, error)
            self._shared.count(is_record=False)
        else:
            self._shared.count(is_record=True)
            self._shared.learn(fact)


def _fact(message: Message) -> Fact:
    key, value = message.key() or b"", message.value()
    if value is None:
        return Tombstone(Key.decode(key))
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    times = (time for name, time in pairs if name == "orig_message_ts")
    time_of_header = next(times, None)
    return Record.decode(key, value, time_of_header if isinstance(time_of_header, bytes) else None)

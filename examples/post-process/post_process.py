"""Acts on events only after their rows can be read: each is a line of JSON with the rows as ClickHouse has them.

The events are followed with a consumer group of its own. A message comes when the groups that write the table have
written it; whoever acts then, or is told of it, finds the rows.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any

from confluent_kafka import KafkaException, Message

from tidegate import Consistency, Partition, Query, Reader, ReadError, SynchronizedConsumer

logger = logging.getLogger("post-process")

ROWS = """SELECT page, kafka_partition, kafka_offset FROM page_views
WHERE kafka_partition = {partition:Int32} AND kafka_offset = {offset:Int64} FORMAT JSONEachRow"""

Act = Callable[[Partition, int, list[Any]], None]
"""Takes a message's partition and offset, and its rows: none if no row came of it."""


class PostProcess:
    """Acts on every message at least once, on those of a partition in order.

    A message is committed after it was acted on: what was not committed when the process ended comes again.
    """

    def __init__(
        self,
        config: dict[str, Any],
        topic: str,
        *,
        commit_log_topic: str,
        groups: Sequence[str],
        reader: Reader,
        act: Act,
        retry_every: float = 1.0,
    ) -> None:
        """Follows the topic. A message whose rows cannot be read is tried again every so many seconds."""
        self.reader, self.act, self.retry_every = reader, act, retry_every
        # The one message of each paused partition that could not be read.
        self._waiting: dict[Partition, Message] = {}
        self._retried = time.monotonic()
        self.consumer = SynchronizedConsumer(
            config, [topic], commit_log_topic=commit_log_topic, groups=groups, on_revoke=self._revoke
        )

    def run(self, is_over: Event) -> None:
        """Until it is over, and then leaves the group. A message that was begun is finished."""
        with self.consumer:
            while not is_over.is_set():
                self._retry()
                try:
                    message = self.consumer.poll(min(self.retry_every, 1.0))
                except KafkaException as error:
                    logger.warning("reading failed, going on: %s", error)
                    continue
                if message is not None and not self._take(message):
                    partition = Partition.of(message)
                    self._waiting[partition] = message
                    self.consumer.pause([partition])

    def _take(self, message: Message) -> bool:
        """Whether its rows could be read."""
        partition, offset = Partition.of(message), message.offset()
        assert offset is not None, "a message that was read has an offset"
        try:
            rows = self._rows(partition, offset)
        except ReadError as error:
            logger.warning("%s@%s waits: %s", partition, offset, error)
            return False
        self.act(partition, offset, rows)
        self.consumer.commit(message)
        return True

    def _rows(self, partition: Partition, offset: int) -> list[Any]:
        parameters = {"partition": str(partition.number), "offset": str(offset)}
        return [json.loads(row) for row in self.reader.query(Query(ROWS, parameters)).splitlines()]

    def _retry(self) -> None:
        """Other partitions go on meanwhile, and Kafka sees that this one is alive."""
        if time.monotonic() - self._retried < self.retry_every:
            return
        self._retried = time.monotonic()
        for partition, message in list(self._waiting.items()):
            if self._take(message):
                del self._waiting[partition]
                self.consumer.resume([partition])

    def _revoke(self, _: SynchronizedConsumer, partitions: list[Partition]) -> None:
        """Whoever has them next begins with what is not committed."""
        for partition in partitions:
            self._waiting.pop(partition, None)


def say(partition: Partition, offset: int, rows: list[Any]) -> None:
    """At once, also into a pipe."""
    print(json.dumps({"event": f"{partition}@{offset}", "rows": rows}), flush=True)


def main() -> None:
    """Servers by environment variables; see the README."""
    logging.basicConfig(level=logging.WARNING)
    config = {
        "bootstrap.servers": os.environ.get("KAFKA", "127.0.0.1:9092"),
        "group.id": "post-process",
        "auto.offset.reset": "earliest",
    }
    is_over = Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: is_over.set())
    PostProcess(
        config,
        os.environ.get("TOPIC", "page-views"),
        commit_log_topic=os.environ.get("COMMIT_LOG", "commit-log"),
        groups=[os.environ.get("GROUP", "page-views")],
        reader=Reader([os.environ.get("CLICKHOUSE", "http://127.0.0.1:8123")], consistency=Consistency.IN_ORDER),
        act=say,
    ).run(is_over)


if __name__ == "__main__":
    main()

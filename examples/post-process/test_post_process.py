"""The example with a real Kafka and a real ClickHouse, and a writer that is played."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from broker import Host, address, consumer, create, create_log, eventually, send_messages
from example import Process
from post_process import Act, PostProcess

from tidegate import Partition, Query, Reader, Unreachable

TABLE = """CREATE OR REPLACE TABLE page_views (page String, kafka_partition Int32, kafka_offset Int64)
ENGINE = MergeTree ORDER BY (kafka_partition, kafka_offset)"""

Acted = list[tuple[int, int, list[Any]]]


class Stream:
    """A topic with ten messages a partition, and whoever writes them into the table as far as the test says."""

    def __init__(self, name: str, partitions: int) -> None:
        self.name, self.log = name, f"{name}-log"
        create(name, partitions)
        create_log(self.log, 1)
        send_messages(name, partitions, 10)
        self.host = Host(name, self.log, "writers")
        self.reader = Reader([address("TIDEGATE_TEST_CLICKHOUSE")])
        self.reader.query(Query(TABLE))
        self._written = [0] * partitions

    def write(self, partition: int, position: int) -> None:
        """Rows up to a position, but none of the message at offset 3; then the record that says so."""
        offsets = [offset for offset in range(self._written[partition], position) if offset != 3]
        rows = ", ".join(f"('/{offset}', {partition}, {offset})" for offset in offsets)
        self.reader.query(Query(f"INSERT INTO page_views VALUES {rows}"))
        self._written[partition] = position
        self.host.advance("writers", partition, position)

    def follow(self, group: str, reader: Reader, act: Act) -> PostProcess:
        return PostProcess(
            consumer(group),
            self.name,
            commit_log_topic=self.log,
            groups=["writers"],
            reader=reader,
            act=act,
            retry_every=0.1,
        )

    @contextmanager
    def running(self, group: str, reader: Reader, acted: Acted) -> Iterator[PostProcess]:
        """A member of the group, in a thread."""

        def act(partition: Partition, offset: int, rows: list[Any]) -> None:
            acted.append((partition.number, offset, rows))

        following, is_over = self.follow(group, reader, act), Event()
        thread = Thread(target=lambda: following.run(is_over))
        thread.start()
        try:
            yield following
        finally:
            is_over.set()
            thread.join()


def expected(partition: int, start: int, end: int) -> Acted:
    def rows(offset: int) -> list[Any]:
        row = {"page": f"/{offset}", "kafka_partition": partition, "kafka_offset": offset}
        return [] if offset == 3 else [row]

    return [(partition, offset, rows(offset)) for offset in range(start, end)]


def of(partition: int, acted: Acted) -> Acted:
    return [action for action in acted if action[0] == partition]


def test_actions_find_their_rows_in_order_and_none_comes_twice() -> None:
    stream, first, second = Stream("acted", 2), Acted(), Acted()
    with stream.running("actors", stream.reader, first):
        stream.write(0, 5)
        eventually("five are acted on", lambda: len(first) == 5)
        stream.write(1, 2)
        eventually("two more are", lambda: len(first) == 7)
    # Whoever is next begins where the first has ended.
    with stream.running("actors", stream.reader, second):
        stream.write(1, 10)
        stream.write(0, 10)
        eventually("all are acted on", lambda: len(second) == 13)
    # What is not written never came: an action without its row would show.
    assert of(0, first) == expected(0, 0, 5) and of(1, first) == expected(1, 0, 2)
    assert of(0, second) == expected(0, 5, 10) and of(1, second) == expected(1, 2, 10)


class Shaky(Reader):
    """Cannot be reached for rows of one partition, as long as the test says."""

    def __init__(self, partition: int | None) -> None:
        super().__init__([address("TIDEGATE_TEST_CLICKHOUSE")])
        self.partition = partition

    def query(self, query: Query) -> bytes:
        if query.parameters["partition"] == str(self.partition):
            raise Unreachable("http://ch-1:8123", OSError("refused"))
        return super().query(query)


def test_rows_that_cannot_be_read_are_waited_for_and_hold_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    stream, shaky, acted = Stream("shaken", 2), Shaky(0), Acted()
    stream.write(0, 10)
    with stream.running("shaken", shaky, acted):
        stream.write(1, 10)
        eventually("the other partition is acted on", lambda: len(acted) == 10)
        assert of(1, acted) == expected(1, 0, 10)
        shaky.partition = None
        eventually("this one is, too", lambda: len(acted) == 20)
    assert of(0, acted) == expected(0, 0, 10)
    assert "shaken/0@0 waits: failed to reach http://ch-1:8123" in caplog.text


def test_what_waits_is_left_to_whoever_has_the_partition_next(caplog: pytest.LogCaptureFixture) -> None:
    stream, shaky, acted = Stream("left", 2), Shaky(0), Acted()
    stream.write(0, 10)
    with stream.running("leavers", shaky, acted):
        eventually("it waits", lambda: "left/0@0 waits" in caplog.text)
    # It was not committed. Now its partition is given away, or taken and given back.
    caplog.clear()
    with stream.running("leavers", shaky, acted) as first:
        eventually("it waits again", lambda: "left/0@0 waits" in caplog.text)
        with stream.running("leavers", shaky, acted) as second:
            eventually(
                "each has one", lambda: [len(member.consumer.assignment()) for member in (first, second)] == [1, 1]
            )
            assert acted == []
            shaky.partition = None
            stream.write(1, 10)
            eventually("all are acted on", lambda: len(acted) >= 20)
    assert of(0, acted) == expected(0, 0, 10) and of(1, acted) == expected(1, 0, 10)


def start(stream: Stream, folder: Path) -> Process:
    return Process(Path(__file__).parent / "post_process.py", folder, log=stream.log, topic=stream.name)


def test_it_ends_cleanly_when_it_is_told_to(tmp_path: Path) -> None:
    stream = Stream("started", 1)
    for sign, position in [(signal.SIGTERM, 5), (signal.SIGINT, 10)]:
        process = start(stream, tmp_path)
        stream.write(0, position)
        eventually("all are acted on", lambda: len(process.said()) >= position)  # noqa: B023 -- it is over before the next
        process.end(sign)
    said = process.said()
    assert [line["event"] for line in said] == [f"started/0@{offset}" for offset in range(10)]
    assert [line["rows"] for line in said] == [rows for _, _, rows in expected(0, 0, 10)]


def test_an_action_that_fails_is_done_again_by_whoever_is_next() -> None:
    stream, begun = Stream("failed", 1), list[int]()
    stream.write(0, 10)

    def act(_: Partition, offset: int, rows: list[Any]) -> None:
        begun.append(offset)
        if begun.count(offset) == 1 and offset == 4:
            raise RuntimeError("the mail server is down")
        if offset == 9:
            is_over.set()

    is_over = Event()
    with pytest.raises(RuntimeError, match="the mail server is down"):
        stream.follow("failed", stream.reader, act).run(is_over)
    stream.follow("failed", stream.reader, act).run(is_over)
    assert begun == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9]

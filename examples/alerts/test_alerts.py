"""The example with a real Kafka and a real ClickHouse, and a writer that is played."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import pytest
from alerts import Alerts, StateFile
from broker import Host, address, create, create_log, eventually, kafka, producer
from confluent_kafka import KafkaError, Message
from example import Process
from schedule import Schedule, Settings, Starts, Subscription
from ticks import Clock, Ticks
from topic import Topic

from tidegate import CommitLog, CommitLogEnded, Query, Reader, Record

COUNT = "SELECT count() FROM {table} WHERE time >= {{start:DateTime}} AND time < {{end:DateTime}}"


class Stream:
    """A topic, its table, and whoever writes one into the other as slowly as the test says."""

    def __init__(self, name: str, partitions: int, timestamps: str = "LogAppendTime") -> None:
        self.name, self.log, self.table = name, f"{name}-log", name.replace("-", "_")
        create(name, partitions, **{"message.timestamp.type": timestamps})
        create_log(self.log, 1)
        self.host = Host(name, self.log, "writers")
        self.reader = Reader([address("TIDEGATE_TEST_CLICKHOUSE")])
        self.ask(f"CREATE OR REPLACE TABLE {self.table} (time DateTime) ENGINE = MergeTree ORDER BY time")
        self.count = COUNT.format(table=self.table)
        self._producer = producer()

    def send(self, partition: int) -> Message:
        """A message, as Kafka has it with its time."""
        sent: list[Message] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            assert error is None
            sent.append(message)

        self._producer.produce(self.name, b"view", partition=partition, on_delivery=delivered)
        assert self._producer.flush(30) == 0
        return sent[0]

    def write(self, message: Message) -> None:
        """The row, and then the record that says so."""
        partition, offset = message.partition(), message.offset()
        assert partition is not None and offset is not None
        self.ask(f"INSERT INTO {self.table} VALUES ({time_ms(message) // 1000})")
        record = Record(self.name, partition, "writers", offset + 1, time_ms(message) / 1000)
        self.host.publish_record(record)

    def ask(self, sql: str, **parameters: str) -> str:
        return self.reader.query(Query(sql, parameters)).decode().strip()

    def counted(self, start: int, end: int) -> float:
        return float(self.ask(self.count, start=str(start), end=str(end)))

    def subscription(self, **changed: Any) -> Subscription:
        return Subscription(**{"name": "views", "query": self.count, "step_seconds": 1, "above": 0, **changed})

    @contextmanager
    def alerts(self, said: list[dict[str, Any]], *given: Subscription) -> Iterator[tuple[Alerts, CommitLog]]:
        # Kafka shows a message a moment after it has given it a time.
        settings = Settings(clock=Clock.ORIG_MESSAGE_TS, late_ms=100, subscriptions=given)
        starts: Starts = {}
        schedule = Schedule(settings, starts, lambda _: None)
        ticks = Ticks(self.name, ["writers"], settings.clock)
        alerts = Alerts(ticks, Topic(kafka(), self.name), schedule, self.reader, said.append)
        with CommitLog(kafka(), self.log, listener=alerts.hear) as log:
            yield alerts, log


def time_ms(message: Message) -> int:
    return message.timestamp()[1]


def test_no_window_is_queried_before_its_delayed_row_is_in() -> None:
    stream, said = Stream("delayed", 3), list[dict[str, Any]]()
    with stream.alerts(said, stream.subscription()) as (alerts, log):
        eventually("the first tick", lambda: alerts.tick(log) is not None)
        on_time, delayed = stream.send(0), stream.send(1)
        stream.write(on_time)
        at = time_ms(delayed) // 1000
        # Partition 0 is written and partition 2 has nothing: only the delayed row is waited for, for so long.
        while time.time() < at + 3:
            tick_ms = alerts.tick(log)
            assert tick_ms is not None and tick_ms <= time_ms(delayed), "the tick has passed a row that is not in"
            alerts.query_due(tick_ms, Event())
            assert not [line for line in said if line["end"] > at], "queried early"
        stream.write(delayed)

        def is_said() -> bool:
            alerts.query_due(alerts.tick(log) or 0, Event())
            return any(line["end"] > at + 1 for line in said)

        eventually("the window is queried", is_said)
        assert sum(line["value"] for line in said) == 2
        assert [line["alert"] for line in said] == [line["value"] > 0 for line in said]


def test_every_window_has_all_its_rows_whatever_is_delayed() -> None:
    """Two partitions are written at their own pace, a third never has a message."""
    stream, said, is_over = Stream("paced", 3), list[dict[str, Any]](), Event()
    queues: list[SimpleQueue[Message | None]] = [SimpleQueue(), SimpleQueue()]
    pace, lasts = random.Random(7), time.monotonic() + 6

    def write(queue: SimpleQueue[Message | None]) -> None:
        own = random.Random(queues.index(queue))
        while (message := queue.get()) is not None:
            # Now and then for longer than a window.
            time.sleep(1.5 if own.random() < 0.03 else 0.01)
            stream.write(message)

    with stream.alerts(said, stream.subscription()) as (alerts, log):
        eventually("the first tick", lambda: alerts.tick(log) is not None)
        alerts.query_due(alerts.tick(log) or 0, is_over)
        threads = [Thread(target=write, args=(queue,)) for queue in queues]
        threads.append(Thread(target=lambda: alerts.run(log, is_over, 0.02)))
        for thread in threads:
            thread.start()
        sent = []
        while time.monotonic() < lasts:
            partition = pace.randrange(2)
            sent.append(stream.send(partition))
            queues[partition].put(sent[-1])
            time.sleep(pace.uniform(0, 0.1))
        for queue in queues:
            queue.put(None)
        eventually("all windows are queried", lambda: bool(said) and said[-1]["end"] * 1000 > time_ms(sent[-1]))
        is_over.set()
        for thread in threads:
            thread.join()
    starts = [line["start"] for line in said]
    assert starts == list(range(starts[0], starts[0] + len(starts)))
    assert [line["value"] for line in said] == [stream.counted(line["start"], line["end"]) for line in said]
    assert sum(line["value"] for line in said) == len(sent) > 60


def test_nothing_is_known_before_the_commit_log_is_read() -> None:
    """All partitions are empty, and written to their end: only the log is missing."""
    stream = Stream("unread", 1)
    with stream.alerts([]) as (alerts, _), CommitLog(kafka(), "unread-later") as later:
        for _ in range(3):
            assert alerts.tick(later) is None
        create_log("unread-later", 1)
        eventually("it is read", lambda: alerts.tick(later) is not None)
    with pytest.raises(CommitLogEnded):
        alerts.tick(later)


def test_what_all_windows_wait_for_is_named_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    stream = Stream("behind", 2)
    stream.send(1)
    with stream.alerts([]) as (alerts, log):
        eventually("the log is read", lambda: alerts.tick(log) is None and log.status().is_loaded)
        for _ in range(3):
            assert alerts.tick(log) is None
    expected = "all windows wait for behind:1:writers, which is written to 0 of 1"
    assert [record.getMessage() for record in caplog.records] == [expected]


def test_a_query_that_fails_waits_and_holds_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    stream, said = Stream("failing", 1), list[dict[str, Any]]()
    broken = stream.subscription(name="broken", query="SELECT count() FROM not_there_yet")
    text = stream.subscription(name="text", query="SELECT 'many'")
    nothing = stream.subscription(name="nothing", query="SELECT avg(number) FROM numbers(0)")
    null = stream.subscription(name="null", query="SELECT NULL")
    stream.ask("DROP TABLE IF EXISTS not_there_yet")
    with stream.alerts(said, broken, text, nothing, null) as (alerts, log):
        eventually("the first tick", lambda: alerts.tick(log) is not None)
        begun = alerts.tick(log)
        assert begun is not None
        for later_ms in (0, 2_000):
            alerts.query_due(begun + later_ms, Event())
        assert [line["subscription"] for line in said] == ["nothing"] * 2 + ["null"] * 2
        assert all(line["value"] is None and not line["alert"] for line in said)
        assert "broken [" in caplog.text and "code 60" in caplog.text and "the answer is 'many'" in caplog.text
        stream.ask("CREATE TABLE not_there_yet (time DateTime) ENGINE = MergeTree ORDER BY time")
        alerts.query_due(begun + 2_000, Event())
        late = [line["start"] for line in said if line["subscription"] == "broken"]
        assert late == [line["start"] for line in said if line["subscription"] == "nothing"]
        stream.ask("DROP TABLE not_there_yet")


def start(stream: Stream, folder: Path, *given: dict[str, Any]) -> Process:
    file = folder / "subscriptions.json"
    file.write_text(json.dumps({"clock": "orig_message_ts", "late_seconds": 0.1, "subscriptions": given}))
    program, state = Path(__file__).parent / "alerts.py", folder / "state"
    return Process(program, folder, log=stream.log, topic=stream.name, SUBSCRIPTIONS=str(file), STATE=str(state))


def test_windows_go_on_where_they_were_when_it_is_started_again(tmp_path: Path) -> None:
    stream = Stream("restarted", 2)
    subscription = {"name": "views", "query": stream.count, "step_seconds": 1, "above": 0}
    (tmp_path / "output").touch()
    for run in range(3):
        process = start(stream, tmp_path, subscription)
        known = len(process.said())
        eventually("it goes on", lambda: len(process.said()) > known)  # noqa: B023 -- it is over before the next
        message = stream.send(run % 2)
        stream.write(message)
        at = time_ms(message)
        eventually("the row is seen", lambda: process.said()[-1]["end"] * 1000 > at)  # noqa: B023 -- as above
        process.end()
        # While nobody looks.
        stream.write(stream.send(run % 2))
    said = process.said()
    starts = [line["start"] for line in said]
    assert starts == list(range(starts[0], starts[0] + len(starts)))
    assert sum(line["value"] for line in said) == 5
    assert (tmp_path / "errors").read_text() == ""


def test_times_that_producers_give_are_refused(tmp_path: Path) -> None:
    stream = Stream("given-times", 1, "CreateTime")
    process = start(stream, tmp_path, {"name": "views", "query": stream.count, "step_seconds": 1, "above": 0})
    process.wait(1)
    assert "error: the times of given-times are what its producers say\n\nhint: " in (tmp_path / "errors").read_text()


def test_a_state_is_whole_or_the_one_before(tmp_path: Path) -> None:
    state = StateFile(tmp_path / "alerts.state")
    assert state.load() == {}
    state.save({"views": 60})
    (tmp_path / "alerts.new").write_text('{"views": 1')
    assert StateFile(tmp_path / "alerts.state").load() == {"views": 60}

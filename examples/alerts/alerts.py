"""Queries a table for every window of time, once and in order, and only when all rows of the window are in it.

When that is so is what the commit log says: see `ticks.py`. Which window comes next is for `schedule.py` to say. What
comes of a window is a line of JSON.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

from confluent_kafka import KafkaException
from schedule import Schedule, Settings, Starts, Window
from ticks import Ends, Ticks
from topic import Topic

from tidegate import CommitLog, CommitLogEnded, Consistency, Query, Reader, ReadError, Record

logger = logging.getLogger("alerts")

LOOK_EVERY = 1.0
"""Seconds: how often Kafka is asked for the ends of the partitions; the tick moves as often."""

BEHIND_MS = 60_000
"""A tick that is so far behind is worth a warning, and another one after as long."""


class NotANumber(Exception):
    """A query answers something else."""

    def __init__(self, answer: str) -> None:
        super().__init__(f"the answer is {answer[:80]!r}\nhint: select one number, without FORMAT")


class Alerts:
    """One thread does everything, so that records and looks come in the order that `Ticks` needs."""

    def __init__(
        self, ticks: Ticks, topic: Topic, schedule: Schedule, reader: Reader, say: Callable[[dict[str, Any]], None]
    ) -> None:
        self.ticks, self.topic, self.schedule, self.reader, self.say = ticks, topic, schedule, reader, say
        self._records: SimpleQueue[Record] = SimpleQueue()
        self._warned_ms = 0

    def hear(self, fact: object) -> None:
        """Facts of the commit log, in its thread."""
        if isinstance(fact, Record):
            self._records.put(fact)

    def run(self, log: CommitLog, is_over: Event, every: float = LOOK_EVERY) -> None:
        """Until it is over. A window that was begun is finished."""
        while not is_over.wait(every):
            tick_ms = self.tick(log)
            if tick_ms is not None:
                self.query_due(tick_ms, is_over)

    def tick(self, log: CommitLog) -> int | None:
        """Up to when everything is written, in milliseconds; none when that is not known now."""
        if log.is_ended:
            raise CommitLogEnded
        # Before its end is reached, a record may be one that a later one takes back.
        if not log.status().is_loaded:
            return None
        while not self._records.empty():
            self.ticks.record(self._records.get())
        try:
            ends = self.topic.ends()
        except KafkaException as error:
            logger.warning("%s could not be looked at, trying again: %s", self.topic.name, error)
            return None
        tick_ms = self.ticks.look(ends)
        self._warn_of_delay(ends, tick_ms or 0)
        return tick_ms

    def query_due(self, tick_ms: int, is_over: Event) -> None:
        """What cannot be queried is tried again at the next tick; other subscriptions do not wait for it."""
        for subscription in self.schedule.subscriptions:
            while not is_over.is_set() and (window := self.schedule.due(subscription, tick_ms)) is not None:
                try:
                    value = self.query(window)
                except (ReadError, NotANumber) as error:
                    logger.warning("%s [%s, %s) waits: %s", subscription.name, window.start, window.end, error)
                    break
                is_alert = subscription.is_alert(value)
                said = {"subscription": subscription.name, "start": window.start, "end": window.end}
                self.say({**said, "value": value, "alert": is_alert})
                self.schedule.done(window)

    def query(self, window: Window) -> float | None:
        """The number of a window; none if there is none, as of an average of nothing."""
        parameters = {"start": str(window.start), "end": str(window.end)}
        answer = self.reader.query(Query(window.subscription.query, parameters)).decode().strip()
        if answer == r"\N":
            return None
        try:
            value = float(answer)
        except ValueError:
            raise NotANumber(answer) from None
        return value if math.isfinite(value) else None

    def _warn_of_delay(self, ends: Ends, tick_ms: int) -> None:
        if ends.at_ms - max(tick_ms, self._warned_ms) < BEHIND_MS or self.ticks.slowest is None:
            return
        self._warned_ms = ends.at_ms
        slowest = self.ticks.slowest
        position, offsets = self.ticks.written(slowest).position, ends.partitions[slowest.partition]
        logger.warning("all windows wait for %s, which is written to %s of %s", slowest, position, offsets.stop)


class StateFile:
    """Where the next windows begin. A file, because a window is a time: an offset of Kafka says none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Starts:
        """Nothing at the first start."""
        if not self.path.exists():
            return {}
        return {str(name): int(start) for name, start in json.loads(self.path.read_text()).items()}

    def save(self, starts: Starts) -> None:
        """Whole or not at all, also when the process is killed."""
        written = self.path.with_suffix(".new")
        written.write_text(json.dumps(starts))
        written.replace(self.path)


def say(line: dict[str, Any]) -> None:
    """At once, also into a pipe."""
    print(json.dumps(line), flush=True)


def main() -> None:
    """Servers by environment variables; see the README."""
    logging.basicConfig(level=logging.WARNING)
    kafka = {"bootstrap.servers": os.environ.get("KAFKA", "127.0.0.1:9092")}
    settings = Settings.parse(Path(os.environ.get("SUBSCRIPTIONS", "subscriptions.json")).read_text())
    state = StateFile(Path(os.environ.get("STATE", "alerts.state")))
    topic = Topic(kafka, os.environ.get("TOPIC", "page-views"))
    if topic.timestamp_type() != "LogAppendTime":
        hint = "set the topic's message.timestamp.type to LogAppendTime"
        raise SystemExit(f"error: the times of {topic.name} are what its producers say\n\nhint: {hint}")
    alerts = Alerts(
        Ticks(topic.name, [os.environ.get("GROUP", "page-views")], settings.clock),
        topic,
        Schedule(settings, state.load(), state.save),
        Reader([os.environ.get("CLICKHOUSE", "http://127.0.0.1:8123")], consistency=Consistency.IN_ORDER),
        say,
    )
    is_over = Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: is_over.set())
    with CommitLog(kafka, os.environ.get("COMMIT_LOG", "commit-log"), listener=alerts.hear) as log:
        alerts.run(log, is_over)


if __name__ == "__main__":
    main()

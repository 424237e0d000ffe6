"""Waiting until a message is written, on a real Kafka."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest
from broker import Host, add_partitions, create, create_log, eventually, kafka, producer
from confluent_kafka import KafkaError, KafkaException, Message

from tidegate import CommitLog, CommitLogEnded, Partition, Token, WaitTimedOut


def log(topic: str, repair: float | None = 0.3) -> CommitLog:
    return CommitLog(kafka(), topic, repair=repair, refresh=0.5)


def token(topic: str, offset: int) -> Token:
    return Token.of_message(Partition(topic, 0), offset)


def test_waiters_are_let_go_when_all_groups_are_there_and_not_before() -> None:
    create("awaited", 1)
    create_log("awaited-log", 1)
    host = Host("awaited", "awaited-log", "a", "b")

    def advance() -> None:
        eventually("all wait", lambda: followed.status().waiting == 540)
        for position in range(60, 601, 60):
            host.advance("a", 0, position)
            host.advance("b", 0, position)

    async def wait(offset: int) -> None:
        await followed.wait_for_async(token("awaited", offset), ["a", "b"], 60)
        assert offset < host.durable(0), f"{offset} was let go early"

    def wait_in_a_thread(offset: int) -> None:
        followed.wait_for(token("awaited", offset), ["a", "b"], 60)
        assert offset < host.durable(0), f"{offset} was let go early"

    async def wait_for_all() -> None:
        await asyncio.gather(*map(wait, range(500)))

    with log("awaited-log") as followed, ThreadPoolExecutor(40) as threads:
        advancing = Thread(target=advance)
        advancing.start()
        waiting = [threads.submit(wait_in_a_thread, offset) for offset in range(0, 600, 15)]
        asyncio.run(wait_for_all())
        for done in waiting:
            done.result()
        advancing.join()
        assert followed.status().waiting == 0
        # What is written already is answered, also when its records were lost.
        for group in ("a", "b"):
            host.write(group, 0, 601)
            host.commit(group, 0, 601)
        wait_in_a_thread(600)


def test_a_delivery_report_becomes_a_token() -> None:
    create("produced", 1)
    create_log("produced-log", 1)
    host = Host("produced", "produced-log", "w")
    sender = producer()
    delivered: list[Message] = []

    def report(_: KafkaError | None, message: Message) -> None:
        delivered.append(message)

    for _ in range(3):
        sender.produce("produced", b"row", on_delivery=report)
    sender.flush()
    tokens = sorted(Token.of(message) for message in delivered)
    assert [str(of) for of in tokens] == ["produced/0@1", "produced/0@2", "produced/0@3"]
    with log("produced-log") as followed:
        host.advance("w", 0, 2)
        followed.wait_for(Token.parse("produced/0@2"), ["w"], 30)
        with pytest.raises(WaitTimedOut):
            followed.wait_for(tokens[2], ["w"], 0.2)
    sender.produce("nowhere", b"row", on_delivery=report)
    sender.flush()
    with pytest.raises(ValueError, match="was not delivered"):
        Token.of(delivered[3])


def test_a_timeout_says_how_far_each_group_has_come() -> None:
    create("timed", 1)
    create_log("timed-log", 1)
    host = Host("timed", "timed-log", "here")
    host.advance("here", 0, 7)
    followed = log("timed-log", repair=None)
    followed.wait_for(token("timed", 6), ["here"], 30)
    started = time.monotonic()
    with pytest.raises(TimeoutError) as raised:
        followed.wait_for(token("timed", 7), ["here", "nowhere"], 0.2)
    assert 0.2 <= time.monotonic() - started < 5
    assert isinstance(raised.value, WaitTimedOut)
    assert raised.value.reached == {"here": 7, "nowhere": None}
    assert str(raised.value) == (
        'timed/0@8 was not written within 0.2 s: group "here" has come to 7, of group "nowhere" nothing is known'
    )
    for groups in ((), "here"):
        with pytest.raises(ValueError, match="hint: give a list of the consumer groups"):
            followed.wait_for(token("timed", 0), groups, 1)
    asyncio.run(cancel(followed))
    assert followed.status().waiting == 0
    with ThreadPoolExecutor(1) as threads:
        abandoned = threads.submit(followed.wait_for, token("timed", 9), ["here"], 60)
        eventually("it waits", lambda: followed.status().waiting == 1)
        followed.close()
        with pytest.raises(CommitLogEnded):
            abandoned.result()
    with pytest.raises(CommitLogEnded):
        followed.wait_for(token("timed", 0), ["here"], 60)


async def cancel(followed: CommitLog) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(followed.wait_for_async(token("timed", 9), ["here"], 60), 0.1)


def test_a_log_that_comes_later_and_grows_is_read() -> None:
    create("later", 1)
    with log("later-log", repair=None) as followed, ThreadPoolExecutor(1) as threads:
        first = threads.submit(followed.wait_for, token("later", 0), ["w"], 60)
        eventually("it waits", lambda: followed.status().waiting == 1)
        create_log("later-log", 1)
        host = Host("later", "later-log", "w")
        host.advance("w", 0, 1)
        first.result()
        add_partitions("later-log", 2)
        # A producer of before does not know the new partition yet.
        grown = Host("later", "later-log", "w")
        second = threads.submit(followed.wait_for, token("later", 1), ["w"], 60)
        grown.send(b"later:0:w", b"2", log_partition=1)
        second.result()


def test_every_kind_of_message_of_a_log_is_taken() -> None:
    create("kinds", 1)
    create_log("kinds-log", 1)
    host = Host("kinds", "kinds-log", "w")
    host.send(b"kinds:0:legacy", b"5", headers={"orig_message_ts": b"2023-10-04T01:12:26.250000Z", "other": b"\xff"})
    for key, value in [(b"nonsense", b"5"), (b"kinds:0:w", b"{"), (b"kinds:0:w", b"")]:
        host.send(key, value)
    host.send(b"kinds:0:gone", b"9")
    host.send(b"kinds:0:gone", None)
    with log("kinds-log", repair=None) as followed:
        followed.wait_for(token("kinds", 4), ["legacy"], 30)
        with pytest.raises(WaitTimedOut) as raised:
            followed.wait_for(token("kinds", 0), ["gone"], 0.2)
        assert raised.value.reached == {"gone": None}
        status = followed.status()
        assert (status.is_loaded, status.records, status.unreadable) == (True, 3, 3)
        eventually("the topic's id is known", lambda: len(followed.status().topics.get("kinds", "")) == 22)


def test_a_configuration_that_is_wrong_is_refused() -> None:
    with pytest.raises(KafkaException, match="No such configuration property"):
        CommitLog({**kafka(), "no.such": "thing"}, "any")

"""The synchronized consumer on a real Kafka."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest
from broker import Host, consumer, create, create_log, delete, eventually, is_created, send_messages
from confluent_kafka import Message

from tidegate import Partition, Record, SynchronizedConsumer
from tidegate.backlog import PARTITION_MAX


def follower(group: str, topic: str, *groups: str, repair: float | None = 0.5, **more: Any) -> SynchronizedConsumer:
    log = f"{topic}-log"
    return SynchronizedConsumer(
        consumer(group), [topic], commit_log_topic=log, groups=groups, repair=repair, refresh=1, **more
    )


def place(message: Message) -> tuple[int, int]:
    partition, offset = message.partition(), message.offset()
    assert partition is not None and offset is not None
    return partition, offset


class Seen:
    """Everything a follower was handed, looked at as it comes."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.next: dict[int, int] = {}
        self.count = 0

    def read(self, consumer: SynchronizedConsumer, is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not is_done():
            assert time.monotonic() < deadline, f"stuck at {self.next}, waiting {list(consumer.waiting())}"
            message = consumer.poll(0.1)
            if message is None:
                continue
            partition, offset = place(message)
            durable = self.host.durable(partition)
            assert offset < durable, f"{partition}@{offset} came early: written is {durable}"
            assert offset == self.next.get(partition, 0), f"partition {partition} is not in order"
            self.next[partition] = offset + 1
            self.count += 1
            consumer.commit(message)


def test_two_groups_are_followed_over_restarts_and_lost_records() -> None:
    create("followed", 3)
    create_log("followed-log", 2)
    send_messages("followed", 3, 200)
    host = Host("followed", "followed-log", "fast", "slow")
    host.send(b"nonsense", b"5", log_partition=1)

    def write() -> None:
        for position in range(10, 201, 10):
            for partition in range(3):
                for group in host.groups:
                    host.write(group, partition, position)
                    host.commit(group, partition, position)
                    # The slow group says nothing of its last range.
                    if group == "fast" or position < 200:
                        host.publish(group, partition, position)

    seen = Seen(host)
    writing = Thread(target=write)
    with follower("followers", "followed", "fast", "slow") as one:
        writing.start()
        seen.read(one, lambda: seen.count > 200)
    writing.join()
    with follower("followers", "followed", "fast", "slow") as two:
        seen.read(two, lambda: seen.count == 600)
        assert two.poll(0.3) is None
        assert two.commit_log.status().unreadable == 1


def test_pauses_hold_and_other_partitions_go_on() -> None:
    create("paused", 2)
    create_log("paused-log", 1)
    send_messages("paused", 2, 20)
    host = Host("paused", "paused-log", "writers")
    seen = Seen(host)
    zero, one = Partition("paused", 0), Partition("paused", 1)
    with follower("pausers", "paused", "writers", repair=None) as reader:
        host.advance("writers", 0, 5)
        seen.read(reader, lambda: seen.count == 5)
        reader.pause([zero])
        host.advance("writers", 0, 10)
        host.advance("writers", 1, 10)
        seen.read(reader, lambda: seen.count == 15)
        assert seen.next == {0: 5, 1: 10}
        assert reader.poll(0.5) is None
        assert (reader.watermark(zero), reader.watermark(one)) == (10, 10)
        assert list(reader.waiting()) == [(one, 10)]
        reader.resume([zero])
        seen.read(reader, lambda: seen.count == 20)
        assert seen.next == {0: 10, 1: 10}


def test_more_than_fits_is_left_in_kafka_and_read_later() -> None:
    """Over the bound again and again: Kafka is paused, and goes on where it was."""
    each = 4 * PARTITION_MAX
    create("full", 2)
    create_log("full-log", 1)
    send_messages("full", 2, each)
    host = Host("full", "full-log", "writers")
    seen = Seen(host)
    with follower("fillers", "full", "writers") as reader:
        assert reader.poll(3) is None
        eventually("both are full", lambda: reader.poll(0.1) is None and len(reader._full) == 2)
        host.advance("writers", 1, each)
        seen.read(reader, lambda: seen.count == each)
        assert seen.next == {1: each}
        for position in range(100, each + 1, 100):
            host.advance("writers", 0, position)
            seen.read(reader, lambda: seen.next.get(0) == position)  # noqa: B023 -- it is over before the next
        host.advance("writers", 0, each)
        seen.read(reader, lambda: seen.count == 2 * each)
        assert reader.poll(0.3) is None


def test_rebalances_between_followers_lose_nothing() -> None:
    create("shared", 4)
    create_log("shared-log", 1)
    send_messages("shared", 4, 100)
    host = Host("shared", "shared-log", "writers")
    told: list[tuple[str, int]] = []

    def start() -> SynchronizedConsumer:
        return follower(
            "sharers",
            "shared",
            "writers",
            on_assign=lambda reader, partitions: told.append(("assigned", len(partitions))),
            on_revoke=lambda reader, partitions: told.append(("revoked", len(partitions))),
        )

    readers = [start(), start()]
    read: Counter[tuple[int, int]] = Counter()
    deadline, position, is_shared = time.monotonic() + 60, 0, False
    while len(read) < 400:
        assert time.monotonic() < deadline, f"{len(read)} of 400 after a minute, shared: {is_shared}"
        is_shared = is_shared or [len(reader.assignment()) for reader in readers] == [2, 2]
        # The first ten of each are read before the second reader has anything.
        if position < (100 if is_shared else 10) and len(read) >= position * 4:
            position += 10
            for partition in range(4):
                host.advance("writers", partition, position)
        for reader in readers:
            message = reader.poll(0.02)
            if message is not None:
                partition, offset = place(message)
                assert offset < host.durable(partition)
                read[partition, offset] += 1
                reader.commit(message, asynchronous=False)
        if len(read) > 200 and len(readers) == 2:
            readers.pop().close()
    readers.pop().close()
    # Committed one by one, so that nothing is read again either.
    assert set(read.values()) == {1}
    assert ("assigned", 2) in told and ("revoked", 2) in told


def test_a_topic_made_anew_opens_nothing() -> None:
    """The log still says 100 of a topic that was deleted and made again with five messages."""
    create("anew", 1)
    create_log("anew-log", 1)
    send_messages("anew", 1, 100)
    host = Host("anew", "anew-log", "writers")
    host.advance("writers", 0, 100)
    delete("anew")
    eventually("the topic can be made again", lambda: is_created("anew"))
    host.write("writers", 0, 0)
    send_messages("anew", 1, 5)
    seen = Seen(host)
    with follower("anew-asked", "anew", "writers") as asked:
        eventually("the message is in hand", lambda: is_in_hand(asked))
        host.write("writers", 0, 3)
        host.commit("writers", 0, 3)
        seen.read(asked, lambda: seen.count == 3)

    # The same by ids: nobody is asked, and a record of the topic that is there now opens.
    host.publish_record(Record("anew", 0, "writers", 100, topic_id="of-the-first"))
    by_id = Seen(host)
    with follower("anew-by-id", "anew", "writers", repair=None) as reader:
        eventually(
            "the message is in hand, and the id is known", lambda: is_in_hand(reader) and "anew" in topics(reader)
        )
        host.publish_record(Record("anew", 0, "writers", 2, topic_id=topics(reader)["anew"]))
        by_id.read(reader, lambda: by_id.count == 2)
        assert reader.poll(0.5) is None


def topics(reader: SynchronizedConsumer) -> dict[str, str]:
    return reader.commit_log.status().topics


def is_in_hand(reader: SynchronizedConsumer) -> bool:
    assert reader.poll(0.1) is None, "read early"
    return any(reader.waiting())


@pytest.mark.parametrize("groups", [[], "writers"])
def test_groups_must_be_a_list(groups: list[str]) -> None:
    with pytest.raises(ValueError, match="no group is followed"):
        SynchronizedConsumer(consumer("none"), ["any"], commit_log_topic="any-log", groups=groups)

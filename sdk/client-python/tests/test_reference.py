"""The reference's own code reads what we write, and we read what it writes: `sentry-arroyo` from the package index."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from arroyo.backends.kafka import KafkaPayload
from arroyo.backends.kafka.commit import CommitCodec
from arroyo.commit import Commit
from arroyo.types import Partition, Topic
from hypothesis import given
from hypothesis import strategies as st

from tidegate import Counts, Record

VECTORS = Path(__file__).parents[2] / "client" / "vectors" / "codec.json"
WRITTEN = [case for case in json.loads(VECTORS.read_text()) if case["written"]]

TIME = st.floats(0, 1e12)
NAME = st.from_regex(r"[a-zA-Z0-9._-]+", fullmatch=True)
commits = st.builds(
    Commit,
    NAME,
    st.builds(Partition, st.builds(Topic, NAME), st.integers(0, 2**31 - 1)),
    st.integers(0, 2**63 - 1),
    TIME,
    st.none() | TIME.filter(bool),
)


@pytest.fixture(scope="module", autouse=True)
def utc() -> Iterator[None]:
    """The reference takes the UTC of the legacy header to be local time, which it is on servers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def of_reference(record: Record) -> Commit:
    return Commit(
        record.group,
        Partition(Topic(record.topic), record.partition),
        record.offset,
        record.orig_message_ts,
        record.received_p99,
    )


def of_commit(commit: Commit) -> Record:
    partition = commit.partition
    times = (commit.orig_message_ts, commit.received_p99)
    return Record(partition.topic.name, partition.index, commit.group, commit.offset, *times)


def decoded(record: Record) -> Commit:
    return CommitCodec().decode(KafkaPayload(record.key(), record.value(), []))


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: case["name"])
def test_the_reference_reads_every_vector_that_is_written(case: dict[str, str]) -> None:
    record = Record.decode(case["key"].encode(), case["value"].encode())
    if ":" in record.group:
        # It takes the group to end at a colon, and breaks.
        with pytest.raises(ValueError, match="too many values"):
            decoded(record)
    else:
        assert decoded(record) == of_reference(record)


@given(commits, st.integers(0, 2**64 - 1), st.none() | st.text(st.characters(codec="utf-8")), st.booleans())
def test_the_reference_reads_what_our_encoder_writes(
    commit: Commit, epoch: int, topic_id: str | None, counted: bool
) -> None:
    counts = Counts(9, 2, 4, 1, 2, 1, 1, 2, {"errors": 3, "flags": 1}, 1034) if counted else None
    plain = of_commit(commit)
    ours = Record(*plain.about, plain.offset, plain.orig_message_ts, plain.received_p99, epoch, topic_id, counts)
    assert decoded(ours) == commit


@given(commits)
def test_we_read_what_the_reference_writes(commit: Commit) -> None:
    payload = CommitCodec().encode(commit)
    assert payload.key is not None
    assert Record.decode(payload.key, payload.value) == of_commit(commit)


@given(st.integers(0, 2**63 - 1), st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)))
def test_we_read_the_legacy_form_as_the_reference_does(offset: int, at: datetime) -> None:
    header = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
    key, value = b"events:3:g", str(offset).encode()
    ours = Record.decode(key, value, header)
    theirs = CommitCodec().decode(KafkaPayload(key, value, [("orig_message_ts", header)]))
    assert (theirs.offset, theirs.group, theirs.partition) == (ours.offset, ours.group, Partition(Topic("events"), 3))
    assert ours.orig_message_ts == pytest.approx(theirs.orig_message_ts, abs=1e-5)

"""Records, tokens and names, beyond the vectors."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate import Consistency, Counts, DecodeError, Partition, Record, Token, TokenError, UnknownConsistency
from tidegate.legacy import seconds

U64 = st.integers(0, 2**64 - 1)
TEXT = st.text(st.characters(codec="utf-8"), min_size=1)
TIME = st.floats(0, 1e12)

counts = st.builds(
    Counts,
    *[U64] * 8,
    storages=st.dictionaries(TEXT, U64, max_size=3),
    start=st.none() | st.integers(0, 2**63 - 1),
)
records = st.builds(
    Record,
    topic=st.from_regex(r"[a-zA-Z0-9._-]+", fullmatch=True),
    partition=st.integers(0, 2**31 - 1),
    group=TEXT,
    offset=st.integers(0, 2**63 - 1),
    orig_message_ts=TIME,
    received_p99=st.none() | TIME.filter(bool),
    epoch=U64,
    topic_id=st.none() | TEXT,
    counts=st.none() | counts,
)


@given(records)
def test_what_is_written_is_read(record: Record) -> None:
    assert Record.decode(record.key(), record.value()) == record
    assert Record.decode(record.key(), record.repeated().value()).counts is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["offset", "epoch", "counts", "topic_id"]), inner),
)


@given(
    st.sampled_from([b"t:0:g"]) | st.binary(),
    st.binary() | JSON.map(lambda value: json.dumps(value).encode()),
    st.binary(),
)
def test_anything_is_a_record_or_broken(key: bytes, value: bytes, header: bytes) -> None:
    try:
        record = Record.decode(key, value, header)
    except DecodeError:
        return
    assert Record.decode(record.key(), record.value()) == record


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 100_000,
        b"9" * 100_000,
        b'{"offset":' + b"9" * 100_000 + b"}",
        b'{"offset":1,"orig_message_ts":' + b"9" * 4000 + b"}",
        b'{"offset":1,"topic_id":"\\ud800"}',
        b'{"offset":1,"counts":{"storages":{"\\ud800":1}}}',
    ],
    ids=["deep", "digits", "long offset", "long time", "half a character", "half a name"],
)
def test_what_python_would_stumble_over_is_broken(value: bytes) -> None:
    with pytest.raises(DecodeError):
        Record.decode(b"t:0:g", value)


def test_a_time_without_end_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        Record("t", 0, "g", 1, orig_message_ts=float("inf")).value()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00.000000Z", 0.0),
        ("2000-02-29T23:59:59.500000Z", 951_868_799.5),
        ("2024-12-31T00:00:00Z", 1_735_603_200.0),
        ("2023-13-04T01:12:26.0Z", None),
        ("2023-10-04T24:12:26.0Z", None),
        ("2023-10-04T01:12:26.Z", None),
        ("2023-10-04T01:12:26.5", None),
        ("9" * 5000 + "-01-01T00:00:00Z", None),
        ("", None),
    ],
)
def test_times_are_those_of_the_calendar(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


@given(st.text(min_size=1), st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
def test_a_token_is_read_as_it_is_printed(topic: str, number: int, position: int) -> None:
    token = Token(Partition(topic, number), position)
    assert Token.parse(str(token)) == token


@pytest.mark.parametrize(
    "text",
    [
        *("", "events", "events/3", "events@3", "/3@4", "events/-1@4", "events/3@-4", "events/x@4", "events/3@4\n"),
        *(f"events/{2**31}@4", f"events/3@{2**63}", "events/٣@4"),
    ],
)
def test_other_texts_are_no_tokens(text: str) -> None:
    with pytest.raises(TokenError, match="is no token\nhint: "):
        Token.parse(text)


def test_names_of_profiles_are_those_of_the_configuration() -> None:
    assert Consistency("in-order+quorum") is Consistency.IN_ORDER_QUORUM
    with pytest.raises(UnknownConsistency) as raised:
        Consistency("strong")
    assert str(raised.value) == (
        'there is no consistency "strong"\nhint: known are eventual, in-order, in-order+quorum, quorum, sequential, '
        "synced, shard-local"
    )

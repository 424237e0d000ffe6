"""The reader on a real ClickHouse."""

from __future__ import annotations

import pytest
from broker import address

from tidegate import Consistency, Query, Reader, ReadError, Refused, Unreachable

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def url() -> str:
    return address("TIDEGATE_TEST_CLICKHOUSE")


def text(reader: Reader, query: Query) -> str:
    return reader.query(query).decode().strip()


def test_rows_that_were_replaced_are_shown_as_asked(url: str) -> None:
    reader = Reader([url])
    for statement in [
        "CREATE OR REPLACE TABLE seen (id UInt64, version UInt64) ENGINE = ReplacingMergeTree(version) ORDER BY id",
        "SYSTEM STOP MERGES seen",
        "INSERT INTO seen VALUES (1, 1), (2, 1)",
        "INSERT INTO seen VALUES (1, 2)",
    ]:
        reader.query(Query(statement))
    sql, parameters = "SELECT count() FROM seen WHERE id <= {most:UInt64}", {"most": "2"}
    assert text(reader, Query(sql, parameters)) == "3"
    assert text(reader, Query(sql, parameters, merged=True)) == "2"
    assert text(reader, Query(sql, parameters, filters={"seen": "id NOT IN (1)"})) == "1"


@pytest.mark.parametrize(
    ("consistency", "setting", "expected"),
    [
        (Consistency.EVENTUAL, "load_balancing", "random"),
        (Consistency.IN_ORDER, "load_balancing", "in_order"),
        (Consistency.IN_ORDER_QUORUM, "prefer_localhost_replica", "false"),
        (Consistency.SEQUENTIAL, "select_sequential_consistency", "1"),
    ],
)
def test_queries_are_sent_with_their_profile(url: str, consistency: Consistency, setting: str, expected: str) -> None:
    reader = Reader([NOWHERE, url], consistency=consistency)
    assert text(reader, Query(f"SELECT toString(getSetting('{setting}'))")) == expected


def test_refusals_say_what_clickhouse_says(url: str) -> None:
    with pytest.raises(Refused) as raised:
        Reader([url]).query(Query("SELECT 1 FROM nothing"))
    assert raised.value.code == 60
    # The first bytes are there before it fails: the whole query does.
    late = Query("SELECT throwIf(number = 1000000) FROM numbers(1000001) SETTINGS max_block_size = 100")
    with pytest.raises(Refused) as raised:
        Reader([url]).query(late)
    assert raised.value.code == 395
    with pytest.raises(Unreachable):
        Reader([NOWHERE, url], consistency=Consistency.SHARD_LOCAL).query(Query("SELECT 1"))
    with pytest.raises(ReadError, match="is not replicated"):
        Reader([url], consistency=Consistency.SYNCED).query(Query("SELECT 1", tables=["system.one"]))

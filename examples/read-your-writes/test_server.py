"""The example with a real Kafka and a real ClickHouse, and a writer that is played."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
import urllib3
from broker import Host, address, create, create_log, kafka, producer
from server import Server, Views

from tidegate import CommitLog, Query, Reader

TABLE = """CREATE OR REPLACE TABLE page_views (page String, kafka_partition Int32, kafka_offset Int64)
ENGINE = MergeTree ORDER BY (kafka_partition, kafka_offset)"""


@pytest.fixture
def server() -> Iterator[Server]:
    create("page-views", 1)
    create_log("page-views-log", 1)
    reader = Reader([address("TIDEGATE_TEST_CLICKHOUSE")])
    reader.query(Query(TABLE))
    with CommitLog(kafka(), "page-views-log", repair=None, refresh=0.5) as log:
        views = Views(producer(), log, reader, "page-views", ["writers"], timeout=1)
        with Server(("127.0.0.1", 0), views) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            yield server
            server.shutdown()


def ask(server: Server, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    url = f"http://127.0.0.1:{server.server_address[1]}{path}"
    answer = urllib3.request(method, url, body=body, timeout=30, retries=False)
    return answer.status, json.loads(answer.data)


def test_the_answer_is_the_row(server: Server) -> None:
    host = Host("page-views", "page-views-log", "writers")
    status, answer = ask(server, "POST", "/views", b'{"page": "/first"}')
    assert (status, answer["later"]) == (202, "/views/page-views%2F0%401")
    assert answer["error"].startswith("page-views/0@1 was not written within 1 s")
    server.views.timeout = 30
    waiting = Thread(target=lambda: answers.append(ask(server, "POST", "/views", b'{"page": "/second"}')))
    answers: list[tuple[int, Any]] = []
    waiting.start()
    server.views.reader.query(Query("INSERT INTO page_views VALUES ('/first', 0, 0), ('/second', 0, 1)"))
    assert answers == []
    host.advance("writers", 0, 3)
    waiting.join()
    assert answers == [(200, {"page": "/second", "kafka_partition": 0, "kafka_offset": 1})]
    assert ask(server, "GET", answer["later"])[1]["page"] == "/first"
    # The third is written, and no row came of it.
    assert ask(server, "POST", "/views", b"nonsense")[0] == 422
    assert ask(server, "GET", "/views/nonsense")[0] == 404
    assert ask(server, "POST", "/elsewhere")[0] == 404

"""What a reader sends, to servers that are played."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qsl, urlsplit

import pytest

from tidegate import Consistency, NoTables, Query, Reader, Refused, Unreachable

NOWHERE = "http://127.0.0.1:9"


class Server(ThreadingHTTPServer):
    """Answers with its name, or refuses with a code; records what it was asked."""

    def __init__(self, name: str, code: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.name, self.code = name, code
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.headers: dict[str, str] = {}
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        sql = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append((sql, dict(parse_qsl(urlsplit(self.path).query))))
        self.server.headers = dict(self.headers)
        code = self.server.code
        body = self.server.name.encode() if code is None else b"DB::Exception"
        self.send_response(200 if code is None else 500)
        if code is not None:
            self.send_header("X-ClickHouse-Exception-Code", str(code))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def servers() -> Iterator[dict[str, Server]]:
    made = {"a": Server("a"), "b": Server("b"), "behind": Server("behind", 289), "broken": Server("broken", 60)}
    yield made
    for server in made.values():
        server.shutdown()
        server.server_close()


def test_a_query_sends_its_profile_and_what_was_asked_for(servers: dict[str, Server]) -> None:
    server = servers["a"]
    reader = Reader([server.url], database="d", user="u", password="p", consistency=Consistency.IN_ORDER)
    query = Query("SELECT {n:UInt8}", parameters={"n": "5"}, merged=True, filters={"it's": "id NOT IN (7)"})
    assert reader.query(query) == b"a"
    arguments = {
        "wait_end_of_query": "1",
        "load_balancing": "in_order",
        "prefer_localhost_replica": "0",
        "final": "1",
        "additional_table_filters": r"{'it\'s':'id NOT IN (7)'}",
        "param_n": "5",
    }
    assert server.asked == [("SELECT {n:UInt8}", arguments)]
    sent = {name: value for name, value in server.headers.items() if name.startswith("X-ClickHouse")}
    assert sent == {"X-ClickHouse-Database": "d", "X-ClickHouse-User": "u", "X-ClickHouse-Key": "p"}


@pytest.mark.parametrize(
    ("consistency", "expected"),
    [
        (Consistency.EVENTUAL, "aba"),
        (Consistency.QUORUM, "aba"),
        (Consistency.IN_ORDER, "aaa"),
        (Consistency.IN_ORDER_QUORUM, "aaa"),
        (Consistency.SEQUENTIAL, "aaa"),
        (Consistency.SHARD_LOCAL, "aaa"),
    ],
)
def test_hosts_are_asked_in_the_order_of_the_profile(
    servers: dict[str, Server], consistency: Consistency, expected: str
) -> None:
    reader = Reader([servers["a"].url, servers["b"].url], consistency=consistency)
    assert b"".join(reader.query(Query("SELECT 1")) for _ in expected).decode() == expected


def test_a_host_that_cannot_answer_is_passed_over(servers: dict[str, Server]) -> None:
    hosts = [NOWHERE, servers["behind"].url, servers["a"].url]
    assert Reader(hosts, consistency=Consistency.SEQUENTIAL).query(Query("SELECT 1")) == b"a"
    with pytest.raises(Refused, match="code 289, DB::Exception"):
        Reader(hosts[:2], consistency=Consistency.SEQUENTIAL).query(Query("SELECT 1"))
    # There is no other node than the one that was written to.
    with pytest.raises(Unreachable, match=NOWHERE):
        Reader(hosts, consistency=Consistency.SHARD_LOCAL).query(Query("SELECT 1"))


def test_a_query_that_is_wrong_is_asked_once(servers: dict[str, Server]) -> None:
    reader = Reader([servers["broken"].url, servers["a"].url], consistency=Consistency.IN_ORDER)
    with pytest.raises(Refused) as raised:
        reader.query(Query("SELECT nonsense"))
    assert raised.value.code == 60
    assert servers["a"].asked == []


def test_synced_brings_tables_up_to_date_on_the_host_that_answers(servers: dict[str, Server]) -> None:
    reader = Reader([servers["a"].url], consistency=Consistency.SYNCED)
    with pytest.raises(NoTables):
        reader.query(Query("SELECT 1"))
    reader.query(Query("SELECT 1", tables=["d.it`s"]))
    statements = [sql for sql, _ in servers["a"].asked]
    assert statements == [r"SYSTEM SYNC REPLICA `d`.`it\`s` LIGHTWEIGHT", "SELECT 1"]


@pytest.mark.parametrize("hosts", [[], "http://127.0.0.1:8123"])
def test_hosts_must_be_a_list(hosts: list[str]) -> None:
    with pytest.raises(ValueError, match="no host is named"):
        Reader(hosts)

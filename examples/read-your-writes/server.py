"""An HTTP handler that writes to Kafka and answers with the row: `POST /views` with `{"page": "…"}`.

Nothing here writes to ClickHouse. The handler waits until the groups that do have written its message, and reads then:
the answer is the row as every later reader sees it. Whoever cannot wait so long gets a token, and asks with it later:
`GET /views/TOKEN`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import quote, unquote

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from tidegate import CommitLog, Consistency, Query, Reader, Token, TokenError, WaitTimedOut

ROW = """SELECT page, kafka_partition, kafka_offset FROM page_views
WHERE kafka_partition = {partition:Int32} AND kafka_offset = {offset:Int64} FORMAT JSONEachRow"""


@dataclass
class Views:
    """Page views: a topic, and the table that becomes of it."""

    producer: Producer
    log: CommitLog
    reader: Reader
    topic: str
    groups: Sequence[str]
    """The consumer groups that write the table."""
    timeout: float
    """How long a request may wait for its row, seconds."""

    def write(self, view: bytes) -> Token:
        """Sends it, and says where it went. Raises `confluent_kafka.KafkaException` if it was not taken."""
        sent: Future[Token] = Future()

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is None:
                sent.set_result(Token.of(message))
            else:
                sent.set_exception(KafkaException(error))

        self.producer.produce(self.topic, view, on_delivery=delivered)
        return sent.result()

    def read(self, token: Token) -> bytes:
        """The row of the message before the token's position. Raises `WaitTimedOut`."""
        self.log.wait_for(token, self.groups, self.timeout)
        parameters = {"partition": str(token.partition.number), "offset": str(token.position - 1)}
        return self.reader.query(Query(ROW, parameters))


class Handler(BaseHTTPRequestHandler):
    """Each request has a thread, as the server makes them."""

    server: Server

    def do_POST(self) -> None:
        """Writes a view, and answers with its row."""
        if self.path != "/views":
            return self.answer(404, {"error": "there is only /views"})
        view = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            token = self.server.views.write(view)
        except KafkaException as error:
            return self.answer(503, {"error": f"the view was not taken: {error}"})
        self.answer_with_row(token)

    def do_GET(self) -> None:
        """Answers with the row of a token that was given before."""
        try:
            token = Token.parse(unquote(self.path.removeprefix("/views/")))
        except TokenError as error:
            return self.answer(404, {"error": str(error)})
        self.answer_with_row(token)

    def answer_with_row(self, token: Token) -> None:
        """202 and the token when the row is not there in time."""
        try:
            row = self.server.views.read(token)
        except WaitTimedOut as error:
            return self.answer(202, {"error": str(error), "later": f"/views/{quote(str(token), safe='')}"})
        if not row:
            # It is written, and no row came of it: the processor has skipped or rejected it.
            return self.answer(422, {"error": "no row came of this view"})
        self.answer(200, json.loads(row))

    def answer(self, status: int, body: dict[str, Any]) -> None:
        """As JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Server(ThreadingHTTPServer):
    """Serves views. Delivery reports come in a thread of its own."""

    def __init__(self, address: tuple[str, int], views: Views) -> None:
        super().__init__(address, Handler)
        self.views = views
        self.is_over = False
        Thread(target=self.poll, daemon=True).start()

    def poll(self) -> None:
        """Until the server is closed."""
        while not self.is_over:
            self.views.producer.poll(0.1)

    def server_close(self) -> None:
        """Ends the polling as well."""
        self.is_over = True
        super().server_close()


def main() -> None:
    """Servers by environment variables; see the README."""
    kafka = {"bootstrap.servers": os.environ.get("KAFKA", "127.0.0.1:9092")}
    clickhouse = os.environ.get("CLICKHOUSE", "http://127.0.0.1:8123")
    with CommitLog(kafka, os.environ.get("COMMIT_LOG", "commit-log")) as log:
        views = Views(
            producer=Producer({**kafka, "linger.ms": 1}),
            log=log,
            reader=Reader([clickhouse], consistency=Consistency.IN_ORDER),
            topic="page-views",
            groups=[os.environ.get("GROUP", "page-views")],
            timeout=10,
        )
        with Server(("127.0.0.1", 8080), views) as server:
            server.serve_forever()


if __name__ == "__main__":
    main()

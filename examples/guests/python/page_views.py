"""Page views: JSON in, JSON rows out. The same processor as in ../c and ../javascript."""

import json

from componentize_py_types import Err
from wit_world.imports import host
from wit_world.imports.types import (
    Batch, Column, Config, Manifest, Output, Processed, Rejection, RowFormat, Rows, Wants)

ROWS, SKIPPED, REJECTED = 0, 1, 4

# The largest whole number that every reader of JSON keeps exactly.
EXACT_MAX = 2**53 - 1

COLUMNS = [
    ("visitor", "UInt64"),
    ("path", "String"),
    ("at", "DateTime"),
    ("referrer", "Nullable(String)"),
    ("tags", "Array(String)"),
]


class Rejected(Exception):
    """The message cannot become a row; the text says why."""


class Processor:
    """The world's export of this name."""

    def describe(self) -> Manifest:
        columns = [Column(name, kind) for name, kind in COLUMNS]
        output = Output("page_views", RowFormat.JSON_EACH_ROW, columns)
        return Manifest("page-views", "0.1.0", [output], Wants(0), "")

    def init(self, config: Config) -> None:
        if json.loads(config.params or "{}"):
            raise Err("there are no settings")

    def process(self, batch: Batch) -> Processed:
        outcomes, rejections = bytearray(), []
        rows, row_ends, sources = [], [], []
        start = end_of_rows = heartbeats = 0
        for number, end in enumerate(batch.ends):
            payload = batch.payloads[start:end]
            start = end
            try:
                row = page_view(payload)
            except Rejected as reason:
                rejections.append(Rejection(number, str(reason)))
                outcomes.append(REJECTED)
                continue
            if row is None:
                heartbeats += 1
                outcomes.append(SKIPPED)
                continue
            line = json.dumps(row).encode()
            end_of_rows += len(line)
            rows.append(line)
            row_ends.append(end_of_rows)
            sources.append(number)
            outcomes.append(ROWS)
        if heartbeats:
            host.count("heartbeats", heartbeats)
        written = [Rows(0, b"".join(rows), row_ends, sources)]
        return Processed(bytes(outcomes), written, None, [], rejections, [])


def page_view(payload: bytes):
    """The row of a message, or None for a heartbeat."""
    message = parse(payload)
    kind = message.get("kind")
    if kind == "heartbeat":
        return None
    if kind != "view":
        raise Rejected(f"unknown kind: {kind}" if isinstance(kind, str) else "kind is not a text")
    referrer = message.get("referrer")
    return {
        "visitor": whole(message, "visitor", EXACT_MAX),
        "path": text("path", message.get("path")),
        "at": whole(message, "at", 2**32 - 1),
        "referrer": None if referrer is None else text("referrer", referrer),
        "tags": texts("tags", message.get("tags", [])),
    }


def parse(payload: bytes) -> dict:
    try:
        message = json.loads(payload.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise Rejected("not a JSON object")
    return message


def refuse(constant: str):
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError(constant)


def whole(message: dict, name: str, most: int) -> int:
    value = message.get(name)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= most or value != int(value):
        raise Rejected(f"{name} is not a whole number up to {most}")
    return int(value)


def text(name: str, value) -> str:
    if not isinstance(value, str):
        raise Rejected(f"{name} is not a text")
    return value


def texts(name: str, value) -> list:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Rejected(f"{name} is not a list of texts")
    return value

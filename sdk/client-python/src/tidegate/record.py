"""Records of the commit log, bytes and back: "group G has written partition P up to position N".

This knows no Kafka and decides nothing. The rules are those of the crate `commit-log`; both languages run
`sdk/client/vectors/codec.json`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, NamedTuple, NoReturn

from tidegate.legacy import seconds

_I32_MAX = 2**31 - 1
_I64_MAX = 2**63 - 1
_U64_MAX = 2**64 - 1


class DecodeError(ValueError):
    """A message that is no record: count it, pass over it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not a commit-log record: {reason}")


class Key(NamedTuple):
    """What a record is about; its bytes are the key of the Kafka message, so that compaction keeps the last of each."""

    topic: str
    partition: int
    group: str

    @classmethod
    def decode(cls, key: bytes) -> Key:
        """Reads `topic:partition:group`. The group may contain colons, a topic cannot. Raises `DecodeError`."""
        text = _text(key, "key")
        parts = text.split(":", 2)
        if len(parts) != 3:
            raise DecodeError(f"the key {text!r} is not topic:partition:group")
        topic, partition, group = parts
        if not topic or not group:
            raise DecodeError(f"the key {text!r} names no topic or no group")
        number = _digits(partition, _I32_MAX) if _is_digits(partition) else None
        if number is None:
            raise DecodeError(f"partition {partition!r} in the key")
        return cls(topic, number, group)

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.group}"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the messages of a range. The outcomes sum to `messages`."""

    messages: int = 0
    inserted: int = 0
    """Messages that became rows."""
    rows: int = 0
    """Rows of these, and rows written before rewrites, over all storages."""
    skipped: int = 0
    unselected: int = 0
    """Messages that the pipeline did not select."""
    replacements: int = 0
    rewrites: int = 0
    dead_letters: int = 0
    storages: dict[str, int] = field(default_factory=dict)
    """Of `rows`, those of each storage, by its name; empty when the writer does not say."""
    start: int | None = None
    """First offset of the range, which ends before the record's `offset`; none when the writer does not say."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. The wire calls a position `offset`: the next one to consume."""

    topic: str
    partition: int
    group: str
    offset: int
    """Next offset to consume: everything before it is written."""
    orig_message_ts: float = 0.0
    """Broker timestamp of the last message before `offset`, Unix seconds; 0 when it is not known."""
    received_p99: float | None = None
    """99th percentile of when the range's messages were first received, Unix seconds."""
    epoch: int = 0
    """Rises when the group goes back on purpose, so that a lower position can replace a higher one."""
    topic_id: str | None = None
    """Which of the topics that ever had this name, as Kafka prints its id; none when the writer does not say."""
    counts: Counts | None = None
    """What became of the range that this record closes; none when it repeats an earlier one."""

    @property
    def about(self) -> Key:
        return Key(self.topic, self.partition, self.group)

    def key(self) -> bytes:
        """`topic:partition:group`"""
        return str(self.about).encode()

    def value(self) -> bytes:
        """`{"offset":5,"orig_message_ts":1696381946.0,"received_p99":null}`, and our own fields after these.

        Raises `ValueError` for a time that is not finite: JSON has no text for it.
        """
        value: dict[str, Any] = {
            "offset": self.offset,
            "orig_message_ts": float(self.orig_message_ts),
            "received_p99": self.received_p99,
        }
        if self.epoch != 0:
            value["epoch"] = self.epoch
        if self.topic_id is not None:
            value["topic_id"] = self.topic_id
        if self.counts is not None:
            value["counts"] = _written(self.counts)
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()

    def repeated(self) -> Record:
        """The same position said again: it closes no range."""
        return replace(self, counts=None)

    @classmethod
    def decode(cls, key: bytes, value: bytes, orig_message_ts: bytes | None = None) -> Record:
        """Reads both formats: JSON, and decimal digits with a header `orig_message_ts` (the header's bytes).

        Fields that are not known are passed over. Raises `DecodeError` if key or value is something else.
        """
        about = Key.decode(key)
        text = _text(value, "value")
        if not _is_digits(text):
            return _of_json(about, text)
        offset = _digits(text, _I64_MAX)
        if offset is None:
            raise DecodeError("the offset is too large")
        return cls(*about, offset, orig_message_ts=_time_of_header(orig_message_ts))


def _written(counts: Counts) -> dict[str, Any]:
    """`rewrites` and `storages` are left out when there are none, and `start` when it is not known."""
    value = asdict(counts)
    for name in ("rewrites", "storages"):
        if not value[name]:
            del value[name]
    if counts.start is None:
        del value["start"]
    return value


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise DecodeError(f"the {what} is not UTF-8") from None


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _digits(text: str, most: int) -> int | None:
    """None above `most`. Python refuses to read thousands of digits; twenty are too many already."""
    number = int(text.lstrip("0")[:20] or "0")
    return number if number <= most else None


def _time_of_header(header: bytes | None) -> float:
    """A header that is no time is none: the position is what matters."""
    try:
        return (seconds(header.decode()) if header is not None else None) or 0.0
    except UnicodeDecodeError:
        return 0.0


def _of_json(about: Key, text: str) -> Record:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"value: {error}") from None
    if not isinstance(value, dict):
        raise DecodeError("the value is neither digits nor a JSON object")
    return Record(
        *about,
        offset=_integer(value, "offset", _I64_MAX),
        orig_message_ts=_time(value, "orig_message_ts") or 0.0,
        received_p99=_time(value, "received_p99") or None,
        epoch=_integer(value, "epoch", _U64_MAX, 0),
        topic_id=_topic_id(value),
        counts=_counts(value.get("counts")),
    )


def _no_constant(name: str) -> NoReturn:
    """Python reads NaN and Infinity, which are no JSON."""
    raise ValueError(f"{name} is no number of JSON")


def _integer(value: dict[str, Any], name: str, most: int, default: int | None = None) -> int:
    found = value.get(name, default)
    # True is an int to Python.
    if type(found) is not int or not 0 <= found <= most:
        raise DecodeError(f"{name} is {found!r}")
    return found


def _time(value: dict[str, Any], name: str) -> float | None:
    found = value.get(name)
    if found is None:
        return None
    try:
        time = float(found) if type(found) in (int, float) else math.nan
    except OverflowError:
        time = math.inf
    if not math.isfinite(time):
        raise DecodeError(f"{name} is {found!r}")
    return time


def _topic_id(value: dict[str, Any]) -> str | None:
    found = value.get("topic_id")
    if found is not None and not (isinstance(found, str) and _is_unicode(found)):
        raise DecodeError(f"topic_id is {found!r}")
    return found


def _counts(value: object) -> Counts | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise DecodeError(f"counts is {value!r}")
    storages = value.get("storages", {})
    if not isinstance(storages, dict) or not all(map(_is_unicode, storages)):
        raise DecodeError(f"storages is {storages!r}")
    names = (of.name for of in fields(Counts) if of.name not in ("storages", "start"))
    numbers = {name: _integer(value, name, _U64_MAX, 0) for name in names}
    start = None if value.get("start") is None else _integer(value, "start", _I64_MAX)
    return Counts(**numbers, storages={name: _integer(storages, name, _U64_MAX) for name in storages}, start=start)


def _is_unicode(text: str) -> bool:
    """JSON can say half a character."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)

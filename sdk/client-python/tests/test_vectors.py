"""Runs the vectors of `sdk/client/vectors`, which the Rust crate runs too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidegate import follower as f
from tidegate import gate as g
from tidegate import waiters as w
from tidegate.partition import Partition, Token
from tidegate.record import Counts, DecodeError, Key, Record

VECTORS = Path(__file__).parents[2] / "client" / "vectors"
Case = dict[str, Any]


def read(file: str) -> list[Case]:
    cases: list[Case] = json.loads((VECTORS / file).read_text())
    assert len({case["name"] for case in cases}) == len(cases), f"{file} has a name twice"
    return cases


def each(file: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", read(file), ids=lambda case: case["name"])


def run(case: Case, step: Callable[[str, int], list[str]]) -> None:
    for number, (at_ms, text, expected) in enumerate(case["steps"], 1):
        assert step(text, at_ms) == expected, f"step {number}: {text}"


@each("follower.json")
def test_the_follower_does_what_the_vectors_say(case: Case) -> None:
    follower = f.Follower(case["groups"], case["repair_ms"])

    def step(text: str, at_ms: int) -> list[str]:
        match text.split():
            case ["readable"]:
                return [str(partition) for partition in follower.readable()]
            case ["watermark", of]:
                return [shown(follower.watermark(partition(of)))]
            case words:
                return [output(found) for found in follower.handle(follower_input(words), at_ms)]

    run(case, step)


@each("waiters.json")
def test_the_waiters_do_what_the_vectors_say(case: Case) -> None:
    waiters = w.Waiters(case["repair_ms"])
    run(case, lambda text, at_ms: [wait_output(found) for found in waiters.handle(wait_input(text.split()), at_ms)])


def test_every_invariant_of_a_follower_is_shown() -> None:
    """Of the fifteen, these are about the host: truth (1), prefix commits (2), the order of commit and record (3)."""
    cases = read("follower.json") + read("waiters.json")
    assert {shown for case in cases for shown in case["shows"]} == set(range(4, 16))


@each("codec.json")
def test_the_codec_does_what_the_vectors_say(case: Case) -> None:
    key, value, header = data(case["key"]), data(case["value"]), case["header"]
    if case["record"] is None:
        with pytest.raises(DecodeError):
            Record.decode(key, value, header and data(header))
        return
    record = Record.decode(key, value, header and data(header))
    counts = case["record"].pop("counts")
    assert record == Record(**case["record"], counts=counts and Counts(**counts))
    assert isinstance(record.orig_message_ts, float)
    if case["written"]:
        assert (record.key(), record.value()) == (key, value)


def data(text: str) -> bytes:
    return bytes.fromhex(text[4:]) if text.startswith("hex:") else text.encode()


def partition(text: str) -> Partition:
    topic, number = text.rsplit("/", 1)
    return Partition(topic, int(number))


def key(text: str) -> Key:
    return Key.decode(text.encode())


def shown(position: int | None) -> str:
    return "none" if position is None else str(position)


def fact(words: list[str]) -> g.Fact:
    match words:
        case ["log-partitions", count]:
            return g.LogPartitions(int(count))
        case ["log-end", number]:
            return g.LogEnd(int(number))
        case ["record", of, offset, *rest]:
            named = dict(word.split("=") for word in rest)
            epoch, topic_id = int(named.pop("epoch", 0)), named.pop("topic", None)
            assert not named
            return Record(*key(of), int(offset), epoch=epoch, topic_id=topic_id)
        case ["tombstone", of]:
            return g.Tombstone(key(of))
        case ["topic", name, id]:
            return g.Topic(name, id)
        case ["committed", of, position]:
            return g.Committed(key(of), None if position == "none" else int(position))
        case ["ask-failed", of]:
            return g.AskFailed(key(of))
    raise AssertionError(f"no input: {words}")


def follower_input(words: list[str]) -> f.Input:
    many: dict[str, Callable[[list[Partition]], f.Input]]
    many = {"assigned": f.Assigned, "revoked": f.Revoked, "pause": f.Pause, "resume": f.Resume}
    match words:
        case ["message", message]:
            return f.Read(*Token.parse(message))
        case ["tick"]:
            return f.Tick()
        case [verb, *rest] if verb in many:
            return many[verb]([partition(word) for word in rest])
    return fact(words)


def wait_input(words: list[str]) -> w.WaitInput:
    match words:
        case ["wait", id, of, groups, deadline]:
            names = groups.removeprefix("groups=").split(",")
            return w.Wait(int(id), Token.parse(of), names, int(deadline.removeprefix("deadline=")))
        case ["cancel", id]:
            return w.Cancel(int(id))
        case ["tick"]:
            return f.Tick()
    return fact(words)


def output(found: f.Output) -> str:
    match found:
        case f.Deliver(of, offset):
            return f"deliver {of}@{offset}"
        case f.Hold(of, offset):
            return f"hold {of}@{offset}"
        case f.Drop(of, offset):
            return f"drop {of}@{offset}"
        case f.Rewound(about, start, end):
            return f"report rewound {about} {start} -> {end}"
        case f.CommittedBelow(about, committed, recorded):
            return f"report committed-below {about} {shown(committed)} < {recorded}"
        case f.WentBack(of, offset, expected):
            return f"report went-back {of}@{offset} expected {expected}"
    return question(found)


def question(found: g.Ask | g.Describe) -> str:
    return f"ask {found.key}" if isinstance(found, g.Ask) else f"describe {found.topic}"


def wait_output(found: w.WaitOutput) -> str:
    match found:
        case w.Done(id):
            return f"done {id}"
        case w.TimedOut(id, reached):
            return " ".join([f"timed-out {id}", *(f"{group}={shown(at)}" for group, at in reached.items())])
    return question(found)

"""Windows as ticks and restarts come, and the file of subscriptions."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule import Schedule, Settings, Starts, Subscription, SubscriptionsError
from ticks import Clock

NOW = 1_700_000_000


def settings(*steps: int, late_ms: int = 0) -> Settings:
    made = (Subscription(name=f"every {step}", query="", step_seconds=step, above=0) for step in steps)
    return Settings(clock=Clock.ORIG_MESSAGE_TS, late_ms=late_ms, subscriptions=tuple(made))


@given(st.lists(st.tuples(st.integers(0, 9_000), st.booleans()), min_size=1), st.integers(0, 3_000))
def test_each_window_comes_once_in_order_and_not_before_it_is_written(
    steps: list[tuple[int, bool]], late_ms: int
) -> None:
    of = settings(1, 3, late_ms=late_ms)
    saved: list[Starts] = [{}]
    schedule = Schedule(of, {}, lambda starts: saved.append(dict(starts)))
    windows: dict[str, list[tuple[int, int]]] = {"every 1": [], "every 3": []}
    tick_ms = NOW * 1000
    for ms, is_restarted in steps:
        tick_ms += ms
        if is_restarted:
            schedule = Schedule(of, saved[-1], lambda starts: saved.append(dict(starts)))
        for subscription in schedule.subscriptions:
            while window := schedule.due(subscription, tick_ms):
                assert window.end * 1000 + late_ms <= tick_ms
                windows[subscription.name].append((window.start, window.end))
                schedule.done(window)
    for subscription in of.subscriptions:
        step, seen = subscription.step_seconds, windows[subscription.name]
        first = (NOW * 1000 + steps[0][0] - late_ms) // 1000 // step * step
        last = (tick_ms - late_ms) // 1000
        assert seen == [(start, start + step) for start in range(first, last - step + 1, step)]


def test_a_window_stays_due_until_it_is_done() -> None:
    of = settings(10)
    schedule = Schedule(of, {"every 10": NOW}, lambda starts: None)
    first = schedule.due(of.subscriptions[0], (NOW + 25) * 1000)
    assert first is not None and first == schedule.due(of.subscriptions[0], (NOW + 25) * 1000)
    schedule.done(first)
    second = schedule.due(of.subscriptions[0], (NOW + 25) * 1000)
    assert second is not None and (first.end, second.start, second.end) == (NOW + 10, NOW + 10, NOW + 20)


def test_a_subscription_that_was_away_begins_anew() -> None:
    """Nobody wants the windows of all the time between."""
    saved: list[Starts] = []
    Schedule(settings(10), {"every 10": NOW, "every 20": NOW}, saved.append).due(settings(10).subscriptions[0], NOW)
    schedule = Schedule(settings(20), {"every 10": NOW}, saved.append)
    assert schedule.due(settings(20).subscriptions[0], (NOW + 1_000) * 1000) is None
    assert saved == [{"every 20": NOW + 1_000}]


@pytest.mark.parametrize(
    ("bounds", "value", "expected"),
    [
        ({"above": 5}, 5.0, False),
        ({"above": 5}, 5.1, True),
        ({"below": 5}, 5.0, False),
        ({"below": 5}, 4.9, True),
        ({"above": 5, "below": 1}, 0.0, True),
        ({"above": 5, "below": 1}, 3.0, False),
        ({"below": 5}, None, False),
    ],
)
def test_an_alert_is_beyond_a_bound(bounds: dict[str, float], value: float | None, expected: bool) -> None:
    assert Subscription(name="a", query="", step_seconds=1, **bounds).is_alert(value) == expected


def test_the_file_of_the_example_is_read() -> None:
    read = Settings.parse((Path(__file__).parent / "subscriptions.json").read_text())
    assert (read.clock, read.late_ms) == (Clock.ORIG_MESSAGE_TS, 5_000)
    assert [(of.step_seconds, of.above, of.below) for of in read.subscriptions] == [(60, 1000, None), (300, None, 1)]


ONE: dict[str, Any] = {"name": "a", "query": "SELECT 1", "step_seconds": 60, "above": 1}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"clock": "wall"}, "clock is 'wall'\nhint: known are orig_message_ts, received_p99"),
        ({"late_seconds": "5"}, "late_seconds is '5'"),
        ({"late_seconds": -1}, "late_seconds is -1"),
        ({"late_seconds": math.nan}, "late_seconds is nan"),
        ({"later": 5}, "the file must be an object of clock, late_seconds and subscriptions"),
        ({"subscriptions": {}}, "subscriptions must be a list"),
        ({"subscriptions": [ONE, ONE]}, "more than one subscription has the name a"),
        ({"subscriptions": [ONE, {**ONE, "name": "b", "abov": 1}]}, "subscription 2: .*'abov'"),
        ({"subscriptions": [{**ONE, "step_seconds": 0.5}]}, "subscription 1: step_seconds is 0.5"),
        ({"subscriptions": [{**ONE, "above": None}]}, "subscription 1: nothing would be an alert"),
        ({"subscriptions": [{**ONE, "above": "1"}]}, "subscription 1: '1' is no number"),
        ({"subscriptions": [{**ONE, "query": 1}]}, "subscription 1: name and query must be texts"),
        ({"subscriptions": [1]}, "subscription 1: "),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(change: dict[str, Any], expected: str) -> None:
    given = {"clock": "orig_message_ts", "late_seconds": 0, "subscriptions": [ONE], **change}
    with pytest.raises(SubscriptionsError, match=expected):
        Settings.parse(json.dumps(given))


def test_a_file_that_is_no_json_is_refused() -> None:
    with pytest.raises(SubscriptionsError, match="the file is no JSON: Expecting"):
        Settings.parse("clock: orig_message_ts")

"""Which window of which subscription is to be queried next. This knows neither Kafka nor ClickHouse nor a clock."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ticks import Clock


class SubscriptionsError(ValueError):
    """A file of subscriptions that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A query for every window of time, and what is too much or too little of its number."""

    name: str
    query: str
    """A SELECT of one number, with the parameters `{start:DateTime}` and `{end:DateTime}` of the window."""
    step_seconds: int
    """How long a window is; the next one begins where it ends."""
    above: float | None = None
    below: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.query, str):
            raise SubscriptionsError("name and query must be texts")
        if type(self.step_seconds) is not int or self.step_seconds < 1:
            raise SubscriptionsError(f"step_seconds is {self.step_seconds!r}\nhint: give whole seconds, at least one")
        for bound in (self.above, self.below):
            if bound is not None and type(bound) not in (int, float):
                raise SubscriptionsError(f"{bound!r} is no number to compare with")
        if self.above is None and self.below is None:
            raise SubscriptionsError("nothing would be an alert\nhint: give above, below, or both")

    def is_alert(self, value: float | None) -> bool:
        """Of no number nothing can be said."""
        if value is None:
            return False
        return (self.above is not None and value > self.above) or (self.below is not None and value < self.below)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A file of subscriptions."""

    clock: Clock
    late_ms: int
    """How much later than its time a row may reach Kafka. Windows wait for so long; what comes later is missed."""
    subscriptions: tuple[Subscription, ...]

    @classmethod
    def parse(cls, text: str) -> Settings:
        """Reads JSON. Raises `SubscriptionsError`, which says where."""
        try:
            given = json.loads(text)
        except ValueError as error:
            raise SubscriptionsError(f"the file is no JSON: {error}") from None
        if not isinstance(given, dict) or set(given) != {"clock", "late_seconds", "subscriptions"}:
            raise SubscriptionsError("the file must be an object of clock, late_seconds and subscriptions")
        clock, late, found = given["clock"], given["late_seconds"], given["subscriptions"]
        known = [of.value for of in Clock]
        if clock not in known:
            raise SubscriptionsError(f"clock is {clock!r}\nhint: known are {', '.join(known)}")
        if type(late) not in (int, float) or not 0 <= late < math.inf:
            raise SubscriptionsError(f"late_seconds is {late!r}\nhint: give seconds, 0 or more")
        if not isinstance(found, list):
            raise SubscriptionsError("subscriptions must be a list")
        subscriptions = tuple(_subscription(number, fields) for number, fields in enumerate(found, 1))
        _refuse_doubles(subscriptions)
        return cls(clock=Clock(clock), late_ms=round(late * 1000), subscriptions=subscriptions)


class Window(NamedTuple):
    """`[start, end)` in Unix seconds."""

    subscription: Subscription
    start: int

    @property
    def end(self) -> int:
        return self.start + self.subscription.step_seconds


Starts = Mapping[str, int]
"""Where the next window of each subscription begins, by its name, in Unix seconds."""


class Schedule:
    """Each window of a subscription comes once, in order, without gaps, and not before it is written."""

    def __init__(self, settings: Settings, starts: Starts, save: Callable[[Starts], None]) -> None:
        """Goes on at `starts`; a subscription that has none begins at the first tick. `save` is told every change."""
        self.subscriptions = settings.subscriptions
        self._late_ms = settings.late_ms
        # Of names that are not there any more nothing is kept: whoever comes back begins anew.
        self._starts = {of.name: starts[of.name] for of in self.subscriptions if of.name in starts}
        self._save = save

    def due(self, subscription: Subscription, tick_ms: int) -> Window | None:
        """The window to query next, if all its rows are written. It stays due until it is `done`."""
        name, step = subscription.name, subscription.step_seconds
        # Rows of windows that end here are not only written: those that come late are, too.
        written = (tick_ms - self._late_ms) // 1000
        if name not in self._starts:
            self._set(name, written // step * step)
        window = Window(subscription, self._starts[name])
        return window if window.end <= written else None

    def done(self, window: Window) -> None:
        """It has been queried, and what came of it was said."""
        self._set(window.subscription.name, window.end)

    def _set(self, name: str, start: int) -> None:
        self._starts[name] = start
        self._save(self._starts)


def _subscription(number: int, fields: Any) -> Subscription:
    try:
        return Subscription(**fields)
    except (SubscriptionsError, TypeError) as error:
        raise SubscriptionsError(f"subscription {number}: {error}") from None


def _refuse_doubles(subscriptions: tuple[Subscription, ...]) -> None:
    names = [of.name for of in subscriptions]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise SubscriptionsError(f"more than one subscription has the name {', '.join(doubles)}")

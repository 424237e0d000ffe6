"""The time that the reference's older records carry in a header: `2023-10-04T01:12:26.000000Z`."""

from __future__ import annotations

import re
from calendar import timegm

_TIME = re.compile(r"([0-9]+)-([0-9]+)-([0-9]+)T([0-9]+):([0-9]+):([0-9]+)(?:\.([0-9]+))?Z")
_ALLOWED = (range(1970, 10_000), range(1, 13), range(1, 32), range(24), range(60), range(61))


def seconds(text: str) -> float | None:
    """Unix seconds; none when the text is no such time."""
    found = _TIME.fullmatch(text)
    # Python refuses to read thousands of digits.
    if found is None or len(text) > 100:
        return None
    *whole, fraction = found.groups(default="0")
    numbers = tuple(map(int, whole))
    if not all(number in allowed for number, allowed in zip(numbers, _ALLOWED, strict=True)):
        return None
    return timegm(numbers) + float(f"0.{fraction}")

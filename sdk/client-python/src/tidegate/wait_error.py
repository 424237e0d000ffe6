"""Why a wait ended before its position was written."""

from __future__ import annotations

from tidegate.partition import Token


class WaitError(Exception):
    """A wait ended before its position was written."""


class WaitTimedOut(WaitError, TimeoutError):
    """The position was not written in time."""

    def __init__(self, token: Token, timeout: float, reached: dict[str, int | None]) -> None:
        self.token = token
        self.timeout = timeout
        """Seconds."""
        self.reached = reached
        """How far each group is known to have come."""
        groups = ", ".join(_describe(group, position) for group, position in reached.items())
        super().__init__(f"{token} was not written within {timeout:g} s: {groups}")


class CommitLogEnded(WaitError):
    """The commit log is not read any more."""

    def __init__(self) -> None:
        super().__init__("the commit log is not read any more")


def _describe(group: str, position: int | None) -> str:
    quoted = f'"{group}"'
    return f"of group {quoted} nothing is known" if position is None else f"group {quoted} has come to {position}"

"""Consistency profiles, as a read needs them. What they ask of the insert is the writer's to do: without it they
promise nothing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class UnknownConsistency(ValueError):
    """A name that no profile has."""

    def __init__(self, name: object) -> None:
        known = ", ".join(profile.value for profile in Consistency)
        super().__init__(f'there is no consistency "{name}"\nhint: known are {known}')


class Route(Enum):
    """Which node is asked first, and whether another may be asked."""

    ANY = "any"
    """They take turns."""
    IN_ORDER = "in-order"
    """The first that can be reached."""
    FIRST = "first"
    """The first and no other."""


class Consistency(Enum):
    """What a read may rely on. Prices are those of the read; the insert has its own."""

    EVENTUAL = "eventual"
    """Nothing, for nothing: any replica answers, however far behind."""
    IN_ORDER = "in-order"
    """The first replica that is healthy answers, which is the one that inserts go to: one's own writes are seen while
    it stays up. It carries the load."""
    IN_ORDER_QUORUM = "in-order+quorum"
    """As `IN_ORDER`, and another replica of the quorum has the rows when the first one fails."""
    QUORUM = "quorum"
    """Any replica of the quorum. With two replicas that is all of them; with three, one read in three may be stale."""
    SEQUENTIAL = "sequential"
    """A replica that lacks confirmed parts refuses, and the next is asked: 1–10 ms for a look into the keeper. Needs
    inserts with `insert_quorum_parallel=0`, else the answer is silently stale."""
    SYNCED = "synced"
    """The replica that answers first fetches what it lacks (`SYSTEM SYNC REPLICA … LIGHTWEIGHT`, ClickHouse 23.5):
    needs that privilege, and the tables named with the query."""
    SHARD_LOCAL = "shard-local"
    """The one node that is written to is read; there is no other."""

    @classmethod
    def _missing_(cls, value: object) -> Consistency:
        raise UnknownConsistency(value)

    @property
    def settings(self) -> Mapping[str, str]:
        """What is sent with each SELECT.

        Without `prefer_localhost_replica=0` the node that is asked would prefer itself, whatever the order.
        """
        return _SETTINGS.get(self, MappingProxyType({}))

    @property
    def route(self) -> Route:
        """Which node is asked."""
        return _ROUTES[self]


_IN_ORDER = MappingProxyType({"load_balancing": "in_order", "prefer_localhost_replica": "0"})

_SETTINGS = {
    Consistency.IN_ORDER: _IN_ORDER,
    Consistency.IN_ORDER_QUORUM: _IN_ORDER,
    Consistency.SEQUENTIAL: MappingProxyType({"select_sequential_consistency": "1"}),
}

_ROUTES = {
    Consistency.EVENTUAL: Route.ANY,
    Consistency.QUORUM: Route.ANY,
    Consistency.IN_ORDER: Route.IN_ORDER,
    Consistency.IN_ORDER_QUORUM: Route.IN_ORDER,
    Consistency.SEQUENTIAL: Route.IN_ORDER,
    Consistency.SYNCED: Route.IN_ORDER,
    Consistency.SHARD_LOCAL: Route.FIRST,
}

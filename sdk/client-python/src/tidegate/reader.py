"""Reading rows such that the answer has what was waited for.

SELECTs over ClickHouse's HTTP interface, with the settings of a consistency profile sent with each of them, never set
for all. The commit log says that a group has written; it does not say that every replica shows it. A reader that
needs both waits first, and then reads with the profile of the storage.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlencode

import urllib3

from tidegate.consistency import Consistency, Route

# This replica lacks parts that a quorum has: REPLICA_IS_NOT_IN_QUORUM.
_NOT_IN_QUORUM = 289


class ReadError(Exception):
    """There is no answer."""


class Unreachable(ReadError):
    """A host did not answer."""

    def __init__(self, host: str, cause: Exception) -> None:
        self.host = host
        super().__init__(f"failed to reach {host}: {cause}")


class Refused(ReadError):
    """ClickHouse has refused."""

    def __init__(self, host: str, code: int, text: str) -> None:
        self.host = host
        self.code = code
        """ClickHouse's, or the status of HTTP where there is none."""
        super().__init__(f"{host} refused: code {code}, {text}")


class NoTables(ReadError):
    """Consistency `synced` must be told what to bring up to date."""

    def __init__(self) -> None:
        super().__init__("consistency synced needs the tables that are read\nhint: name them: Query(…, tables=[…])")


@dataclass(frozen=True, slots=True)
class Query:
    """A SELECT, with what it needs beside its text."""

    sql: str
    """With its FORMAT; parameters as ClickHouse writes them: `{name:Type}`."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    merged: bool = False
    """Shows of rows that were replaced only the last version (`FINAL` for all tables of the query): every part is
    read and merged, which costs several times the query without it."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """Shows of a table only what fulfils the condition, in the query as it is: cheaper than `merged` where flags of
    replacements say which groups to leave out (`{"errors": "group_id NOT IN (7, 8)"}`). The condition is SQL: compose
    it of numbers, not of foreign text."""
    tables: Sequence[str] = ()
    """Tables that are read, which consistency `synced` brings up to date first."""

    def arguments(self, consistency: Consistency) -> dict[str, str]:
        """Everything that goes into the address."""
        # An error after the first bytes would come too late to be seen as one.
        arguments = {"wait_end_of_query": "1", **consistency.settings}
        if self.merged:
            arguments["final"] = "1"
        if self.filters:
            filters = (f"{_quoted(table)}:{_quoted(text)}" for table, text in self.filters.items())
            arguments["additional_table_filters"] = f"{{{','.join(filters)}}}"
        return arguments | {f"param_{name}": value for name, value in self.parameters.items()}


class Reader:
    """Reads from a cluster. It may be used by several threads; connections are kept."""

    def __init__(
        self,
        hosts: Sequence[str],
        *,
        database: str = "default",
        user: str = "default",
        password: str = "",
        consistency: Consistency = Consistency.EVENTUAL,
        timeout: float = 30.0,
    ) -> None:
        """`hosts` are `http://host:port`, in the order of the cluster's configuration.

        `timeout`, in seconds, is that of one request to one host, also for connecting. Raises `ValueError` if no host
        is named.
        """
        if isinstance(hosts, str) or not hosts:
            raise ValueError("no host is named to read from\nhint: give a list, as [http://127.0.0.1:8123]")
        self._hosts = tuple(hosts)
        self._consistency = consistency
        self._headers = {
            "X-ClickHouse-Database": database,
            "X-ClickHouse-User": user,
            "X-ClickHouse-Key": password,
        }
        self._http = urllib3.PoolManager(timeout=urllib3.Timeout(total=timeout), retries=False, headers=self._headers)
        self._turns = count()

    def query(self, query: Query) -> bytes:
        """The answer in the query's FORMAT, whole.

        A host that cannot be reached, or that lacks what the profile asks for, is passed over for the next where the
        profile allows it. Raises `ReadError`; of several hosts, that of the last.
        """
        if self._consistency is Consistency.SYNCED and not query.tables:
            raise NoTables
        *others, last = self._order()
        for host in others:
            try:
                return self._ask(host, query)
            except Unreachable:
                continue
            except Refused as refused:
                if refused.code != _NOT_IN_QUORUM:
                    raise
        return self._ask(last, query)

    def _order(self) -> Sequence[str]:
        """The hosts that the next query asks."""
        hosts = self._hosts
        match self._consistency.route:
            case Route.FIRST:
                hosts = hosts[:1]
            case Route.ANY:
                first = next(self._turns) % len(hosts)
                hosts = hosts[first:] + hosts[:first]
        return hosts

    def _ask(self, host: str, query: Query) -> bytes:
        if self._consistency is Consistency.SYNCED:
            for table in query.tables:
                self._send(host, f"SYSTEM SYNC REPLICA {_identifier(table)} LIGHTWEIGHT", {})
        return self._send(host, query.sql, query.arguments(self._consistency))

    def _send(self, host: str, sql: str, arguments: Mapping[str, str]) -> bytes:
        try:
            answer = self._http.request("POST", f"{host}/?{urlencode(arguments)}", body=sql.encode())
        except urllib3.exceptions.HTTPError as error:
            raise Unreachable(host, error) from error
        code = answer.headers.get("X-ClickHouse-Exception-Code")
        if answer.status == 200 and code is None:
            return answer.data
        raise Refused(host, int(code or answer.status), answer.data.decode(errors="replace").strip())


def _quoted(text: str) -> str:
    """A text in ClickHouse's SQL."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _identifier(table: str) -> str:
    """`database.table`, each in its quotes."""
    parts = (part.replace("\\", "\\\\").replace("`", "\\`") for part in table.split("."))
    return ".".join(f"`{part}`" for part in parts)

"""A commit log that is being read: one consumer for all that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from tidegate.asker import Asker, Listener
from tidegate.log_reader import LogReader
from tidegate.partition import Token
from tidegate.shared import LogStatus, Shared


class CommitLog:
    """A commit log that is being read, in threads of its own, until it is closed.

    Nothing is waited for when it is made: until the log is read to its end, everything is closed. All methods may be
    called from any thread.
    """

    def __init__(
        self,
        config: dict[str, Any],
        topic: str,
        *,
        repair: float | None = 1.0,
        refresh: float = 10.0,
        listener: Listener | None = None,
    ) -> None:
        """Begins to read.

        `config` is that of any `confluent_kafka.Consumer` and says how to connect; what it says of groups and
        positions is not used. A broker that does not answer, or a log that is not there, is waited for. Raises
        `confluent_kafka.KafkaException` if the configuration is not valid.

        `repair`: for how many seconds somebody waits for a group before the group itself is asked what it has
        committed (needs the right to DESCRIBE the group); a partition opens only when its groups have been asked
        once. `None`: groups are never asked; then a record that is lost is waited for until it is written again, and
        a topic made anew is only told from the earlier one if its records carry ids or epochs.

        `refresh`: how often, in seconds, the partitions of the log and the ids of the topics are looked at.

        `listener` hears every fact about the log and the topics, in the order in which they are learnt. It must
        return at once.
        """
        self._asker = Asker(config)
        self._shared = Shared(repair, self._asker, listener)
        try:
            self._reader = LogReader(config, topic, refresh, self._shared, self._asker)
        except BaseException:
            self._asker.close()
            raise
        self._reader.start()

    def wait_for(self, token: Token, groups: Sequence[str], timeout: float) -> None:
        """Waits until all of these groups have written everything before the token's position.

        `timeout` is in seconds and kept to within 100 ms. Waiting polls nothing. Raises `WaitTimedOut`, which says
        how far each group has come, `CommitLogEnded`, and `ValueError` without groups.
        """
        answer = self._begin(token, groups, timeout)
        try:
            answer.result()
        finally:
            # Whoever is interrupted waits no more.
            answer.cancel()

    async def wait_for_async(self, token: Token, groups: Sequence[str], timeout: float) -> None:
        """As `wait_for`, without a thread. Cancelled, nobody waits any more."""
        await asyncio.wrap_future(self._begin(token, groups, timeout))

    def status(self) -> LogStatus:
        """What has been read so far."""
        return self._shared.status()

    @property
    def is_ended(self) -> bool:
        """Nothing more is learnt."""
        return self._shared.is_ended

    def close(self) -> None:
        """Ends the threads: at once, or after five seconds if a broker does not answer. Who still waits is told so."""
        self._reader.close()
        self._asker.close()

    def __enter__(self) -> CommitLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self, token: Token, groups: Sequence[str], timeout: float) -> Future[None]:
        if isinstance(groups, str) or not groups:
            raise ValueError("no group is waited for\nhint: give a list of the consumer groups that write what is read")
        return self._shared.begin(token, groups, timeout)

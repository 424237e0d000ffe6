"""Downstream of tidegate: readers that wait exactly as long as they must.

A `CommitLog` knows how far each group has written; `CommitLog.wait_for` waits until one message is written; a
`SynchronizedConsumer` hands out messages only when every followed group has written them; a `Reader` asks ClickHouse
such that the answer has it.

What decides is pure: `Follower` and `Waiters` know neither Kafka nor a clock, and run the same vectors as the Rust
crate.
"""

from tidegate.commit_log import CommitLog
from tidegate.consistency import Consistency, UnknownConsistency
from tidegate.follower import Follower
from tidegate.partition import Partition, Token, TokenError
from tidegate.reader import NoTables, Query, Reader, ReadError, Refused, Unreachable
from tidegate.record import Counts, DecodeError, Key, Record
from tidegate.shared import LogStatus
from tidegate.synchronized import SynchronizedConsumer
from tidegate.wait_error import CommitLogEnded, WaitError, WaitTimedOut
from tidegate.waiters import Waiters

__all__ = [
    "CommitLog",
    "CommitLogEnded",
    "Consistency",
    "Counts",
    "DecodeError",
    "Follower",
    "Key",
    "LogStatus",
    "NoTables",
    "Partition",
    "Query",
    "ReadError",
    "Reader",
    "Record",
    "Refused",
    "SynchronizedConsumer",
    "Token",
    "TokenError",
    "UnknownConsistency",
    "Unreachable",
    "WaitError",
    "WaitTimedOut",
    "Waiters",
]

"""An example as it is started by hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from broker import address


class Process:
    """Reads what group `writers` has written of a topic, and prints a line of JSON for each thing that it has to say.

    Several starts with one folder print to the same files there.
    """

    def __init__(self, program: Path, folder: Path, *, log: str, topic: str, **more: str) -> None:
        self._output, self._errors = folder / "output", folder / "errors"
        environment = {
            **os.environ,
            "KAFKA": address("TIDEGATE_TEST_KAFKA"),
            "CLICKHOUSE": address("TIDEGATE_TEST_CLICKHOUSE"),
            "COMMIT_LOG": log,
            "GROUP": "writers",
            "TOPIC": topic,
            **more,
        }
        with self._output.open("ab") as output, self._errors.open("ab") as errors:
            self._process = subprocess.Popen([sys.executable, str(program)], env=environment, stdout=output, stderr=errors)

    def said(self) -> list[dict[str, Any]]:
        """Of all starts together."""
        return [json.loads(line) for line in self._output.read_text().splitlines()]

    def end(self, sign: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(sign)
        self.wait(0)

    def wait(self, status: int) -> None:
        assert self._process.wait(30) == status, self._errors.read_text()

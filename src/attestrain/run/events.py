"""Events: what a run tells its watchers. Nothing that is verified rests on them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: its kind, when (seconds since 1970), and its particulars."""

    kind: str
    time: float
    data: dict[str, Any]


Watcher = Callable[[Event], None]


class EventLog:
    """Appends events to a file and hands them to a watcher.

    Args:
        path: the file. A last line that a crash left unfinished is dropped.
        watcher: called with every new event.
    """

    def __init__(self, path: Path, watcher: Watcher) -> None:
        self._file = path.open("a+b", buffering=0)
        self._watcher = watcher
        self._latest: dict[str, dict[str, Any]] = {}
        self._file.seek(0)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        for line in whole.splitlines():
            event = json.loads(line)
            self._latest[event["kind"]] = event

    def emit(self, kind: str, /, **data: Any) -> None:
        """Record an event that happens now."""
        event = Event(kind, time.time(), data)
        self._file.write(json.dumps({**data, "time": round(event.time, 3), "kind": kind}).encode("ascii") + b"\n")
        self._latest[kind] = data
        self._watcher(event)

    def latest(self, kind: str) -> dict[str, Any] | None:
        """Data of the latest event of a kind, also from before this process."""
        return self._latest.get(kind)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

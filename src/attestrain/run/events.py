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
    """Appends events to a file and hands them to a watcher."""

    def __init__(self, path: Path, watcher: Watcher) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._watcher = watcher

    def emit(self, kind: str, /, **data: Any) -> None:
        """Record an event that happens now."""
        event = Event(kind, time.time(), data)
        self._file.write(json.dumps({"time": round(event.time, 3), "kind": kind, **data}) + "\n")
        self._watcher(event)

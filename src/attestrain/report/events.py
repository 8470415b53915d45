"""What happened in a run, as `events.jsonl` keeps it: one JSON object a line, its time, its kind and its data.

Events are for people. They are signed by nobody and nothing is proven from them; the transcript is for that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attestrain.errors import FormatError, UsageError
from attestrain.record.canonical import check_nesting

FILE = "events.jsonl"
MAX_EVENTS = 256 << 20
"""Largest event file read, in bytes: a thousand rounds of a hundred workers leave a fifth of it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One event. ``time`` is in seconds since 1970."""

    kind: str
    time: float
    data: Mapping[str, Any]

    def integer(self, key: str, default: int = 0) -> int:
        """A count or a number of something; ``default`` when the event does not say."""
        value = self.data.get(key)
        return value if isinstance(value, int) else default

    def number(self, key: str) -> float | None:
        """A measured quantity; None when the event does not say, or says something that is not finite."""
        value = self.data.get(key)
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

    def text(self, key: str) -> str:
        """A word or a sentence; empty when the event does not say."""
        value = self.data.get(key)
        return "" if value is None else str(value)


def read_events(path: Path) -> list[Line]:
    """Every event of a run, in order. An unfinished last line, as a crash leaves it, is passed over.

    Raises:
        UsageError: there is no such file.
        FormatError: it is too large, or a line is not an event.
    """
    try:
        if path.stat().st_size > MAX_EVENTS:
            raise FormatError(f"{path} is larger than {MAX_EVENTS} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"events cannot be read from {path}: {error.strerror}") from error
    whole = data[: data.rfind(b"\n") + 1]
    return [read_line(line, f"{path}:{number}") for number, line in enumerate(whole.splitlines(), start=1)]


def read_line(line: bytes, where: str) -> Line:
    """One line of the file; ``where`` it stands, for messages.

    Raises:
        FormatError: it is not an event.
    """
    check_nesting(line)
    try:
        value = json.loads(line)
        kind, time = value.pop("kind"), value.pop("time")
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        raise FormatError(f"{where} is not an event") from error
    if not isinstance(kind, str) or not isinstance(time, int | float):
        raise FormatError(f"{where} is not an event")
    return Line(kind, float(time), value)

"""Effort: CPU seconds by what they went into, so that a run can say what everything besides training costs.

Each process counts its own and tells the total now and then (event ``cpu``); the tally adds up what was last heard from
every process. The clock is the process's CPU time, all threads included, so waiting costs nothing.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attestrain.run.events import Event, Watcher

CPU = "cpu"
"""Kind of the events that carry effort."""
USER_TIME = 11
"""Place of utime, which stime follows, behind the name in /proc/PID/stat (proc(5))."""
EVERY = 10.0
"""Seconds between reports; a process that is killed takes what it has not told with it."""
KINDS = ("training", "replay", "evaluation")
"""What effort is counted apart. Training is inner steps alone, a replay is all that an auditor executes again; the rest
of a process's time is protocol: compressing, hashing, signing, storing, talking."""


class Effort:
    """CPU seconds of this process since it was made."""

    def __init__(self) -> None:
        self._begin = time.process_time()
        self._next = 0.0
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._beside = 0.0

    @contextmanager
    def on(self, kind: str) -> Iterator[None]:
        """Count what happens inside as ``kind``, whichever threads do it but those `beside`."""
        begin, beside = time.process_time(), self._beside
        try:
            yield
        finally:
            self._spent[kind] += time.process_time() - begin - (self._beside - beside)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """What this thread does inside is none of what another thread is counted `on` meanwhile."""
        begin = time.thread_time()
        try:
            yield
        finally:
            self._beside += time.thread_time() - begin

    def due(self) -> bool:
        """Whether it is time to tell again: telling costs too."""
        return time.monotonic() >= self._next

    def report(self, rest: str = "") -> dict[str, Any]:
        """Data of a ``cpu`` event: the process, its kinds, its total, in seconds; ``rest`` names what the rest was."""
        self._next = time.monotonic() + EVERY
        total = time.process_time() - self._begin
        if rest:
            self._spent[rest] = total - sum(self._spent.values())
        spent = {kind: round(self._spent[kind], 3) for kind in KINDS}
        return {"process": os.getpid(), **spent, "total": round(total, 3)}


def effort_of(process: int) -> dict[str, Any] | None:
    """The report of a process that is not ours to ask, such as an embedded chain: all of it is protocol.

    None where the system does not tell (/proc is Linux's) or the process is gone.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        ticks = int(fields[USER_TIME]) + int(fields[USER_TIME + 1])
    except (OSError, ValueError, IndexError):
        return None
    return {"process": process, "total": round(ticks / os.sysconf("SC_CLK_TCK"), 3)}


class Tally:
    """Adds up what processes tell, and passes every event on.

    Args:
        watcher: who else listens.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._latest: dict[int, dict[str, Any]] = {}

    def __call__(self, event: Event) -> None:
        """Take an event."""
        if event.kind == CPU:
            self.add(event.data)
        self._watcher(event)

    def add(self, report: dict[str, Any]) -> None:
        """Take a process's report, which replaces its last one. What is not a number counts as nothing."""
        self._latest[_number(report, "process")] = report

    def share(self) -> dict[str, float]:
        """Data of the ``share`` event: CPU seconds of all processes by kind; ``protocol`` is what is left over."""
        sums = {kind: sum(_seconds(report, kind) for report in self._latest.values()) for kind in (*KINDS, "total")}
        protocol = max(0.0, sums["total"] - sum(sums[kind] for kind in KINDS))
        parts = {f"{kind}_seconds": round(sums[kind], 2) for kind in KINDS}
        return {**parts, "protocol_seconds": round(protocol, 2)}


def _number(report: dict[str, Any], key: str) -> int:
    value = report.get(key)
    return value if isinstance(value, int) else 0


def _seconds(report: dict[str, Any], key: str) -> float:
    value = report.get(key)
    return float(value) if isinstance(value, int | float) and value >= 0 else 0.0

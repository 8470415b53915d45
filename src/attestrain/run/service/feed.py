"""What only grows, as readers get it: what there is at once, or as soon as there is something new."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from pathlib import Path
from typing import Protocol

from attestrain.record.transcript import Log
from attestrain.run.service.auth import Denied
from attestrain.run.service.limits import MAX_ANSWER, MAX_POLLS, MAX_POLLS_PER_PEER, MAX_WAIT

GATHER = 0.01
"""Seconds between something new and the answers: entries come in bursts, and one answer holds them all."""
GATHER_BURST = 0.1
"""The same for news of which several come one after the other."""
UNHURRIED = 1.0
"""The same for news that no reader acts on at once."""


class Source(Protocol):
    """Something that only grows, appended to by another thread."""

    def size(self) -> int:
        """How much there is."""
        ...

    def read(self, since: int) -> bytes:
        """What follows ``since``, in whole lines, as much as an answer holds."""
        ...


class Entries:
    """A log's entries, one a line (documents in canonical form hold no line feed), counted from 0."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def size(self) -> int:
        """Number of entries."""
        return len(self._log)

    def read(self, since: int) -> bytes:
        """Entries from ``since`` on."""
        found, size = [], 0
        for index in range(since, len(self._log)):
            found.append(self._log[index] + b"\n")
            size += len(found[-1])
            if size >= MAX_ANSWER:
                break
        return b"".join(found)


class Tail:
    """A file of lines, by byte offset."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def size(self) -> int:
        """Bytes in the file."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def read(self, since: int) -> bytes:
        """Whole lines from byte ``since`` on; nothing from beyond the end."""
        try:
            with self._path.open("rb") as file:
                if since > os.fstat(file.fileno()).st_size:
                    return b""
                file.seek(since)
                data = file.read(MAX_ANSWER)
        except OSError:
            return b""
        return data[: data.rfind(b"\n") + 1]


class Feed:
    """Readers of a source. All but `wake` is called from the service's loop.

    Args:
        source: what they read.
        polls: long polls by peer, shared by all feeds of a service.
        look: seconds between looks while somebody waits, for a source whose writer does not call `wake`.
    """

    def __init__(self, source: Source, polls: Counter[str], look: float = MAX_WAIT) -> None:
        self._source = source
        self._polls = polls
        self._look = look
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news = asyncio.Event()
        self._due: asyncio.TimerHandle | None = None
        self._closed = False

    def open(self) -> None:
        """Begin, in the running loop."""
        self._loop = asyncio.get_running_loop()

    def wake(self, delay: float = GATHER) -> None:
        """There is something new, which readers get within ``delay`` seconds; from any thread."""
        if self._loop is not None:
            # The service may have ended.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._gather, delay)

    def _gather(self, delay: float) -> None:
        loop = asyncio.get_running_loop()
        if self._due is not None:
            if self._due.when() <= loop.time() + delay:
                return
            self._due.cancel()
        self._due = loop.call_later(delay, self._tell)

    def _tell(self) -> None:
        self._due = None
        news, self._news = self._news, asyncio.Event()
        news.set()

    def close(self) -> None:
        """Answer everybody who waits, and let nobody wait any more."""
        self._closed = True
        self._tell()

    def has(self, since: int) -> bool:
        """Whether a reader at ``since`` need not wait."""
        return since < self._source.size() or self._closed

    def read(self, since: int) -> bytes:
        """What follows ``since``, as much as an answer holds."""
        return self._source.read(since)

    async def wait(self, peer: str, since: int, seconds: float, gone: asyncio.Task[None]) -> None:
        """Wait until there is something after ``since``, for ``seconds`` at most, or until the reader is ``gone``.

        Raises:
            Denied: too many wait already.
        """
        if self._polls.total() >= MAX_POLLS or self._polls[peer] >= MAX_POLLS_PER_PEER:
            raise Denied("too many long polls", status=429, wait=1.0)
        self._polls[peer] += 1
        try:
            await self._wait(since, seconds, gone)
        finally:
            self._polls[peer] -= 1
            if not self._polls[peer]:
                del self._polls[peer]

    async def _wait(self, since: int, seconds: float, gone: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not self.has(since) and not gone.done() and loop.time() < end:
            news = asyncio.ensure_future(self._news.wait())
            patience = min(self._look, end - loop.time())
            await asyncio.wait((news, gone), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            news.cancel()

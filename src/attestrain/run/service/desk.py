"""Everything the routes of the service work with, and the steps they share."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from fastapi import Request

from attestrain.errors import FormatError
from attestrain.record.digest import Digest
from attestrain.record.names import Index
from attestrain.record.spec import RunSpec
from attestrain.record.statements import (
    Aggregated,
    CommitClose,
    Finding,
    Join,
    Published,
    Receipt,
    RoundOpen,
    RunClose,
    Statement,
)
from attestrain.run.service.auth import Caller, Denied, Doorman
from attestrain.run.service.clerk import Clerk
from attestrain.run.service.feed import GATHER_BURST, UNHURRIED, Entries, Feed, Tail
from attestrain.run.service.limits import BODY_SECONDS, largest_blob, round_allowance
from attestrain.run.service.mailbox import Mailbox
from attestrain.run.service.metrics import Metrics
from attestrain.run.service.quota import Quota
from attestrain.store.blobs import BlobStore

T = TypeVar("T")
PIECE = 1 << 20
"""Bytes of a file sent at a time."""
LOOK = 0.5
"""Seconds between looks at the event file while somebody waits for events."""
DISK_THREADS = 4
"""Threads that wait for the disk: several uploads are made durable at once."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the service keeps and finds files.

    Attributes:
        store: blobs.
        environments: descriptions of environments, by digest.
        evidence: evidence documents, by digest.
        dataset: the dataset.
        events: what happened.
    """

    store: BlobStore
    environments: Path
    evidence: Path
    dataset: Path
    events: Path


@dataclass
class Progress:
    """How far the run is, for those who must not touch the ledger. Observes the sequencer."""

    rounds: int = 0
    aggregated: int = 0
    closed: bool = False

    def __call__(self, index: Index, statement: Statement) -> None:
        """Take note of an entry."""
        match statement:
            case RoundOpen():
                self.rounds = statement.round + 1
            case Aggregated():
                self.aggregated = statement.round + 1
            case RunClose():
                self.closed = True


@dataclass
class Desk:
    """The service's parts.

    Args:
        spec: the run's.
        name: the service's name, for which requests are signed.
        clerk: the conductor's side.
        doorman: knows who may write.
        places: files.
        files: names of the dataset's files that may be downloaded.
        terms: the terms document.
        payouts: what the run owes, once that is posted; set by the conductor.
    """

    spec: RunSpec
    name: Digest
    clerk: Clerk
    doorman: Doorman
    places: Places
    files: frozenset[str]
    terms: bytes
    mailbox: Mailbox = field(default_factory=Mailbox)
    metrics: Metrics = field(default_factory=Metrics)
    progress: Progress = field(default_factory=Progress)
    payouts: bytes | None = None

    def __post_init__(self) -> None:
        sequencer, polls = self.clerk.sequencer, Counter[str]()
        ledger = sequencer.ledger
        last = ledger.last_round()
        done = [round_ for round_, book in ledger.rounds.items() if book.aggregated is not None]
        self.progress = Progress(0 if last is None else last + 1, len(done), ledger.run_close is not None)
        self.began = time.monotonic()
        self.entries = Feed(Entries(sequencer.log), polls)
        self.events = Feed(Tail(self.places.events), polls, LOOK)
        self.quota = Quota(round_allowance(self.spec), lambda: self.progress.rounds)
        self.largest = largest_blob(self.spec)
        self.spec_bytes = self.spec.to_bytes()
        self.disk = ThreadPoolExecutor(DISK_THREADS, thread_name_prefix="disk")
        self._jobs: set[Future[Any]] = set()
        sequencer.observers += [self.progress, self._wake]
        self._report(polls)

    def _wake(self, index: Index, statement: Statement) -> None:
        """Tell readers of an entry, the sooner the more of them act on it.

        Only the conductor acts on receipts, findings and the end of a round, and it has them already; a close is acted
        on where no beacon has to follow it.
        """
        match statement:
            case Receipt() | Finding() | Aggregated():
                self.entries.wake(UNHURRIED)
            case CommitClose() if self.spec.beacon_mode == "chain":
                self.entries.wake(UNHURRIED)
            case Join() | Published():
                self.entries.wake(GATHER_BURST)
            case _:
                self.entries.wake()

    def _report(self, polls: Counter[str]) -> None:
        gauge, log = self.metrics.gauge, self.clerk.sequencer.log
        gauge("attestrain_entries", "Entries of the transcript.", lambda: len(log))
        gauge("attestrain_rounds_opened", "Rounds opened.", lambda: self.progress.rounds)
        gauge("attestrain_rounds_aggregated", "Rounds aggregated.", lambda: self.progress.aggregated)
        gauge("attestrain_polls", "Long polls held.", polls.total)
        gauge("attestrain_letters", "Requests that wait for the conductor.", lambda: len(self.mailbox))
        gauge("attestrain_uptime_seconds", "Seconds served.", lambda: round(time.monotonic() - self.began, 3))

    def let_in(self, request: Request, roles: tuple[str, ...]) -> Caller:
        """Check who asks, before anything is read from the body.

        Raises:
            Denied: not a member, or of another role.
        """
        header = request.headers.get("authorization")
        caller = self.doorman.admit(request.method, target(request), header)
        if caller.member.role not in roles:
            raise Denied(f"this is not for a {caller.member.role}", status=403)
        return caller

    async def on_disk(self, work: Callable[[], T]) -> T:
        """Do something that waits for the disk, beside the loop."""
        job = self.disk.submit(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return await asyncio.wrap_future(job)

    @property
    def idle(self) -> bool:
        """Whether no thread waits for the disk."""
        return not self._jobs


def target(request: Request) -> str:
    """Path and query as they came."""
    path: bytes = request.scope["raw_path"]
    query: bytes = request.scope["query_string"]
    return (path + b"?" + query if query else path).decode("latin-1")


def peer(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "?"


async def pieces(request: Request, most: int) -> AsyncIterator[bytes]:
    """The body as it comes.

    Raises:
        Denied: larger than ``most``, or too slow.
    """
    check_length(request, most)
    stream, size = request.stream(), 0
    while True:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                piece = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Denied("the body is too slow", status=408) from None
        size += len(piece)
        if size > most:
            raise Denied(f"the body is larger than {most} bytes", status=413)
        yield piece


def check_length(request: Request, most: int) -> None:
    """Refuse a body by its announced length, before it is read.

    Raises:
        Denied: longer than ``most``.
    """
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or len(length) > 20 or int(length) > most:
        raise Denied(f"the body is larger than {most} bytes", status=413)


async def body(request: Request, caller: Caller, most: int, digest: Callable[[bytes], Digest]) -> bytes:
    """The whole body, which must be the one that was signed for.

    Raises:
        Denied: larger than ``most``, or too slow.
        FormatError: another body.
    """
    data = b"".join([piece async for piece in pieces(request, most)])
    if digest(data) != caller.content:
        raise FormatError("the body is not the one that the request was signed for")
    return data


async def vanished(receive: Callable[[], Awaitable[object]]) -> None:
    """Return when the one who asks has hung up."""
    while True:
        message = await receive()
        if isinstance(message, dict) and message.get("type") == "http.disconnect":
            return

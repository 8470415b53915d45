"""The participants' side: they dial out, ask again until they are answered, and believe nothing that they read.

httpcore is the engine of httpx, used directly: a run makes hundreds of small requests a round, and the layers above
cost more than the requests.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpcore

from attestrain.errors import FormatError, Unreachable, UsageError
from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.digest import ZERO_DIGEST, Buffer, Digest, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Index, Round
from attestrain.record.tiles import MAX_ENTRY
from attestrain.run.exchange import Refusal, Stopped
from attestrain.run.service.auth import Door, sign_request
from attestrain.run.service.limits import MAX_ANSWER, MAX_BATCH, MAX_BATCH_BLOBS, MAX_WAIT

CONNECT_SECONDS = 10.0
READ_SECONDS = 120.0
"""Longest silence within an answer: a conductor that evaluates a large model answers nobody meanwhile."""
TELL_SECONDS = 5.0
"""Longest wait for a progress report to be taken: nothing rests on it."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds before asking again: doubled each time, up to the longest."""
MAX_PAUSE_ASKED = 60.0
"""Longest pause that a service may ask for."""
MAX_SMALL = 1 << 16
"""Longest answer to a request that asks for no data."""
CONNECTIONS = 2
ASK_FROM = 1 << 22
"""Blobs from this size on are asked about before they are sent: a smaller one costs less to send."""
MAX_KNOWN = 100_000
"""Blobs remembered to be in the store."""
TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that may be others tomorrow; 5xx other than 503 come from what stands between."""
BYTES = "application/octet-stream"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status and body."""

    status: int
    body: bytes

    @property
    def why(self) -> str:
        """The reason of a refusal."""
        try:
            return str(json.loads(self.body)["error"])[:400]
        except (ValueError, KeyError, TypeError, RecursionError):
            return f"status {self.status}"


class Caller:
    """Asks one service.

    Args:
        door: where it is, and its name.
        key: signs what changes something; None reads only.
        patience: seconds without any answer after which the network is taken to be gone.

    Raises:
        UsageError: the address is not one of HTTP.
    """

    def __init__(self, door: Door, key: SigningKey | None = None, patience: float = math.inf) -> None:
        parts = urlsplit(door.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{door.url!r} is not an address of a service", hint="for example http://127.0.0.1:8000")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._place = {"scheme": parts.scheme.encode(), "host": parts.hostname.encode("idna"), "port": port}
        self._host = f"{parts.hostname}:{port}".encode("idna")
        self._prefix = parts.path.rstrip("/")
        self._door = door
        self._key = key
        self._patience = patience
        self._pool = httpcore.ConnectionPool(max_connections=CONNECTIONS, keepalive_expiry=60.0)

    def ask(
        self,
        method: str,
        target: str,
        body: Buffer | None = None,
        *,
        content: Digest | None = None,
        kind: str = JSON,
        most: int = MAX_SMALL,
        seconds: float = READ_SECONDS,
    ) -> Answer:
        """Ask until there is an answer. Only for what may be asked twice.

        Args:
            method: in capitals.
            target: path and query.
            body: what to send; the request is then signed.
            content: digest of the body, by default its SHA-256.
            kind: its media type.
            most: longest answer taken, in bytes.
            seconds: longest silence within the answer.

        Raises:
            Stopped: no answer for as long as patience lasts.
        """

        def take(answer: httpcore.Response) -> Answer:
            return Answer(answer.status, _read(answer, most))

        return self._persist(lambda: self._once(method, target, body, content, kind, seconds, take))

    def _persist(self, attempt: Callable[[], tuple[Answer, float]]) -> Answer:
        begin, pause = time.monotonic(), FIRST_PAUSE
        while True:
            try:
                answer, wait = attempt()
                if answer.status not in TRY_AGAIN:
                    return answer
                reason = answer.why
            except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
                reason, wait = str(error) or type(error).__name__, 0.0
            if time.monotonic() - begin > self._patience:
                raise Stopped(f"{self._door.url} does not answer: {reason}")
            time.sleep(max(wait, pause * random.uniform(0.5, 1.0)))
            pause = min(2 * pause, LONGEST_PAUSE)

    def fetch_file(self, target: str, path: Path, most: int) -> None:
        """Write an answer of at most ``most`` bytes to ``path``, piece by piece; from the beginning after a failure.

        Raises:
            Unreachable: the service does not hand it out.
            FormatError: it is longer.
            UsageError: the file cannot be written.
            Stopped: no answer for as long as patience lasts.
        """

        def take(answer: httpcore.Response) -> Answer:
            if answer.status != 200:
                return Answer(answer.status, _read(answer, MAX_SMALL))
            try:
                with path.open("wb") as file:
                    for piece in _pieces(answer, most):
                        file.write(piece)
            except OSError as error:
                raise UsageError(f"{path} cannot be written: {error.strerror}") from error
            return Answer(answer.status, b"")

        answer = self._persist(lambda: self._once("GET", target, None, None, JSON, READ_SECONDS, take))
        if answer.status != 200:
            raise Unreachable(f"{target} cannot be had: {answer.why}")

    def close(self) -> None:
        """Hang up."""
        self._pool.close()

    def once(self, method: str, target: str, body: bytes, seconds: float) -> None:
        """Send something that need not arrive."""
        try:
            self._once(method, target, body, None, JSON, seconds, _take_small)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, FormatError):
            return

    def _once(
        self,
        method: str,
        target: str,
        body: Buffer | None,
        content: Digest | None,
        kind: str,
        seconds: float,
        take: Callable[[httpcore.Response], Answer],
    ) -> tuple[Answer, float]:
        """One attempt; returns the answer, and the seconds it asks to wait before the next one."""
        target = self._prefix + target
        headers: list[tuple[bytes, bytes]] = [(b"host", self._host)]
        if body is not None:
            digest = sha256(body) if content is None else content
            headers += [(b"content-type", kind.encode()), (b"content-length", str(memoryview(body).nbytes).encode())]
            if self._key is not None:
                ticket = sign_request(self._key, self._door.service, method, target, digest, time.time())
                headers.append((b"authorization", ticket.encode()))
        limits = {"connect": CONNECT_SECONDS, "read": seconds, "write": READ_SECONDS, "pool": READ_SECONDS}
        url = httpcore.URL(**self._place, target=target.encode())  # type: ignore[arg-type]
        content_bytes = None if body is None else bytes(body)
        with self._pool.stream(
            method, url, headers=headers, content=content_bytes, extensions={"timeout": limits}
        ) as answer:
            return take(answer), _wait(answer)


def _take_small(answer: httpcore.Response) -> Answer:
    return Answer(answer.status, _read(answer, MAX_SMALL))


def _read(answer: httpcore.Response, most: int) -> bytes:
    return b"".join(_pieces(answer, most))


def _pieces(answer: httpcore.Response, most: int) -> Iterator[bytes]:
    size = 0
    for piece in answer.iter_stream():
        size += len(piece)
        if size > most:
            raise FormatError(f"the service answers with more than {most} bytes")
        yield piece


def _wait(answer: httpcore.Response) -> float:
    text = next((value for name, value in answer.headers if name.lower() == b"retry-after"), b"0")
    return min(float(text), MAX_PAUSE_ASKED) if text.isdigit() and len(text) < 6 else 0.0


class HttpExchange:
    """An exchange over HTTP; see `Exchange`.

    Args:
        caller: reaches the sequencer.
        say: also told what is reported, on this side.
    """

    def __init__(self, caller: Caller, say: Callable[[str, dict[str, Any]], None] | None = None) -> None:
        self._caller = caller
        self._say = say

    def submit(self, entry: bytes) -> Index:
        """Append an entry; see `Exchange`."""
        answer = self._caller.ask("POST", "/v1/entries", entry)
        _require(answer, "the sequencer")
        try:
            return Index(int(json.loads(answer.body)["index"]))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise FormatError("the sequencer's answer is not an index") from error

    def poll(self, since: int) -> Sequence[bytes]:
        """Entries from ``since`` on; see `Exchange`."""
        while True:
            entries = self.entries(since, MAX_WAIT)
            if entries:
                return entries

    def entries(self, since: int, wait: int = 0) -> Sequence[bytes]:
        """Entries from ``since`` on, or nothing after ``wait`` seconds.

        Raises:
            FormatError: more or longer entries than a service may send.
            Stopped: the network is gone.
        """
        most = MAX_ANSWER + MAX_ENTRY + 1
        answer = self._caller.ask("GET", f"/v1/entries?since={since}&wait={wait}", most=most, seconds=READ_SECONDS)
        _require(answer, "the sequencer")
        return answer.body.splitlines()

    def merged(self, round_: Round, most: int) -> bytes | None:
        """The merged update of a round; see `Exchange`."""
        answer = self._caller.ask("GET", f"/v1/run/merged/{round_}", most=most)
        _require(answer, "the sequencer")
        return answer.body or None

    def tell(self, kind: str, /, **data: Any) -> None:
        """Report progress; see `Exchange`."""
        if self._say is not None:
            self._say(kind, data)
        self._caller.once("POST", "/v1/events", json.dumps({"kind": kind, "data": data}).encode(), TELL_SECONDS)

    def describe(self, what: str, document: bytes) -> Digest:
        """Leave a document, ``what`` being environments or evidence; returns its digest.

        Raises:
            Refusal: the service does not take it.
            Stopped: the network is gone.
        """
        digest = sha256(document)
        _require(self._caller.ask("PUT", f"/v1/{what}/{digest.hex()}", document), "the sequencer")
        return digest


class HttpBlobs:
    """The sequencer's blobs over HTTP; see `Blobs`. What is sent once is not sent again."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._known: set[BlobRef] = set()

    def put(self, data: Buffer) -> BlobRef:
        """Keep a blob at the sequencer's; see `Blobs`.

        Raises:
            Refusal: the sequencer does not take it.
            Stopped: the network is gone.
        """
        return self.put_all([data])[0]

    def put_all(self, blobs: Sequence[Buffer]) -> list[BlobRef]:
        """Keep several blobs; see `Blobs`. Errors as `put`."""
        refs = [blob_ref(data) for data in blobs]
        new = {ref: data for ref, data in zip(refs, blobs, strict=True) if ref not in self._known}
        for batch in _batches(new):
            body = new[batch[0]] if len(batch) == 1 else b"".join(new[ref] for ref in batch)
            _require(self._caller.ask("PUT", _names(batch), body, content=ZERO_DIGEST, kind=BYTES), "the sequencer")
            self._note(batch)
        return refs

    def get(self, ref: BlobRef) -> bytes:
        """A blob, hashed and found to be what ``ref`` names; see `Blobs`."""
        return _check(ref, self._fetch(_place(ref), ref.size))

    def get_all(self, refs: Sequence[BlobRef]) -> list[bytes]:
        """Several blobs; see `Blobs`."""
        found: dict[BlobRef, bytes] = {}
        for batch in _batches(refs):
            if len(batch) == 1:
                found[batch[0]] = self.get(batch[0])
                continue
            data, at = self._fetch(_names(batch), sum(ref.size for ref in batch)), 0
            for ref in batch:
                found[ref] = _check(ref, data[at : at + ref.size])
                at += ref.size
        return [found[ref] for ref in refs]

    def _fetch(self, target: str, size: int) -> bytes:
        answer = self._caller.ask("GET", target, most=max(size, MAX_SMALL))
        if answer.status != 200:
            raise Unreachable(f"a blob cannot be had: {answer.why} ({target})")
        return answer.body

    def has(self, ref: BlobRef) -> bool:
        """Whether it need not be sent; see `Blobs`."""
        if ref in self._known:
            return True
        if ref.size < ASK_FROM or self._caller.ask("HEAD", _place(ref)).status >= 300:
            return False
        self._note([ref])
        return True

    def _note(self, refs: Iterable[BlobRef]) -> None:
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known.update(refs)


def _check(ref: BlobRef, data: bytes) -> bytes:
    if blob_ref(data) != ref:
        raise FormatError(f"the sequencer sends other bytes than those of blob {ref.root.hex()}")
    return data


def _batches(refs: Iterable[BlobRef]) -> Iterator[list[BlobRef]]:
    """Blobs that travel together: none twice, not too many, not too large unless alone."""
    batch: list[BlobRef] = []
    for ref in dict.fromkeys(refs):
        if batch and (len(batch) == MAX_BATCH_BLOBS or sum(item.size for item in batch) + ref.size > MAX_BATCH):
            yield batch
            batch = []
        batch.append(ref)
    if batch:
        yield batch


def _names(refs: Iterable[BlobRef]) -> str:
    return "/v1/blobs?" + "&".join(f"blob={ref.root.hex()}:{ref.size}" for ref in refs)


def _place(ref: BlobRef) -> str:
    return f"/v1/blobs/{ref.root.hex()}?size={ref.size}"


def _require(answer: Answer, who: str) -> None:
    if not 200 <= answer.status < 300:
        raise Refusal(answer.why if answer.status == 409 else f"{who} refuses ({answer.status}): {answer.why}")

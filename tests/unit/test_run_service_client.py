"""The participants' side against services that are slow, gone or hostile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from attestrain.errors import FormatError, Unreachable, UsageError
from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.digest import ZERO_DIGEST
from attestrain.run.exchange import Refusal, Stopped
from attestrain.run.service.auth import Door
from attestrain.run.service.client import MAX_SMALL, Caller, HttpBlobs, HttpExchange

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"


def answer(body: bytes, head: bytes = OK) -> bytes:
    return head % (len(body), body)


@contextmanager
def service(*answers: bytes) -> Iterator[Door]:
    """Gives each connection the next of ``answers``, whatever it asks, and hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for data in answers:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with closing(connection):
                connection.recv(1 << 16)
                try:
                    connection.sendall(data)
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Door(f"http://127.0.0.1:{listening.getsockname()[1]}", ZERO_DIGEST)
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def test_an_answer_longer_than_asked_for_is_not_read_to_its_end() -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * (MAX_SMALL + 100_000)
    with service(endless) as door, closing(Caller(door)) as caller, pytest.raises(FormatError, match="more than"):
        caller.ask("GET", "/v1/run")


def test_what_fails_is_asked_again_until_there_is_an_answer() -> None:
    busy = b"HTTP/1.1 503 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
    with service(b"", b"not http\r\n\r\n", busy, answer(b"yes")) as door, closing(Caller(door)) as caller:
        assert caller.ask("GET", "/v1/run").body == b"yes"


def test_a_service_that_is_gone_is_given_up_and_reports_to_it_are_dropped() -> None:
    with service() as door:
        pass
    with closing(Caller(door, patience=0.2)) as caller:
        with pytest.raises(Stopped, match="does not answer"):
            HttpExchange(caller).entries(0)
        HttpExchange(caller).tell("segment", worker=0)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"index":"x"}', b"{}", b"[" * 5000])
def test_an_index_that_is_none_is_malformed(body: bytes) -> None:
    with service(answer(body)) as door, closing(Caller(door)) as caller, pytest.raises(FormatError):
        HttpExchange(caller).submit(b"{}")


def test_a_refusal_says_why() -> None:
    head = b"HTTP/1.1 409 Conflict\r\nContent-Length: %d\r\n\r\n%b"
    refusing = service(answer(b'{"error":"fills a slot twice"}', head))
    with refusing as door, closing(Caller(door)) as caller, pytest.raises(Refusal, match="fills a slot twice"):
        HttpExchange(caller).submit(b"{}")


def test_blobs_that_are_shorter_longer_or_other_than_named_are_refused() -> None:
    ref = blob_ref(b"blob")
    for lie in (b"", b"blo", b"blob!", b"bolb"):
        with service(answer(lie), answer(lie)) as door, closing(Caller(door)) as caller:
            with pytest.raises(FormatError):
                HttpBlobs(caller).get(ref)
            with pytest.raises(FormatError):
                HttpBlobs(caller).get_all([ref, blob_ref(b"another")])
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    with service(missing) as door, closing(Caller(door)) as caller, pytest.raises(Unreachable):
        HttpBlobs(caller).get(BlobRef(ref.root, 5))


@pytest.mark.parametrize("url", ["", "localhost:80", "ftp://127.0.0.1", "http://", "file:///etc/passwd"])
def test_what_is_not_an_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="not an address"):
        Caller(Door(url, ZERO_DIGEST))

"""Strangers and members at the sequencer's door: whatever is not allowed is refused, and leaves no trace."""

from __future__ import annotations

import http.client
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from attestrain.errors import FormatError
from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.digest import sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Text
from attestrain.record.statements import LogOpen, sign
from attestrain.run.exchange import Refusal
from attestrain.run.service import auth, limits
from attestrain.run.service.client import Caller, HttpBlobs, HttpExchange
from tests.attacks.http_world import BLOB, REF, WRITES, Gentle, ask, blobs, claimed, signed
from tests.attacks.world import tiny_spec
from tests.unit.service_world import World, key_of, open_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path, Gentle(), opened=True).serving() as found:
        yield found


@pytest.fixture
def unchanged(world: World) -> Iterator[None]:
    before = world.state(), claimed(world)
    yield
    assert (world.state(), claimed(world)) == before


def who_may(name: str) -> SigningKey:
    role = WRITES[name][3]
    return key_of(role, 2 if role == "invite" else 0)


@pytest.mark.parametrize("name", WRITES)
def test_who_may_write_can(world: World, name: str) -> None:
    """Otherwise the refusals below would prove nothing."""
    method, target, body, _ = WRITES[name]
    before = world.state(), claimed(world)
    status, answer = ask(world, method, target, body, signed(world, who_may(name), method, target, body))
    assert status == (409 if name == "entry" else 204), answer
    if name == "report":
        for _ in range(200):
            if (world.state(), claimed(world)) != before:
                break
            time.sleep(0.01)
    assert (world.state(), claimed(world)) != before


FORGERIES: dict[str, Callable[[World, str, str, str, bytes], dict[str, str]]] = {
    "unsigned": lambda world, name, method, target, body: {},
    "a bearer token": lambda world, name, method, target, body: {"Authorization": "Bearer letmein"},
    "a stranger": lambda world, name, method, target, body: signed(
        world, SigningKey(sha256(b"stranger")), method, target, body
    ),
    "another service": lambda world, name, method, target, body: signed(
        world, who_may(name), method, target, body, audience=sha256(b"another")
    ),
    "another method": lambda world, name, method, target, body: signed(world, who_may(name), "DELETE", target, body),
    "another address": lambda world, name, method, target, body: signed(world, who_may(name), method, "/v1/run", body),
    "another body": lambda world, name, method, target, body: signed(
        world, who_may(name), method, target, body, content=sha256(b"another")
    ),
    "expired": lambda world, name, method, target, body: signed(
        world, who_may(name), method, target, body, now=time.time() - auth.VALID - 5
    ),
    "from the future": lambda world, name, method, target, body: signed(
        world, who_may(name), method, target, body, now=time.time() + 3600
    ),
    "the wrong role": lambda world, name, method, target, body: signed(
        world, key_of("invite" if name != "claim" else "worker", 2), method, target, body
    ),
}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("forgery", FORGERIES)
@pytest.mark.parametrize("name", WRITES)
def test_a_forged_request_changes_nothing(world: World, name: str, forgery: str) -> None:
    method, target, body, _ = WRITES[name]
    status, answer = ask(world, method, target, body, FORGERIES[forgery](world, name, method, target, body))
    assert 400 <= status < 500, answer


@pytest.mark.parametrize("name", sorted(set(WRITES) - {"entry"}))
def test_a_request_that_was_overheard_is_not_taken_again(world: World, name: str) -> None:
    method, target, body, _ = WRITES[name]
    headers = signed(world, who_may(name), method, target, body)
    assert ask(world, method, target, body, headers)[0] == 204
    time.sleep(0.3)
    before = world.state(), claimed(world)
    status, answer = ask(world, method, target, body, headers)
    assert (status, b"sent before" in answer) == (401, True)
    time.sleep(0.3)
    assert (world.state(), claimed(world)) == before


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("name", WRITES)
def test_a_body_beyond_its_limit_is_refused_whether_it_says_so_or_not(world: World, name: str) -> None:
    method, target, _, _ = WRITES[name]
    huge = b"x" * (limits.MAX_DOCUMENT + 1)
    status, _ = ask(world, method, target, huge, signed(world, who_may(name), method, target, huge))
    assert status == 413
    headers = signed(world, who_may(name), method, target, huge) | {"Transfer-Encoding": "chunked"}
    assert _chunked(world, method, target, huge, headers) in (400, 413)


def _chunked(world: World, method: str, target: str, body: bytes, headers: dict[str, str]) -> int:
    """Send a body that does not announce its length; the status, 400 if the service just hung up."""
    place = urlsplit(world.service.door.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    try:
        pieces = (body[at : at + 8192] for at in range(0, len(body), 8192))
        connection.request(method, target, pieces, headers, encode_chunked=True)
        return connection.getresponse().status
    except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
        return 400
    finally:
        connection.close()


@pytest.mark.usefixtures("unchanged")
def test_a_blob_that_is_not_what_it_is_called_is_not_kept(world: World) -> None:
    other = b"something else"
    lies = [
        (blobs(REF), BLOB[:-1] + b"!"),
        (blobs(REF), BLOB[:-1]),
        (blobs(REF), b""),
        (blobs(REF, blob_ref(other)), BLOB + other[:-1] + b"!"),
        (blobs(REF, blob_ref(other)), other + BLOB),
        (blobs(BlobRef(REF.root, 0)), b""),
    ]
    for target, body in lies:
        status, answer = ask(world, "PUT", target, body, signed(world, key_of("worker", 0), "PUT", target, body))
        assert 400 <= status < 500, (target, answer)


@pytest.mark.usefixtures("unchanged")
def test_a_blob_larger_than_the_run_needs_or_than_the_account_may_is_refused(world: World) -> None:
    spec = tiny_spec()
    sizes = [limits.largest_blob(spec) + 1, 1 << 46, limits.largest_blob(spec)]
    for size in sizes[:2]:
        target = blobs(BlobRef(REF.root, size))
        headers = signed(world, key_of("worker", 0), "PUT", target, b"") | {"Content-Length": str(size)}
        assert _head_only(world, "PUT", target, headers) == 413
    world.service.desk.quota._bytes[key_of("worker", 0).address] = 1 << 60
    target = blobs(REF)
    assert ask(world, "PUT", target, BLOB, signed(world, key_of("worker", 0), "PUT", target, BLOB))[0] == 413


def _head_only(world: World, method: str, target: str, headers: dict[str, str]) -> int:
    place = urlsplit(world.service.door.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    try:
        connection.putrequest(method, target)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "target",
    [
        "/v1/run/dataset/salt",
        "/v1/run/dataset/..%2Fevents.jsonl",
        "/v1/run/dataset/%2e%2e/events.jsonl",
        "/v1/run/dataset/../events.jsonl",
        "/v1/run/dataset/manifest.json%00",
        "/v1/run/dataset//etc/passwd",
        "/v1/blobs/../../events.jsonl?size=1",
        "/v1/blobs/" + "0" * 64 + "?size=0",
        "/v1/blobs/" + "0" * 64,
        "/v1/blobs/" + "A" * 64 + "?size=1",
        "/v1/blobs/" + "0" * 64 + "?size=-1",
        "/v1/blobs/" + "0" * 64 + "?size=" + "9" * 5000,
        "/v1/blobs",
        "/v1/blobs?blob=",
        "/v1/blobs?blob=" + "0" * 64 + ":1&other=1",
        "/v1/blobs?" + "&".join(f"blob={'0' * 64}:{n}" for n in range(40)),
        "/v1/entries?since=-1",
        "/v1/entries?since=" + "1" * 400,
        "/v1/entries?since=0&wait=100000",
        "/v1/entries?since=%ff%fe",
        "/v1/entries?since=0&wait=nan",
        "/v1/events?since=1e9",
        "/" + "x" * 10_000,
        "/v1/%00",
        "/nowhere",
        "//",
    ],
)
def test_odd_addresses_are_refused(world: World, target: str) -> None:
    status, _ = ask(world, "GET", target)
    assert 400 <= status < 500


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/entries HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/entries HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/entries HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        b"POST /v1/entries HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        b"GET /v1/run HTTP/1.1\r\n" + b"X-Filler: y\r\n" * 5000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 1000,
    ],
)
def test_what_is_not_http_is_refused(world: World, data: bytes) -> None:
    place = urlsplit(world.service.door.url)
    with socket.create_connection((place.hostname, place.port), timeout=5) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        try:
            answer = connection.recv(1 << 16)
        except ConnectionResetError:
            answer = b""
    assert answer == b"" or re.match(rb"HTTP/1\.1 4\d\d ", answer), answer
    assert ask(world, "GET", "/health")[0] == 200


@pytest.mark.usefixtures("unchanged")
def test_a_peer_that_asks_too_much_is_told_to_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits.Rates, "take", lambda self, key: 3.2)
    place = urlsplit(world.service.door.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    connection.request("GET", "/health")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["retry-after"]) == (429, "4")
    connection.close()


@pytest.mark.usefixtures("unchanged")
def test_an_upload_that_is_cut_short_leaves_nothing(world: World) -> None:
    target = blobs(REF)
    headers = signed(world, key_of("worker", 0), "PUT", target, BLOB)
    place = urlsplit(world.service.door.url)
    with socket.create_connection((place.hostname, place.port), timeout=5) as connection:
        head = f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BLOB)}\r\n"
        head += f"Authorization: {headers['Authorization']}\r\n\r\n"
        connection.sendall(head.encode() + BLOB[:100])
        time.sleep(0.2)
    deadline = time.monotonic() + 5
    while any(path.name.startswith(".receiving") for path in (world.folder / "store").iterdir()):
        assert time.monotonic() < deadline, "an unfinished blob was kept"
        time.sleep(0.02)


def test_an_inadmissible_entry_of_a_member_is_refused_and_only_watchers_are_told(world: World) -> None:
    log, _, files = world.state()
    spec, key = tiny_spec(), key_of("worker", 0)
    entry = sign(LogOpen(spec.run_id, key.address, Text("again"), sha256(b"note")), key).to_bytes()
    with closing(Caller(world.service.door, key)) as caller, pytest.raises(Refusal, match="opened exactly once"):
        HttpExchange(caller).submit(entry)
    assert (world.state()[0], world.state()[2]) == (log, files)


def test_bytes_that_a_service_makes_up_are_not_taken_for_a_blob(world: World) -> None:
    with closing(Caller(world.service.door, key_of("worker", 0))) as caller:
        own = HttpBlobs(caller)
        refs = own.put_all([BLOB, b"another"])
        for ref in refs:
            world.store.path(ref).write_bytes(b"x" * ref.size)
        with pytest.raises(FormatError, match="other bytes"):
            own.get(refs[0])
        with pytest.raises(FormatError, match="other bytes"):
            own.get_all(refs)

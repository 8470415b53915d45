"""A sequencer's door to knock at: what changes something, who may, and how a request is signed."""

from __future__ import annotations

import http.client
import time
from typing import Any
from urllib.parse import urlsplit

from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.canonical import canonical
from attestrain.record.digest import ZERO_DIGEST, sha256
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address, Worker
from attestrain.run.exchange import Refusal
from attestrain.run.service.auth import sign_request
from attestrain.run.service.members import Member
from tests.unit.service_world import World

BLOB = b"an update" * 100
REF = blob_ref(BLOB)
DOCUMENT = canonical({"format": "attestrain.dev/environment@v1"})
CLAIM = canonical({"format": "attestrain.dev/claim@v1", "participant": "0x" + "11" * 20})
REPORT = b'{"kind":"segment","data":{"worker":0}}'


def blobs(*refs: BlobRef) -> str:
    return "/v1/blobs?" + "&".join(f"blob={ref.root.hex()}:{ref.size}" for ref in refs)


WRITES: dict[str, tuple[str, str, bytes, str]] = {
    "entry": ("POST", "/v1/entries", b"{}", "worker"),
    "report": ("POST", "/v1/events", REPORT, "worker"),
    "claim": ("POST", "/v1/slots", CLAIM, "invite"),
    "blob": ("PUT", blobs(REF), BLOB, "worker"),
    "environment": ("PUT", f"/v1/environments/{sha256(DOCUMENT).hex()}", DOCUMENT, "worker"),
    "evidence": ("PUT", f"/v1/evidence/{sha256(DOCUMENT).hex()}", DOCUMENT, "auditor"),
}
"""Everything that changes something: method, address, body, and who may."""


class Gentle:
    """Claims are taken, and remembered."""

    def __init__(self) -> None:
        self.given: dict[tuple[str, Worker], Address] = {}

    def __call__(self, member: Member, participant: Address) -> None:
        if self.given.setdefault((member.seat, member.slot), participant) != participant:
            raise Refusal("the slot is taken")


def ask(
    world: World, method: str, target: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    place = urlsplit(world.service.door.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    try:
        connection.request(method, target, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def signed(world: World, who: SigningKey, method: str, target: str, body: bytes, **changes: Any) -> dict[str, str]:
    content = ZERO_DIGEST if target.startswith("/v1/blobs") else sha256(body)
    values = {"audience": world.service.door.service, "target": target, "content": content, "now": time.time()}
    return {"Authorization": sign_request(who, method=method, **(values | changes))}


def claimed(world: World) -> int:
    claim = world.service.desk.clerk.claim
    assert isinstance(claim, Gentle)
    return len(claim.given)

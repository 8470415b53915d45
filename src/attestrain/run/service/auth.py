"""Signed requests: who asks the service to change something, for this service and this request alone, once, and soon.

A request's header carries an expiry, a nonce, the digest of the body and a signature of the account over EIP-712; who
signed follows from it and is not written down. The signature names the service, the method, path and query, so a
request cannot be taken elsewhere, and it is checked before the first byte of the body is read.
"""

from __future__ import annotations

import heapq
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from attestrain.errors import AttestrainError, FormatError
from attestrain.record.digest import Digest, tagged
from attestrain.record.eip712 import Members as Structure
from attestrain.record.eip712 import signing_digest
from attestrain.record.keys import SigningKey, parse_signature, recover
from attestrain.record.names import Address, RunId
from attestrain.run.service.limits import ACCOUNT_BURST, ACCOUNT_RATE, Rates
from attestrain.run.service.members import Member, Members

SCHEME = "attestrain-v1"
STRUCTURE: Structure = (
    ("audience", "bytes32"),
    ("method", "string"),
    ("target", "string"),
    ("content", "bytes32"),
    ("expiry", "uint64"),
    ("nonce", "bytes32"),
)
"""EIP-712 members of a request."""
LIFETIME = 60
"""Furthest expiry accepted, in seconds from now: clocks may differ, and nonces are remembered for as long."""
VALID = 40
"""Expiry that clients choose, in seconds from now: clocks may differ by 20 seconds either way."""
MAX_NONCES = 200_000
"""Nonces remembered at once: thirty accounts at full rate for a lifetime, in some 30 MB."""

_HEADER = re.compile(r"attestrain-v1 ([1-9][0-9]{0,11}) ([0-9a-f]{64}) ([0-9a-f]{64}) (0x[0-9a-f]{130})\Z")


class Denied(AttestrainError):
    """A request that is not let in: not signed as it must be, or one too many. Nothing happened.

    Attributes:
        status: HTTP status of the answer.
        wait: seconds after which to ask again; 0 if that does not help.
    """

    def __init__(self, message: str, *, status: int = 401, wait: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Door:
    """Where a service is found, and the name for which requests to it are signed."""

    url: str
    service: Digest


@dataclass(frozen=True, slots=True)
class Caller:
    """Who signed a request, what it acts for, and the digest of the body it promised."""

    account: Address
    member: Member
    content: Digest


def service_id(run: RunId, sequencer: Address, log_key: str) -> Digest:
    """Name of a sequencer's service: its run, its account and the key that signs its transcript (a C2SP vkey).

    Requests are signed for it, and it is what people compare as a network's fingerprint.
    """
    return tagged("attestrain.dev/service@v1", run, sequencer.encode("ascii"), log_key.encode("ascii"))


def sign_request(key: SigningKey, audience: Digest, method: str, target: str, content: Digest, now: float) -> str:
    """Value of the Authorization header of a request made at ``now``.

    Args:
        key: who asks.
        audience: the service's name.
        method: in capitals.
        target: path and query as they are sent.
        content: SHA-256 of the body; zero for blobs, which the target names.
        now: seconds since 1970.
    """
    expiry, nonce = int(now) + VALID, secrets.token_bytes(32)
    signature = key.sign(request_digest(audience, method, target, content, expiry, nonce))
    return header(content, expiry, nonce, signature)


def header(content: Digest, expiry: int, nonce: bytes, signature: bytes) -> str:
    """The Authorization header's value."""
    return f"{SCHEME} {expiry} {nonce.hex()} {content.hex()} 0x{signature.hex()}"


def request_digest(audience: Digest, method: str, target: str, content: Digest, expiry: int, nonce: bytes) -> bytes:
    """The 32 bytes that are signed for a request (EIP-712)."""
    values = {
        "audience": audience,
        "method": method,
        "target": target,
        "content": content,
        "expiry": expiry,
        "nonce": nonce,
    }
    return signing_digest("Request", STRUCTURE, values)


class Doorman:
    """Lets in who may write.

    Args:
        audience: the service's name.
        members: who may.
        clock: seconds since 1970.
    """

    def __init__(self, audience: Digest, members: Members, clock: Callable[[], float] = time.time) -> None:
        self._audience = audience
        self._members = members
        self._clock = clock
        self._nonces: set[bytes] = set()
        self._expiries: list[tuple[int, bytes]] = []
        self._rates = Rates(ACCOUNT_RATE, ACCOUNT_BURST)

    def admit(self, method: str, target: str, header: str | None) -> Caller:
        """Check a request by its head.

        Raises:
            Denied: not signed for this service and request by a member, expired, seen before, or one too many.
        """
        match = _HEADER.match(header or "")
        if match is None:
            raise Denied("the request is not signed: see spec/http.md")
        expiry, nonce, content = int(match[1]), bytes.fromhex(match[2]), Digest(bytes.fromhex(match[3]))
        now = self._clock()
        if not now <= expiry <= now + LIFETIME:
            raise Denied("the request has expired or expires too late: compare the clocks")
        account = self._signer(method, target, content, expiry, nonce, parse_signature(match[4]))
        member = self._members.of(account)
        if member is None:
            raise Denied("the request is not signed by a member of this network", status=403)
        if wait := self._rates.take(account):
            raise Denied("too many requests from this account", status=429, wait=wait)
        self._spend(expiry, nonce, now)
        return Caller(account, member, content)

    def _signer(
        self, method: str, target: str, content: Digest, expiry: int, nonce: bytes, signature: bytes
    ) -> Address:
        try:
            return recover(request_digest(self._audience, method, target, content, expiry, nonce), signature)
        except FormatError as error:
            raise Denied("the request's signature is malformed") from error

    def _spend(self, expiry: int, nonce: bytes, now: float) -> None:
        while self._expiries and self._expiries[0][0] < now:
            self._nonces.discard(heapq.heappop(self._expiries)[1])
        if nonce in self._nonces:
            raise Denied("the request was sent before")
        if len(self._nonces) >= MAX_NONCES:
            raise Denied("too many requests", status=429, wait=1.0)
        self._nonces.add(nonce)
        heapq.heappush(self._expiries, (expiry, nonce))

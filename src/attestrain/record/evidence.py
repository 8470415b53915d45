"""Evidence: what a trusted execution environment says about the session key that it holds (spec/evidence.md).

One document per key epoch: a TDX quote, the collateral that judges it years later and offline, the log of what was
measured into the quote's RTMR3, and the recent block that the quote is bound to. A quote alone is "TEE evidence": that
the measured code did its work is what `appraise` and the replays are about.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from attestrain.errors import FormatError
from attestrain.record.canonical import MAX_INTEGER, Json, canonical, parse
from attestrain.record.digest import Buffer, Digest
from attestrain.record.eip712 import address_bytes
from attestrain.record.fields import Fields
from attestrain.record.names import Address, KeyEpoch, RunId, Worker

FORMAT = "attestrain.dev/evidence@v1"
KIND = "tdx"
KEY_TAG = b"attestrain.dev/session-key@v1"
EVENT_TAG = b"attestrain.dev/event@v1"

MEASURED = ("package", "dependencies", "run-spec", "dataset", "environment")
"""Names of the events that a participant measures before it quotes, in this order."""
REGISTER_SIZE = 48
"""Bytes of a measurement register: SHA-384."""
REPORT_DATA_SIZE = 64
SIGNATURE_SIZE = 64
"""ECDSA over P-256, r and s."""

MAX_EVIDENCE = 1 << 18
"""Largest document, in bytes: genuine ones have about 40 thousand."""
MAX_QUOTE = 16_384
"""Largest quote, in bytes: genuine ones have 4 to 8 thousand, padding included."""
MAX_CHAIN = 3
"""Most certificates of a chain: leaf, intermediate and root."""
MAX_CERTIFICATE = 4096
"""Largest certificate, in bytes: a PCK certificate has 1,300."""
MAX_REVOCATIONS = 32_768
"""Largest revocation list, in bytes: Intel's longest has 2,700."""
MAX_STATEMENT = 32_768
"""Longest TCB info or QE identity: genuine TCB infos have 3 to 6 thousand characters."""
MAX_EVENTS = 64
"""Most measured events: we make five."""
MAX_NAME = 64
MAX_PAYLOAD = 256
"""Longest payload of an event: a digest's 64 digits, with room."""

_HEX = re.compile(r"([0-9a-f]{2})*\Z")
_CHAINS = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "qe_identity_issuer_chain")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was measured: what it is, and its value in printable ASCII, mostly a digest."""

    name: str
    payload: str

    @property
    def digest(self) -> bytes:
        """The 48 bytes that extend a register: SHA-384 over a tag, name and payload, each with its length."""
        return hashlib.sha384(_joined(EVENT_TAG, self.name.encode(), self.payload.encode())).digest()


def extend(register: bytes, digest: bytes) -> bytes:
    """A register after ``digest`` was measured into it: SHA-384(register, digest), as TDG.MR.RTMR.EXTEND does."""
    return hashlib.sha384(register + digest).digest()


def replay(events: Iterable[Event]) -> bytes:
    """What a register holds after ``events``, beginning with zeros."""
    register = bytes(REGISTER_SIZE)
    for event in events:
        register = extend(register, event.digest)
    return register


def report_data(
    *,
    session: Address,
    participant: Address,
    run: RunId,
    role: str,
    worker: Worker,
    key_epoch: KeyEpoch,
    block_number: int,
    block_hash: Digest,
) -> bytes:
    """The 64 bytes that bind a quote to one session key, its slot and a moment.

    All 64 are a hash: fields side by side, some of them left to others, would let a quote serve twice.

    Args:
        session: account of the key that signs receipts.
        participant: account that stakes and is paid.
        run: the run.
        role: of the slot.
        worker: number of the slot.
        key_epoch: which life of the slot's key this is.
        block_number: of a recent block.
        block_hash: its hash, which nobody knew before.
    """
    return hashlib.sha512(
        _joined(
            KEY_TAG,
            address_bytes(session),
            address_bytes(participant),
            run,
            role.encode("ascii"),
            struct.pack(">I", worker),
            struct.pack(">I", key_epoch),
            struct.pack(">Q", block_number),
            block_hash,
        )
    ).digest()


def _joined(tag: bytes, *parts: Buffer) -> bytes:
    """A tag and parts with their lengths, as `digest.tagged` lays them out."""
    return b"".join([struct.pack(">I", len(tag)), tag, *(struct.pack(">Q", len(part)) + part for part in parts)])


@dataclass(frozen=True, slots=True)
class Collateral:
    """What the maker of the processor said about its platforms when the quote was given, and its signatures.

    Attributes:
        pck_crl_issuer_chain: certificates (DER), issuer first, root last; the other chains likewise.
        root_ca_crl, pck_crl: revocation lists (DER).
        tcb_info, qe_identity: signed JSON texts, byte for byte.
        tcb_info_signature, qe_identity_signature: r and s.
    """

    pck_crl_issuer_chain: tuple[bytes, ...]
    root_ca_crl: bytes
    pck_crl: bytes
    tcb_info_issuer_chain: tuple[bytes, ...]
    tcb_info: str
    tcb_info_signature: bytes
    qe_identity_issuer_chain: tuple[bytes, ...]
    qe_identity: str
    qe_identity_signature: bytes

    @property
    def chains(self) -> dict[str, tuple[bytes, ...]]:
        """The certificate chains by name."""
        return {name: getattr(self, name) for name in _CHAINS}

    def to_json(self) -> Json:
        """As it stands in the document."""
        document: Json = {"tcb_info": self.tcb_info, "qe_identity": self.qe_identity}
        for name in ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature"):
            document[name] = getattr(self, name).hex()
        return document | {name: [item.hex() for item in chain] for name, chain in self.chains.items()}

    @classmethod
    def from_json(cls, value: object) -> Collateral:
        """Read collateral strictly.

        Raises:
            FormatError: malformed or out of bounds.
        """
        fields = Fields(value, cls.__dataclass_fields__, "collateral")
        return cls(
            pck_crl_issuer_chain=_read_chain(fields, "pck_crl_issuer_chain"),
            root_ca_crl=_read_hex(fields, "root_ca_crl", MAX_REVOCATIONS),
            pck_crl=_read_hex(fields, "pck_crl", MAX_REVOCATIONS),
            tcb_info_issuer_chain=_read_chain(fields, "tcb_info_issuer_chain"),
            tcb_info=fields.text("tcb_info", max_length=MAX_STATEMENT),
            tcb_info_signature=_read_signature(fields, "tcb_info_signature"),
            qe_identity_issuer_chain=_read_chain(fields, "qe_identity_issuer_chain"),
            qe_identity=fields.text("qe_identity", max_length=MAX_STATEMENT),
            qe_identity_signature=_read_signature(fields, "qe_identity_signature"),
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """The document. Its SHA-256 stands in the participant's `Join`.

    Attributes:
        quote: as the platform gave it.
        collateral: what judges it, as valid when it was given.
        events: what was measured into RTMR3, in order.
        block_number, block_hash: the recent block that the quote's report data cover.
    """

    quote: bytes
    collateral: Collateral
    events: tuple[Event, ...]
    block_number: int
    block_hash: Digest

    def to_bytes(self) -> bytes:
        """Canonical document."""
        return canonical(
            {
                "format": FORMAT,
                "kind": KIND,
                "quote": self.quote.hex(),
                "collateral": self.collateral.to_json(),
                "events": [{"name": event.name, "payload": event.payload} for event in self.events],
                "block_number": self.block_number,
                "block_hash": self.block_hash.hex(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Evidence:
        """Read evidence strictly. What it is worth is `appraise`'s business.

        Raises:
            FormatError: malformed or out of bounds.
        """
        keys = ("format", "kind", "quote", "collateral", "events", "block_number", "block_hash")
        fields = Fields(parse(data, max_bytes=MAX_EVIDENCE), keys, "evidence")
        fields.constant("format", FORMAT)
        fields.constant("kind", KIND)
        return cls(
            quote=_read_hex(fields, "quote", MAX_QUOTE),
            collateral=Collateral.from_json(fields.object("collateral")),
            events=tuple(_read_event(item) for item in fields.array("events", max_length=MAX_EVENTS)),
            block_number=fields.integer("block_number", 0, MAX_INTEGER),
            block_hash=fields.digest("block_hash"),
        )


def _read_event(value: object) -> Event:
    fields = Fields(value, ("name", "payload"), "evidence.events")
    return Event(fields.text("name", max_length=MAX_NAME), fields.text("payload", max_length=MAX_PAYLOAD))


def _read_chain(fields: Fields, key: str) -> tuple[bytes, ...]:
    chain = fields.array(key, max_length=MAX_CHAIN)
    if not chain:
        raise FormatError(f"collateral.{key} holds no certificate")
    return tuple(_parse_hex(item, MAX_CERTIFICATE, key) for item in chain)


def _read_hex(fields: Fields, key: str, most: int) -> bytes:
    return _parse_hex(fields.text(key, max_length=2 * most), most, key)


def _read_signature(fields: Fields, key: str) -> bytes:
    value = _read_hex(fields, key, SIGNATURE_SIZE)
    if len(value) != SIGNATURE_SIZE:
        raise FormatError(f"collateral.{key} has {len(value)} bytes, not {SIGNATURE_SIZE}")
    return value


def _parse_hex(value: object, most: int, where: str) -> bytes:
    if not isinstance(value, str) or len(value) > 2 * most or not _HEX.match(value):
        raise FormatError(f"{where} is not at most {most} bytes in lower-case hexadecimal: {str(value)[:80]!r}")
    return bytes.fromhex(value)

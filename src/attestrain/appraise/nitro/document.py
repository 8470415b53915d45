"""Attestation documents of AWS Nitro Enclaves, as read: COSE_Sign1 (RFC 9052) around a CBOR map.

Fields and their bounds: AWS, "Nitro Secure Module library", docs/attestation_process.md, section 3.1 and 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attestrain.appraise.nitro.cbor import Value, head, read_cbor
from attestrain.appraise.refused import Refused, require

MAX_DOCUMENT = 16_384
"""Largest document, in bytes: the secure module answers with at most 12,288."""
MAX_CERTIFICATE = 1024
"""Largest certificate, in bytes, by the specification; public keys likewise."""
MAX_BUNDLE = 8
"""Most certificates above the enclave's: genuine documents have four."""
MAX_DATA = 512
"""Longest user data or nonce, in bytes, by the specification."""
MAX_NAME = 256
"""Longest module identity, in characters: genuine ones have forty."""
MAX_REGISTERS = 32
REGISTER_SIZE = 48
"""Bytes of a register: SHA-384 is the only digest that modules use."""
MAX_TIME = 1 << 43
"""Latest time, in milliseconds since 1970: the year 2248, within what dates of certificates reach."""
ES384 = {1: -35}
"""The protected header: algorithm ECDSA with SHA-384 (RFC 9053, section 2.1)."""
SIGNATURE_SIZE = 96
KEYS = (
    "module_id",
    "digest",
    "timestamp",
    "pcrs",
    "certificate",
    "cabundle",
    "public_key",
    "user_data",
    "nonce",
)
_STARTS = (b"\x84\x44\xa1\x01\x38\x22", b"\xd2\x84\x44\xa1\x01\x38\x22")


@dataclass(frozen=True, slots=True)
class NitroDocument:
    """A document.

    Attributes:
        module: identity of the enclave's secure module.
        time: when it was made, in milliseconds since 1970, by the host's clock.
        registers: platform configuration registers (PCR) by number.
        chain: certificates (DER), the enclave's first, the root last.
        public_key, user_data, nonce: what the enclave had bound; empty where it had nothing.
        signed: the bytes that the enclave's key signs: Sig_structure of RFC 9052, section 4.4.
        signature: r and s.
    """

    module: str
    time: int
    registers: Mapping[int, bytes]
    chain: tuple[bytes, ...]
    public_key: bytes
    user_data: bytes
    nonce: bytes
    signed: bytes
    signature: bytes


def is_nitro(data: bytes) -> bool:
    """Whether ``data`` begin like an attestation document: COSE_Sign1, tagged or not, signed with ES384."""
    return data.startswith(_STARTS)


def read_nitro(data: bytes) -> NitroDocument:
    """Read a document.

    Raises:
        Refused: it is none, or malformed, cut short, out of bounds or too large.
    """
    require(len(data) <= MAX_DOCUMENT, f"the Nitro document has {len(data)} bytes, more than {MAX_DOCUMENT}")
    require(is_nitro(data), "the bytes do not begin like a Nitro document")
    parts = read_cbor(data.removeprefix(b"\xd2"), "the Nitro document")
    if not isinstance(parts, list) or len(parts) != 4:
        raise Refused("the Nitro document is not COSE_Sign1: an array of four")
    protected, unprotected, payload, signature = parts
    if not isinstance(protected, bytes) or not isinstance(payload, bytes) or not isinstance(signature, bytes):
        raise Refused("the Nitro document is not COSE_Sign1: header, payload and signature are not bytes")
    require(unprotected == {}, "the Nitro document has unprotected headers")
    require(read_cbor(protected, "the Nitro document's header") == ES384, "the Nitro document is not signed with ES384")
    require(len(signature) == SIGNATURE_SIZE, f"the Nitro document's signature has {len(signature)} bytes, not 96")
    return _read_payload(payload, _to_sign(protected, payload), signature)


def _to_sign(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure: context, protected header, no external data, payload."""
    parts = (head(3, 10) + b"Signature1", head(2, len(protected)) + protected, head(2, 0))
    return head(4, 4) + b"".join(parts) + head(2, len(payload)) + payload


def _read_payload(payload: bytes, signed: bytes, signature: bytes) -> NitroDocument:
    value = read_cbor(payload, "the Nitro document's payload")
    if not isinstance(value, dict):
        raise Refused("the Nitro document's payload is not a map")
    strange = ", ".join(sorted(str(key)[:40] for key in value.keys() ^ set(KEYS)))
    require(not strange, f"the Nitro document has unknown or missing fields: {strange[:200]}")
    require(value["digest"] == "SHA384", "the Nitro document's digest is not SHA384")
    bundle = value["cabundle"]
    if not isinstance(bundle, list) or not 1 <= len(bundle) <= MAX_BUNDLE:
        raise Refused(f"the Nitro document's cabundle is not of 1 to {MAX_BUNDLE} certificates")
    # The bundle begins with the root; chains here begin with the leaf.
    certificates = (value["certificate"], *reversed(bundle))
    return NitroDocument(
        module=_read_module(value["module_id"]),
        time=_read_time(value["timestamp"]),
        registers=_read_registers(value["pcrs"]),
        chain=tuple(_read_bytes(item, 1, MAX_CERTIFICATE, "certificate") for item in certificates),
        public_key=_read_optional(value["public_key"], MAX_CERTIFICATE, "public_key"),
        user_data=_read_optional(value["user_data"], MAX_DATA, "user_data"),
        nonce=_read_optional(value["nonce"], MAX_DATA, "nonce"),
        signed=signed,
        signature=signature,
    )


def _read_bytes(value: Value, least: int, most: int, what: str) -> bytes:
    if not isinstance(value, bytes) or not least <= len(value) <= most:
        raise Refused(f"the Nitro document's {what} is not of {least} to {most} bytes")
    return value


def _read_optional(value: Value, most: int, what: str) -> bytes:
    return b"" if value is None else _read_bytes(value, 0, most, what)


def _read_module(value: Value) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or not (value.isascii() and value.isprintable()):
        raise Refused(f"the Nitro document's module_id is not printable ASCII of 1 to {MAX_NAME} characters")
    return value


def _read_time(value: Value) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_TIME:
        raise Refused("the Nitro document's timestamp is not a time in milliseconds since 1970")
    return value


def _read_registers(value: Value) -> dict[int, bytes]:
    if not isinstance(value, dict) or not 1 <= len(value) <= MAX_REGISTERS:
        raise Refused(f"the Nitro document's pcrs are not 1 to {MAX_REGISTERS}")
    registers = {}
    for number, register in value.items():
        if not isinstance(number, int) or not 0 <= number < MAX_REGISTERS:
            raise Refused(f"the Nitro document has register {str(number)[:40]}")
        registers[number] = _read_bytes(register, REGISTER_SIZE, REGISTER_SIZE, f"register {number}")
    return registers

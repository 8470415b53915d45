"""Intel's quotes, read by ourselves: of TDX guests, versions 4 and 5, and of SGX enclaves, version 3.

Behind header and body, which `bodies` reads, all have the same parts: a signature, the key that made it, and who
vouches for that key. Reading proves nothing yet; `appraise.intel.authentic` does.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attestrain.appraise.intel.bodies import ENCLAVE, ENCLAVE_SIZE, Kind, read_kind
from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import UNREADABLE
from attestrain.record.digest import Digest, sha256
from attestrain.record.evidence import MAX_CHAIN, MAX_QUOTE

POINT_SIZE = 64
"""Bytes of a P-256 signature, and of a public point."""
CERTIFIED_BY_QE, CERTIFIED_BY_CHAIN = 6, 5
"""Types of certification data: a quoting enclave's report; a PCK certificate chain in PEM."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote.

    Attributes:
        kind: what it is about, and where the fields lie.
        signed: header and body, the only part without a second spelling.
        signature: of the attestation key over it.
        key: the attestation key's public point.
        enclave: report of the quoting enclave, which made that key.
        enclave_signature: of the platform's certified key over it.
        authentication: what the enclave's report covers besides the key.
        chain: the PCK certificate chain (DER), leaf first, root last.
    """

    kind: Kind
    signed: bytes
    signature: bytes
    key: bytes
    enclave: bytes
    enclave_signature: bytes
    authentication: bytes
    chain: tuple[bytes, ...]

    @classmethod
    def from_bytes(cls, data: bytes) -> Quote:
        """Read a quote.

        Raises:
            Refused: it is of no kind of `bodies.KINDS`, malformed, cut short or too large.
        """
        require(len(data) <= MAX_QUOTE, f"the quote has {len(data)} bytes, more than {MAX_QUOTE}")
        kind = read_kind(data)
        reader = _Reader(data)
        signed = reader.take(kind.signed_size, "header and report")
        rest = _Reader(reader.sized("signature data"))
        signature, key = (rest.take(POINT_SIZE, "signature and attestation key") for _ in range(2))
        inner = _Reader(_certification(rest, CERTIFIED_BY_QE)) if kind.is_tdx else rest
        enclave = inner.take(ENCLAVE_SIZE, "quoting enclave's report")
        enclave_signature = inner.take(POINT_SIZE, "quoting enclave's signature")
        authentication = inner.take(inner.number("H", "authentication data"), "authentication data")
        chain = _read_chain(_certification(inner, CERTIFIED_BY_CHAIN))
        return cls(kind, signed, signature, key, enclave, enclave_signature, authentication, chain)

    def to_bytes(self) -> bytes:
        """The quote in one fixed spelling: what we did not read is not in it, so no other parser finds it either."""
        chain = struct.pack("<H", CERTIFIED_BY_CHAIN) + sized("".join(map(pem, self.chain)).encode())
        authentication = struct.pack("<H", len(self.authentication)) + self.authentication
        enclave = self.enclave + self.enclave_signature + authentication + chain
        if self.kind.is_tdx:  # version 3 has these parts as they are
            enclave = struct.pack("<H", CERTIFIED_BY_QE) + sized(enclave)
        return self.signed + sized(self.signature + self.key + enclave)

    @property
    def root(self) -> Digest:
        """SHA-256 of the root certificate that the quote brings along."""
        return sha256(self.chain[-1])

    @property
    def identity(self) -> Digest:
        """Name of what was quoted: SHA-256 of the signed part. That of the whole quote is anyone's to change."""
        return sha256(self.signed)

    def field(self, name: str) -> bytes:
        """A field of the body, by the names of the kind's fields."""
        offset, size = self.kind.fields[name]
        return self.signed[self.kind.start + offset : self.kind.start + offset + size]

    def enclave_field(self, name: str) -> bytes:
        """A field of the quoting enclave's report, by the names of `bodies.ENCLAVE`."""
        offset, size = ENCLAVE[name]
        return self.enclave[offset : offset + size]


def sized(data: bytes) -> bytes:
    """``data`` with its length as u32 in front."""
    return struct.pack("<I", len(data)) + data


def pem(certificate: bytes) -> str:
    """A certificate (DER) in PEM, as RFC 7468 spells it strictly."""
    text = base64.b64encode(certificate).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


class _Reader:
    """Bytes read from front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int, what: str) -> bytes:
        """The next ``size`` bytes."""
        end = self._at + size
        require(end <= len(self._data), f"the quote ends within its {what}: {len(self._data)} bytes of {end}")
        part, self._at = self._data[self._at : end], end
        return part

    def number(self, format_: str, what: str) -> int:
        """The next little-endian integer."""
        return int(struct.unpack("<" + format_, self.take(struct.calcsize("<" + format_), what))[0])

    def sized(self, what: str) -> bytes:
        """The next bytes, as many as the u32 before them says."""
        return self.take(self.number("I", what), what)


def _read_chain(pem: bytes) -> tuple[bytes, ...]:
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except UNREADABLE as error:
        raise Refused(f"the quote's certificate chain is not PEM: {error}") from error
    require(len(chain) == MAX_CHAIN, f"the quote's certificate chain has {len(chain)} certificates, not {MAX_CHAIN}")
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in chain)


def _certification(reader: _Reader, expected: int) -> bytes:
    kind = reader.number("H", "certification data")
    require(kind == expected, f"the quote's certification data are of type {kind}, not {expected}")
    return reader.sized("certification data")

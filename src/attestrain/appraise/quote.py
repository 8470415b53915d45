"""TDX quotes, read by ourselves: version 4 with a TD report 1.0.

Layout: Intel, "TDX DCAP Quoting Library API", appendix 3 (quote format), and "Intel TDX Module Base Architecture
Specification" for the report's fields. Reading proves nothing yet; `appraise.authentic` does.
"""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import UNREADABLE
from attestrain.record.digest import Digest, sha256
from attestrain.record.evidence import MAX_CHAIN, MAX_QUOTE

VERSION = 4
KEY_TYPE = 2
"""Attestation keys are ECDSA over P-256."""
TEE_TDX = 0x81
QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
"""Intel's quoting enclave."""
HEADER_SIZE = 48
REPORT_SIZE = 584
"""A TD report 1.0."""
SIGNED_SIZE = HEADER_SIZE + REPORT_SIZE
"""What the attestation key signs. Everything behind it has spellings that verify just as well."""
POINT_SIZE = 64
"""Bytes of a P-256 signature, and of a public point."""
QE_REPORT_SIZE = 384
QE_REPORT_DATA = 320
"""Where the report data of a quoting enclave's report begin."""
CERTIFIED_BY_QE, CERTIFIED_BY_CHAIN = 6, 5
"""Types of certification data: a quoting enclave's report; a PCK certificate chain in PEM."""

FIELDS: dict[str, tuple[int, int]] = {
    "tee_tcb_svn": (0, 16),
    "mrseam": (16, 48),
    "mrsignerseam": (64, 48),
    "seamattributes": (112, 8),
    "tdattributes": (120, 8),
    "xfam": (128, 8),
    "mrtd": (136, 48),
    "mrconfigid": (184, 48),
    "mrowner": (232, 48),
    "mrownerconfig": (280, 48),
    "rtmr0": (328, 48),
    "rtmr1": (376, 48),
    "rtmr2": (424, 48),
    "rtmr3": (472, 48),
    "report_data": (520, 64),
}
"""Fields of a TD report 1.0: offset and size."""
IMAGE = ("mrtd", "rtmr0", "rtmr1", "rtmr2")
"""Registers of firmware, loader and kernel: they take reference values of an image."""
CONFIGURATION = ("mrconfigid", "mrowner", "mrownerconfig")
"""Registers that the host chooses: zero unless a policy names other values."""
REGISTERS = (*IMAGE, *CONFIGURATION)


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote.

    Attributes:
        signed: header and TD report, the only part without a second spelling.
        signature: of the attestation key over it.
        key: the attestation key's public point.
        enclave: report of the quoting enclave, which made that key.
        enclave_signature: of the platform's certified key over it.
        authentication: what the enclave's report covers besides the key.
        chain: the PCK certificate chain (DER), leaf first, root last.
    """

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
            Refused: it is not a TDX quote of version 4, or malformed, cut short or too large.
        """
        require(len(data) <= MAX_QUOTE, f"the quote has {len(data)} bytes, more than {MAX_QUOTE}")
        reader = _Reader(data)
        signed = reader.take(SIGNED_SIZE, "header and TD report")
        _check_header(signed)
        rest = _Reader(reader.sized("signature data"))
        signature, key = (rest.take(POINT_SIZE, "signature and attestation key") for _ in range(2))
        inner = _Reader(_certification(rest, CERTIFIED_BY_QE))
        enclave = inner.take(QE_REPORT_SIZE, "quoting enclave's report")
        enclave_signature = inner.take(POINT_SIZE, "quoting enclave's signature")
        authentication = inner.take(inner.number("H", "authentication data"), "authentication data")
        chain = _read_chain(_certification(inner, CERTIFIED_BY_CHAIN))
        return cls(signed, signature, key, enclave, enclave_signature, authentication, chain)

    def to_bytes(self) -> bytes:
        """The quote in one fixed spelling: what we did not read is not in it, so no other parser finds it either."""
        chain = struct.pack("<H", CERTIFIED_BY_CHAIN) + sized("".join(map(pem, self.chain)).encode())
        authentication = struct.pack("<H", len(self.authentication)) + self.authentication
        enclave = sized(self.enclave + self.enclave_signature + authentication + chain)
        return self.signed + sized(self.signature + self.key + struct.pack("<H", CERTIFIED_BY_QE) + enclave)

    @property
    def root(self) -> Digest:
        """SHA-256 of the root certificate that the quote brings along."""
        return sha256(self.chain[-1])

    @property
    def identity(self) -> Digest:
        """Name of what was quoted: SHA-256 of the signed part. That of the whole quote is anyone's to change."""
        return sha256(self.signed)

    def field(self, name: str) -> bytes:
        """A field of the TD report, by the names of `FIELDS`."""
        offset, size = FIELDS[name]
        return self.signed[HEADER_SIZE + offset : HEADER_SIZE + offset + size]


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


def _check_header(signed: bytes) -> None:
    version, key_type, tee = struct.unpack_from("<HHI", signed)
    require(version == VERSION, f"the quote has version {version}, not {VERSION}")
    require(key_type == KEY_TYPE, f"the quote's attestation key is of type {key_type}, not {KEY_TYPE}")
    require(tee == TEE_TDX, f"the quote is of TEE type {tee:#x}, not {TEE_TDX:#x} (TDX)")
    vendor = signed[12:28]
    require(vendor == QE_VENDOR, f"the quote names quoting enclave vendor {vendor.hex()}, not {QE_VENDOR.hex()}")


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

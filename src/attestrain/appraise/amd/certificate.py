"""One certificate in the profile of AMD's key distribution service.

AMD, "Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification" (57230); RFC 5280. All of them
are signed by RSA keys of 4096 bits with PSS, SHA-384 and 48 bytes of salt (RFC 4055).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import load_der_public_key

from attestrain.appraise.amd.der import BITS, BOOLEAN, FULL_TIME, OCTETS, OID, SEQUENCE, UTC_TIME, Der, oid
from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import shown

MAX_CERTIFICATE = 4_096
"""Bytes of a certificate: AMD's have 1,100 to 1,700."""
MAX_EXTENSIONS = 32
"""Extensions of a certificate: AMD's have 13 at most."""
VERSION, UNIQUE_VERSION = 0xA0, 2
"""Tag of a certificate's version, and the number that stands for version 3."""
EXTENSIONS = 0xA3
RSA_BITS = 4_096
SALT_SIZE = 48

_PSS = (
    "06092a864886f70d01010a30{}a00f300d06096086480165030402020500"
    "a11c301a06092a864886f70d010108300d06096086480165030402020500a203020130{}"
)
PSS_ALGORITHMS = tuple(
    bytes.fromhex(text) for text in ("3041" + _PSS.format("34", ""), "3046" + _PSS.format("39", "a303020101"))
)
"""The two spellings of RSASSA-PSS that AMD uses: the second names the default trailer field, which DER leaves out."""

BASIC_CONSTRAINTS, KEY_USAGE = oid("2.5.29.19"), oid("2.5.29.15")
SIGNS_CERTIFICATES = 0x04
"""Bit of the first byte of a key usage: keyCertSign (RFC 5280, section 4.2.1.3)."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, read and not yet judged.

    Attributes:
        signed: what the signature covers.
        signature: of the issuer's key.
        serial: its number; AMD's leaves have 0.
        issuer: the issuer's name, as DER.
        subject: its own name, as DER.
        begin: when it starts to count, in seconds since 1970.
        end: the last second at which it counts.
        key: its public key, as DER (SubjectPublicKeyInfo).
        extensions: content by object identifier.
        critical: object identifiers of those that must be understood.
    """

    signed: bytes
    signature: bytes
    serial: int
    issuer: bytes
    subject: bytes
    begin: int
    end: int
    key: bytes
    extensions: Mapping[bytes, bytes]
    critical: frozenset[bytes]

    @classmethod
    def from_der(cls, data: bytes, what: str) -> Certificate:
        """Read a certificate; ``what`` names it in messages.

        Raises:
            Refused: it is not one of AMD's profile, or too large.
        """
        signed, algorithm, signature = read_signed(data, MAX_CERTIFICATE, what)
        return cls._from_signed(Der(signed, what).inside(SEQUENCE), signed, algorithm, signature, what)

    @classmethod
    def _from_signed(cls, fields: Der, signed: bytes, algorithm: bytes, signature: bytes, what: str) -> Certificate:
        version = fields.inside(VERSION)
        require(version.integer() == UNIQUE_VERSION, f"{what} is not of X.509 version 3")
        version.end()
        serial = fields.integer()
        require(fields.whole(SEQUENCE) == algorithm, f"{what} names two signature algorithms")
        issuer, dates, subject = fields.whole(SEQUENCE), fields.inside(SEQUENCE), fields.whole(SEQUENCE)
        begin, end = read_time(dates, what), read_time(dates, what)
        dates.end()
        key = fields.whole(SEQUENCE)
        extensions, critical = read_extensions(fields.inside(EXTENSIONS), what)
        fields.end()
        return cls(signed, signature, serial, issuer, subject, begin, end, key, extensions, critical)

    def check_valid(self, at: int, what: str) -> None:
        """It counts at ``at``.

        Raises:
            Refused: it does not.
        """
        if not self.begin <= at <= self.end:
            raise Refused(f"{what} is valid from {shown(self.begin)} to {shown(self.end)}, not at {shown(at)}")

    def check_issued(self, issuer: Certificate, what: str, by: str) -> None:
        """``issuer``, an authority, signed it and is named in it.

        Raises:
            Refused: it did not.
        """
        require(self.issuer == issuer.subject, f"{what} names another issuer than {by}")
        issuer.check_authority(by)
        check_pss(issuer.rsa_key(by), self.signature, self.signed, what, by)

    def check_authority(self, what: str) -> None:
        """It may sign certificates.

        Raises:
            Refused: its extensions do not say so.
        """
        constraints = Der(self.extensions.get(BASIC_CONSTRAINTS, b"\x30\0"), what).inside(SEQUENCE)
        require(constraints.follows(BOOLEAN) and constraints.boolean(), f"{what} is not an authority's certificate")
        usage = Der(self.extensions.get(KEY_USAGE, b"\x03\x01\0"), what).take(BITS)
        may = len(usage) > 1 and bool(usage[1] & SIGNS_CERTIFICATES)
        require(may, f"{what} may not sign certificates")
        require(self.critical <= {BASIC_CONSTRAINTS, KEY_USAGE}, f"{what} has critical extensions that are not known")

    def rsa_key(self, what: str) -> RSAPublicKey:
        """Its key, of RSA with 4096 bits.

        Raises:
            Refused: it is another.
        """
        key = _load(self.key, what)
        if not isinstance(key, RSAPublicKey) or key.key_size != RSA_BITS:
            raise Refused(f"the key of {what} is not of RSA with {RSA_BITS} bits")
        return key

    def p384_key(self, what: str) -> EllipticCurvePublicKey:
        """Its key, on P-384.

        Raises:
            Refused: it is another.
        """
        key = _load(self.key, what)
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP384R1):
            raise Refused(f"the key of {what} is not on P-384")
        return key


def read_signed(data: bytes, most: int, what: str) -> tuple[bytes, bytes, bytes]:
    """What a certificate or a revocation list has signed, the algorithm, and the signature.

    Raises:
        Refused: it has more than ``most`` bytes, is malformed, or is signed in another way than AMD's.
    """
    require(len(data) <= most, f"{what} has {len(data)} bytes, more than {most}")
    outside = Der(data, what)
    parts = outside.inside(SEQUENCE)
    outside.end()
    signed, algorithm, signature = parts.whole(SEQUENCE), parts.whole(SEQUENCE), parts.bits()
    parts.end()
    require(algorithm in PSS_ALGORITHMS, f"{what} is not signed by RSA-PSS with SHA-384")
    return signed, algorithm, signature


def check_pss(key: RSAPublicKey, signature: bytes, message: bytes, what: str, by: str) -> None:
    """``key`` signed ``message``.

    Raises:
        Refused: it did not.
    """
    try:
        key.verify(signature, message, PSS(MGF1(SHA384()), SALT_SIZE), SHA384())
    except InvalidSignature as error:
        raise Refused(f"{by} has not signed {what}") from error


def read_time(dates: Der, what: str) -> int:
    """The next time, in seconds since 1970 (RFC 5280, section 4.1.2.5).

    Raises:
        Refused: it is none.
    """
    short = dates.follows(UTC_TIME)
    text = dates.take(UTC_TIME if short else FULL_TIME).decode("latin-1")
    digits = text[:-1]
    plain = digits.isascii() and digits.isdigit() and len(digits) == (12 if short else 14) and text[-1] == "Z"
    require(plain, f"{what} has a date that is not spelled as RFC 5280 asks")
    century = ("19" if digits[:2] >= "50" else "20") if short else ""
    try:
        return int(datetime.strptime(century + digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise Refused(f"{what} has a date that does not exist") from error


def read_extensions(outside: Der, what: str) -> tuple[dict[bytes, bytes], frozenset[bytes]]:
    """Extensions by object identifier, and which of them are critical.

    Raises:
        Refused: one is there twice, or there are too many.
    """
    items = outside.inside(SEQUENCE)
    outside.end()
    found: dict[bytes, bytes] = {}
    critical = set()
    while items.more:
        item = items.inside(SEQUENCE)
        name = item.take(OID)
        require(name not in found, f"{what} has one extension twice")
        if item.follows(BOOLEAN) and item.boolean():
            critical.add(name)
        found[name] = item.take(OCTETS)
        item.end()
        require(len(found) <= MAX_EXTENSIONS, f"{what} has more than {MAX_EXTENSIONS} extensions")
    return found, frozenset(critical)


def _load(key: bytes, what: str) -> object:
    try:
        return load_der_public_key(key)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise Refused(f"the key of {what} cannot be read: {error}") from error

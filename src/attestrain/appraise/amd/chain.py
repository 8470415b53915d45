"""Who vouches for the key that signed a report: AMD's root (ARK), its authority (ASK or ASVK), and the chip's key."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from attestrain.appraise.amd.certificate import MAX_CERTIFICATE, Certificate
from attestrain.appraise.amd.endorsement import Endorsement
from attestrain.appraise.amd.revocation import Revocations
from attestrain.appraise.refused import Refused, require
from attestrain.record.digest import Digest, sha256

MAX_PEM = 4 * 2 * MAX_CERTIFICATE
"""Characters of a PEM text: room for four certificates, which base64 and armour make less than twice as long."""
MAX_TABLE = 32_768
"""Bytes of a certificate table: room for eight of the largest certificates, and hosts give three or four."""
MAX_ENTRIES = 16
"""Entries of a certificate table: three are of use, and hosts add a few of their own."""
ENTRY = struct.Struct("<16sII")
ROLES = {
    "VCEK or VLEK": (
        UUID("63da758d-e664-4564-adc5-f4b93be8accd").bytes,
        UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1").bytes,
    ),
    "ASK": (UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782").bytes,),
    "ARK": (UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae").bytes,),
}
"""GUIDs of certificates in a table, by what they are: the same specification."""

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")


@dataclass(frozen=True, slots=True)
class AmdChain:
    """Certificates that judge one report, as DER. They are public; a chip's own is AMD's answer to its id and TCB.

    Attributes:
        leaf: of the chip's key (VCEK), or of the key lent to a provider (VLEK).
        ask: of the authority that signed it: ASK for a VCEK, ASVK for a VLEK.
        ark: of the root.
        crl: the root's revocation list of the time, if there is one.
    """

    leaf: bytes
    ask: bytes
    ark: bytes
    crl: bytes | None = None

    @classmethod
    def from_table(cls, table: bytes, crl: bytes | None = None) -> AmdChain:
        """Read the certificate table that a host hands its guest: the ``auxblob`` of Linux's configfs-tsm.

        Layout: AMD, "SEV-ES Guest-Hypervisor Communication Block Standardization" (56421), on SNP extended guest
        requests: entries of a GUID, an offset and a length, until one is all zeros.

        Raises:
            Refused: it is malformed, or the host left a certificate out.
        """
        require(len(table) <= MAX_TABLE, f"the certificate table has {len(table)} bytes, more than {MAX_TABLE}")
        found: dict[bytes, bytes] = {}
        for at in range(0, MAX_ENTRIES * ENTRY.size, ENTRY.size):
            require(at + ENTRY.size <= len(table), "the certificate table ends without an entry of zeros")
            name, offset, size = ENTRY.unpack_from(table, at)
            if not any(name):
                break
            require(name not in found, f"the certificate table has {name.hex()} twice")
            require(offset + size <= len(table), f"the certificate table names bytes up to {offset + size}")
            found[name] = table[offset : offset + size]
        else:
            raise Refused(f"the certificate table has more than {MAX_ENTRIES - 1} entries")
        missing = [text for text, names in ROLES.items() if not any(name in found for name in names)]
        require(not missing, f"the host's certificate table has no {' and no '.join(missing)}: AMD's service has them")
        leaf, ask, ark = (next(found[name] for name in names if name in found) for names in ROLES.values())
        return cls(leaf, ask, ark, crl)

    @classmethod
    def read(cls, leaf: bytes, issuers: bytes, crl: bytes | None = None) -> AmdChain:
        """Read what AMD's key distribution service answers: a leaf in DER or PEM, and ASK and ARK in one PEM text.

        Raises:
            Refused: a text is no PEM, or does not hold one and two certificates.
        """
        leaves = (leaf,) if leaf[:1] == b"\x30" else read_pem(leaf)
        authorities = read_pem(issuers)
        require(len(leaves) == 1, f"{len(leaves)} certificates are given for the chip, not one")
        require(len(authorities) == 2, f"{len(authorities)} certificates are given for AMD's authorities, not two")
        ask, ark = authorities
        return cls(leaves[0], ask, ark, crl)


@dataclass(frozen=True, slots=True)
class Endorsed:
    """A key that a root vouches for.

    Attributes:
        root: SHA-256 of the root's certificate (DER).
        key: on P-384, which signs reports.
        endorsement: what the leaf certificate says of it.
        listed: whether a revocation list was looked at.
    """

    root: Digest
    key: EllipticCurvePublicKey
    endorsement: Endorsement
    listed: bool


def check_chain(chain: AmdChain, at: int) -> Endorsed:
    """The root signed itself and the authority, that signed the leaf, and all count at ``at``.

    Args:
        chain: the certificates; whoever asks has checked that the root is known, as its key is used.
        at: in seconds since 1970.

    Raises:
        Refused: one cannot be read, is forged, expired or revoked, or has a key of another kind.
    """
    names = ("AMD's root certificate", "AMD's authority", "the chip's certificate")
    parts = zip((chain.ark, chain.ask, chain.leaf), names, strict=True)
    root, authority, leaf = certificates = [Certificate.from_der(data, name) for data, name in parts]
    for certificate, name in zip(certificates, names, strict=True):
        certificate.check_valid(at, name)
    root.check_issued(root, names[0], names[0])
    authority.check_issued(root, names[1], names[0])
    leaf.check_issued(authority, names[2], names[1])
    if chain.crl is not None:
        Revocations.from_der(chain.crl, root).check(authority, names[1], at)
    key = leaf.p384_key(names[2])
    return Endorsed(sha256(chain.ark), key, Endorsement.of(leaf), chain.crl is not None)


def read_pem(text: bytes) -> tuple[bytes, ...]:
    """Certificates (DER) of a PEM text (RFC 7468), in their order.

    Raises:
        Refused: it is too long, or holds what is not base64.
    """
    require(len(text) <= MAX_PEM, f"a PEM text has {len(text)} characters, more than {MAX_PEM}")
    try:
        return tuple(
            base64.b64decode("".join(body.split()), validate=True) for body in _PEM.findall(text.decode("ascii"))
        )
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Refused(f"a PEM text cannot be read: {error}") from error

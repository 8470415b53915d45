"""Attestation reports of SEV-SNP guests, versions 2, 3 and 5.

Layout: AMD, "SEV Secure Nested Paging Firmware ABI Specification" (56860), ATTESTATION_REPORT. Version 3 adds the
processor's family and model, version 5 the mitigations that are in force. Reading proves nothing yet.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from attestrain.appraise.refused import Refused, require
from attestrain.record.digest import Digest, sha256

SIZE = 0x4A0
SIGNED_SIZE = 0x2A0
"""What the chip's key signs."""
VERSIONS = (2, 3, 5)
WITH_MODEL, WITH_MITIGATIONS = 3, 5
"""First versions that give the processor's model, and the mitigations."""
ECDSA_P384 = 1
"""The one signature algorithm: ECDSA on P-384 with SHA-384."""
NUMBER_SIZE, SCALAR_SIZE = 72, 48
"""Bytes for r and for s, little-endian, and how many of them P-384 fills."""
VCEK_KEY, VLEK_KEY = 0, 1
"""Values of SIGNING_KEY."""
MASKED_KEY = 1 << 1
"""Bit of KEY_INFO: the host had the signature left out."""
KEY_INFO_BITS = 0x1F

FIELDS: dict[str, tuple[int, int]] = {
    "version": (0x000, 4),
    "guest_svn": (0x004, 4),
    "policy": (0x008, 8),
    "family_id": (0x010, 16),
    "image_id": (0x020, 16),
    "vmpl": (0x030, 4),
    "signature_algo": (0x034, 4),
    "current_tcb": (0x038, 8),
    "platform_info": (0x040, 8),
    "key_info": (0x048, 4),
    "report_data": (0x050, 64),
    "measurement": (0x090, 48),
    "host_data": (0x0C0, 32),
    "id_key_digest": (0x0E0, 48),
    "author_key_digest": (0x110, 48),
    "report_id": (0x140, 32),
    "report_id_ma": (0x160, 32),
    "reported_tcb": (0x180, 8),
    "cpuid_family": (0x188, 1),
    "cpuid_model": (0x189, 1),
    "cpuid_stepping": (0x18A, 1),
    "chip_id": (0x1A0, 64),
    "committed_tcb": (0x1E0, 8),
    "current_firmware": (0x1E8, 3),
    "committed_firmware": (0x1EC, 3),
    "launch_tcb": (0x1F0, 8),
    "launch_mitigations": (0x1F8, 8),
    "current_mitigations": (0x200, 8),
}
"""Fields of a report: offset and size."""
RESERVED = ((0x04C, 0x050), (0x18B, 0x1A0), (0x1EB, 0x1EC), (0x1EF, 0x1F0), (0x208, SIGNED_SIZE))
"""Bytes that are zero in every version."""
UNSIGNED_ZEROS = (
    (SIGNED_SIZE + SCALAR_SIZE, SIGNED_SIZE + NUMBER_SIZE),
    (SIGNED_SIZE + NUMBER_SIZE + SCALAR_SIZE, SIZE),
)
"""Bytes around r and s that nobody signs: zero, so that they hold no second spelling."""
MODEL_FIELDS = (0x188, 0x18B)
MITIGATION_FIELDS = (0x1F8, 0x208)


def is_snp(data: bytes) -> bool:
    """Whether ``data`` look like a report. Says nothing of whether it can be read, let alone holds."""
    if len(data) != SIZE:
        return False
    version, algorithm = struct.unpack_from("<I", data)[0], struct.unpack_from("<I", data, 0x34)[0]
    return version in VERSIONS and algorithm == ECDSA_P384


@dataclass(frozen=True, slots=True)
class SnpReport:
    """A report, read and not yet judged.

    Attributes:
        data: all of its 1,184 bytes.
    """

    data: bytes

    @classmethod
    def from_bytes(cls, data: bytes) -> SnpReport:
        """Read a report.

        Raises:
            Refused: it has another size or version, or sets bytes that mean nothing.
        """
        require(len(data) == SIZE, f"the report has {len(data)} bytes, not {SIZE}")
        report = cls(bytes(data))
        version = report.version
        known = ", ".join(map(str, VERSIONS))
        require(version in VERSIONS, f"the report has version {version}, not one of {known}")
        algorithm = report.number("signature_algo")
        require(algorithm == ECDSA_P384, f"the report is signed by algorithm {algorithm}, not {ECDSA_P384}")
        zeros = [*RESERVED, *UNSIGNED_ZEROS]
        zeros += [MODEL_FIELDS] if version < WITH_MODEL else []
        zeros += [MITIGATION_FIELDS] if version < WITH_MITIGATIONS else []
        for begin, end in zeros:
            require(not any(data[begin:end]), f"bytes {begin:#x} to {end:#x} of the report are reserved and not zero")
        info = report.number("key_info")
        require(info <= KEY_INFO_BITS, f"the report's key info {info:#x} sets bits that mean nothing")
        return report

    @property
    def version(self) -> int:
        """Of the layout."""
        return self.number("version")

    @property
    def signed(self) -> bytes:
        """What the chip's key signs."""
        return self.data[:SIGNED_SIZE]

    @property
    def identity(self) -> Digest:
        """Name of what was reported: SHA-256 of the signed part. A signature has a second spelling, with -s for s."""
        return sha256(self.signed)

    @property
    def model(self) -> tuple[int, int] | None:
        """Family and model of the processor; None before version 3."""
        if self.version < WITH_MODEL:
            return None
        return self.number("cpuid_family"), self.number("cpuid_model")

    @property
    def signing_key(self) -> int:
        """SIGNING_KEY: which kind of key signed."""
        return self.number("key_info") >> 2

    def field(self, name: str) -> bytes:
        """A field's bytes, by the names of `FIELDS`."""
        offset, size = FIELDS[name]
        return self.data[offset : offset + size]

    def number(self, name: str) -> int:
        """A field as the little-endian number that it is."""
        return int.from_bytes(self.field(name), "little")

    def check_signature(self, key: EllipticCurvePublicKey) -> None:
        """``key`` signed the report.

        Raises:
            Refused: it did not.
        """
        masked = self.number("key_info") & MASKED_KEY
        require(not masked, "the host had the report's signature left out: MASK_CHIP_KEY is set")
        middle = SIGNED_SIZE + NUMBER_SIZE
        r = int.from_bytes(self.data[SIGNED_SIZE:middle], "little")
        s = int.from_bytes(self.data[middle : middle + NUMBER_SIZE], "little")
        try:
            key.verify(encode_dss_signature(r, s), self.signed, ECDSA(SHA384()))
        except InvalidSignature as error:
            raise Refused("the chip's key has not signed the report") from error

"""Simulated SEV-SNP machines: reports with every byte in its place, signed by a key that is no chip's."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA384

from attestrain.appraise.amd.chain import AmdChain
from attestrain.appraise.amd.guest import ALWAYS_SET, NO_AGENT, TCBS
from attestrain.appraise.amd.policy import PLATFORM_BITS
from attestrain.appraise.amd.product import Product
from attestrain.appraise.amd.report import (
    ECDSA_P384,
    FIELDS,
    NUMBER_SIZE,
    SIGNED_SIZE,
    SIZE,
    VCEK_KEY,
    VLEK_KEY,
    WITH_MODEL,
)
from attestrain.appraise.amd.tcb import Tcb
from attestrain.errors import UsageError
from attestrain.record.evidence import REPORT_DATA_SIZE

TCB = Tcb(bootloader=10, snp=23, microcode=84)
"""Firmware of simulated chips, unless told otherwise: any will do."""
IMAGE = hashlib.sha384(b"attestrain development SNP image").digest()
PLATFORM = 1 << PLATFORM_BITS["ecc"] | 1 << PLATFORM_BITS["alias-check"]


@dataclass(frozen=True, slots=True)
class SimulatedChip:
    """A simulated chip, as its network's `SnpPki` provisioned it. Holds a secret.

    Attributes:
        key: which signs reports.
        chain: certificates that judge them.
        product: what it pretends to be.
        tcb: its firmware.
        chip: its id.
        lent: whether the key is a VLEK.
    """

    key: EllipticCurvePrivateKey = field(repr=False)
    chain: AmdChain
    product: Product
    tcb: Tcb
    chip: bytes
    lent: bool

    def report(self, report_data: bytes, **values: int | bytes) -> bytes:
        """A signed report of a guest on this chip.

        Args:
            report_data: 64 bytes of the caller's.
            **values: of other fields, by the names of `appraise.amd.report.FIELDS`, for what is not an honest guest.

        Raises:
            UsageError: the report data have another size.
        """
        if len(report_data) != REPORT_DATA_SIZE:
            raise UsageError(f"report data of {len(report_data)} bytes are not {REPORT_DATA_SIZE}")
        report = bytearray(SIZE)
        for name, value in {**self._honest(), "report_data": report_data, **values}.items():
            offset, size = FIELDS[name]
            spelled = value.to_bytes(size, "little") if isinstance(value, int) else value
            report[offset : offset + size] = spelled.ljust(size, b"\0")
        return self.sign(bytes(report))

    def sign(self, report: bytes) -> bytes:
        """``report`` with this chip's signature over its signed part."""
        signed = report[:SIGNED_SIZE]
        numbers = decode_dss_signature(self.key.sign(signed, ECDSA(SHA384())))
        return (signed + b"".join(number.to_bytes(NUMBER_SIZE, "little") for number in numbers)).ljust(SIZE, b"\0")

    def _honest(self) -> dict[str, int | bytes]:
        """Fields of a closed guest on a sound platform."""
        return {
            "version": WITH_MODEL,
            "policy": ALWAYS_SET,
            "signature_algo": ECDSA_P384,
            "platform_info": PLATFORM,
            "key_info": (VLEK_KEY if self.lent else VCEK_KEY) << 2,
            "measurement": IMAGE,
            "report_id_ma": NO_AGENT,
            "cpuid_family": self.product.family,
            "cpuid_model": self.product.models[0][0],
            "chip_id": b"" if self.lent else self.chip,
            **dict.fromkeys(TCBS, self.tcb.to_bytes(self.product)),
        }

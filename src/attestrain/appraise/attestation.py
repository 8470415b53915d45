"""What one piece of TEE evidence shows, whatever its format: the result that every appraiser returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from attestrain.record.digest import Digest

HARDWARE = "hardware"
SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class Attestation:
    """What evidence shows once its signatures, its collateral and its policy have been checked.

    Attributes:
        format: what it is, such as ``tdx-quote-v5``, ``snp-report-v3`` or ``nvidia-gpu-report``.
        assurance: ``hardware`` or ``simulated``; the root's key alone decides.
        root: SHA-256 of the root certificate (DER).
        platform: the machine's own identity in hexadecimal: PPID, chip identity, device serial.
        signed: SHA-256 of the bytes that the hardware's key signed. Everything else in evidence can be respelled.
        report_data: what the guest had bound: report data, or the nonce of a GPU report.
        measurements: registers by name, as the evidence states them.
        tcb: state of the platform's trusted computing base, in the vendor's words.
        proven: what was checked, in words for people.
        unchecked: what was not checked and why, in words for people. Empty is rare.
    """

    format: str
    assurance: str
    root: Digest
    platform: str
    signed: Digest
    report_data: bytes
    measurements: Mapping[str, bytes] = field(default_factory=dict)
    tcb: str = ""
    proven: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[Digest, str, Digest]:
        """What tells this evidence from other evidence. The bytes of a quote do not: strangers can respell them."""
        return self.root, self.platform, self.signed

"""Evidence policy: what a relying party asks of evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from attestrain.record.digest import Digest

INTEL_ROOT = Digest(bytes.fromhex("44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"))
"""SHA-256 of the Intel SGX Root CA (DER), valid to the end of 2049: the root of all genuine TDX quotes."""
DAY = 86_400
MOST_AGE = 30 * DAY
"""Oldest TCB info, in seconds: Intel's is valid for 30 days, and an older one hides what was found since."""


@dataclass(frozen=True, slots=True)
class EvidencePolicy:
    """What evidence must be.

    Attributes:
        roots: SHA-256 of development roots that may stand in for hardware. What hangs from them reads ``simulated``,
            whatever else it says; Intel's root needs no pin and always reads ``hardware``.
        hardware: whether evidence under Intel's root is taken.
        statuses: states of the platform's trusted computing base that are good enough, as Intel names them.
        most_age: oldest TCB info and QE identity at the time of the evidence, in seconds.
        registers: values that a register may have, by the names of `appraise.quote.REGISTERS`. What is not named here
            stays unchecked, and the appraisal says so, but for the configuration registers, which are zero then.
    """

    roots: tuple[Digest, ...] = ()
    hardware: bool = True
    statuses: tuple[str, ...] = ("UpToDate",)
    most_age: int = MOST_AGE
    registers: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)

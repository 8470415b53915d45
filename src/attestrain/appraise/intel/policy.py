"""What a relying party asks of Intel's evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from attestrain.record.digest import Digest

INTEL_ROOT = Digest(bytes.fromhex("44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3"))
"""SHA-256 of the Intel SGX Root CA (DER), valid to the end of 2049: the root of all genuine quotes."""
UP_TO_DATE = "UpToDate"
STATUSES = (
    UP_TO_DATE,
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
)
"""States that a policy may take, as Intel names them. ``Revoked`` is none of them."""
DAY = 86_400
MOST_AGE = 30 * DAY
"""Oldest TCB info, in seconds: Intel's is valid for 30 days, and an older one hides what was found since."""
LEAST_EVALUATION = 17
"""Oldest evaluation of TCB levels: the number of genuine collateral of June 2025. Later ones know of more flaws."""


@dataclass(frozen=True, slots=True)
class IntelPolicy:
    """What evidence must be.

    Attributes:
        roots: SHA-256 of development roots that may stand in for hardware. What hangs from them reads ``simulated``,
            whatever else it says; Intel's root needs no pin and always reads ``hardware``.
        hardware: whether evidence under Intel's root is taken.
        statuses: states of the platform's trusted computing base that are good enough, as Intel names them.
        advisories: security advisories that may concern the platform; None takes any that ``statuses`` lets through.
        denied_advisories: advisories that may not, whatever the state.
        least_evaluation: least number of the evaluation that collateral comes from.
        most_age: oldest TCB info and QE identity at the time of the evidence, in seconds.
        dynamic_platform: whether the platform may be one to which processor packages can be added later.
        cached_keys: whether Intel may keep the platform's root keys.
        smt: whether the platform may run two threads a core.
        registers: values that a register may have, by the names of `bodies.REGISTERS`. What is not named here
            stays unchecked, and the appraisal says so, but for the configuration registers, which are zero then.
    """

    roots: tuple[Digest, ...] = ()
    hardware: bool = True
    statuses: tuple[str, ...] = (UP_TO_DATE,)
    advisories: tuple[str, ...] | None = None
    denied_advisories: tuple[str, ...] = ()
    least_evaluation: int = LEAST_EVALUATION
    most_age: int = MOST_AGE
    dynamic_platform: bool = True
    cached_keys: bool = True
    smt: bool = True
    registers: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)

"""Genuine SEV-SNP evidence, and an honest world of simulated chips in which tests change one thing."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attestrain.appraise.amd.appraisal import appraise_snp
from attestrain.appraise.amd.chain import AmdChain
from attestrain.appraise.amd.hcl import HclEnvelope
from attestrain.appraise.amd.policy import AmdPolicy
from attestrain.appraise.amd.product import PRODUCTS
from attestrain.appraise.attestation import Attestation
from attestrain.attester.snp import SimulatedChip
from attestrain.attester.snp_pki import SnpPki

NOW = 1_780_000_000
"""When everything simulated happens: in the middle of 2026."""
DATA = Path(__file__).parents[1] / "data/amd"
PROVIDER = "CN=cc-us-east-2.amazonaws.com"
REPORT_DATA = bytes(range(64))
OPEN = AmdPolicy(products=tuple(PRODUCTS), platform=(), vmpl=1, providers=(PROVIDER,), host_data=())
"""Takes whatever genuine reports say of platform and launch."""


@dataclass(frozen=True)
class Snp:
    """A report, what judges it, and when."""

    report: bytes
    chain: AmdChain
    policy: AmdPolicy
    at: int

    def judge(self) -> Attestation:
        """Appraise it."""
        return appraise_snp(self.report, self.chain, self.policy, self.at)

    def but(self, **changes: Any) -> Snp:
        """The same with another report, chain, policy or time."""
        return replace(self, **changes)

    def under(self, **changes: Any) -> Snp:
        """The same with a policy that differs in some attributes."""
        return replace(self, policy=replace(self.policy, **changes))


EARLY, LATE = 1_740_000_000, 1_771_000_000
"""Times at which genuine certificates counted: in February of 2025, and of 2026."""
GENUINE = {
    "milan-debug": ("milan-debug.der", "ask_ark_milan.pem", EARLY),
    "milan": ("milan.der", "ask_ark_milan.pem", EARLY),
    "milan-vlek": ("milan-vlek.der", "ask_ark_milan_vlek.pem", EARLY),
    "genoa-azure": ("genoa-azure.pem", "ask_ark_genoa.pem", EARLY),
    "milan-containers": ("milan-containers.pem", "ask_ark_milan.pem", LATE),
    "genoa-containers": ("genoa-containers.pem", "ask_ark_genoa.pem", LATE),
    "turin-containers": ("turin-containers.pem", "ask_ark_turin_vcek.pem", LATE),
}


def data(name: str) -> bytes:
    """A file of the genuine evidence."""
    return (DATA / name).read_bytes()


def genuine(name: str, policy: AmdPolicy = OPEN) -> Snp:
    """Genuine evidence at a time at which it counted."""
    leaf, issuers, at = GENUINE[name]
    report = data(f"{name}.bin")
    if name == "genoa-azure":
        report = HclEnvelope.from_bytes(report).report
    return Snp(report, AmdChain.read(data(leaf), data(issuers)), policy, at)


@functools.cache
def pki() -> SnpPki:
    """The network's development PKI; made once in a process, as RSA keys take seconds."""
    return SnpPki.generate(NOW)


@functools.cache
def chip() -> SimulatedChip:
    """A chip that it provisioned."""
    return pki().provision(NOW)


def honest(machine: SimulatedChip | None = None, **values: int | bytes) -> Snp:
    """A report of a guest on a simulated chip, under a policy that pins its root; ``values`` are of its fields."""
    machine = machine or chip()
    return Snp(machine.report(REPORT_DATA, **values), machine.chain, AmdPolicy(roots=(pki().root_digest,)), NOW)

"""The policy that a run writes beside its bundle: what whoever started it knows, and what the run set out to reach."""

from __future__ import annotations

from fractions import Fraction

from attestrain.record.digest import Digest
from attestrain.record.names import Address
from attestrain.record.note import VerifierKey
from attestrain.record.spec import RunSpec
from attestrain.run.config import RunConfig
from attestrain.verify.policy import CHECKED, ON_CHAIN, ChainPin, Pins, Policy

ON_BEACON = ("assigned", "replayed")
"""Guarantees that rest on the beacon, which is recorded where there is no chain to take it from."""


def run_policy(
    config: RunConfig,
    spec: RunSpec,
    key: VerifierKey,
    auditors: tuple[Address, ...],
    chain: ChainPin | None,
    roots: tuple[Digest, ...],
) -> Policy:
    """Pins and requirements of a run.

    Args:
        config: what the run was asked to reach.
        spec: the run spec.
        key: signs the transcript's checkpoints.
        auditors: accounts of the auditors.
        chain: the block whose state decides; None before the run is settled, or without a chain.
        roots: development roots that evidence hangs from.
    """
    pins = Pins(run=spec.run_id, transcript_key=key, auditors=auditors, chain=chain, evidence_roots=roots)
    wanted = list(CHECKED) if auditors and Fraction(spec.audit_fraction) else [n for n in CHECKED if n != "replayed"]
    wanted += ["attested"] if config.evidence_mode != "none" else []
    wanted += ON_CHAIN if config.chain_mode != "none" else ()
    simulated = [*(ON_BEACON if config.chain_mode == "none" else ()), *(["attested"] if roots else [])]
    return Policy(pins, tuple(wanted), spec.audit_fraction, tuple(simulated))

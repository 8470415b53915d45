"""Claim (3), evidence: what holds each key, judged at the time of its enrolment.

Loaded only for runs that have evidence: judging quotes takes a library of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attestrain.appraise.appraisal import Appraisal, Binding, Measured, appraise, root_of
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.refused import Refused
from attestrain.record.bundle import Bundle, evidence_path
from attestrain.record.chain import EnrolmentFact
from attestrain.record.digest import ZERO_DIGEST, Digest, sha256
from attestrain.record.evidence import Evidence
from attestrain.record.names import KeyEpoch, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Join
from attestrain.rules.ledger import Ledger
from attestrain.verify.chain import ChainState
from attestrain.verify.checks import Contradiction, require
from attestrain.verify.enrolments import joins
from attestrain.verify.structure import read

Key = tuple[str, Worker, KeyEpoch]
"""A key epoch: role, slot, epoch."""
Appraisals = Mapping[Key, Appraisal]
"""What became of the evidence of every key that has some."""


Registers = Mapping[str, tuple[bytes, ...]]
"""Values that registers may have, by name."""


@dataclass(frozen=True, slots=True)
class Given:
    """A key's evidence and what it must be about."""

    join: Join
    fact: EnrolmentFact
    evidence: Evidence


def check_evidence(
    bundle: Bundle, ledger: Ledger, state: ChainState, roots: tuple[Digest, ...] | None, registers: Registers
) -> tuple[Appraisals, str]:
    """Judge every piece of evidence, at the time of its enrolment.

    Args:
        bundle: holds the evidence.
        ledger: the transcript.
        state: the chain, which says when each was given.
        roots: pinned development roots; None takes every root at its own word, so that `attested` is self-asserted.
        registers: pinned values of registers of the guests.

    Raises:
        Missing: evidence that a join names is not in the bundle.
        Contradiction, FormatError: it is not what it has to be, or nobody named it.
    """
    named = {join.evidence for join in joins(ledger)} - {ZERO_DIGEST}
    paths = {evidence_path(digest) for digest in named}
    strays = {path for path in bundle.manifest.files if path.startswith("evidence/")} - paths
    require(not strays, f"{min(strays, default='')} is nobody's evidence")
    found: dict[Key, Appraisal] = {}
    for join in joins(ledger):
        if join.evidence != ZERO_DIGEST:
            given = _read_given(bundle, state, join)
            found[join.role, join.worker, join.key_epoch] = appraise_key(ledger.spec, given, roots, registers)
    kinds = [appraisal.assurance for appraisal in found.values()]
    figures = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    return found, f"{len(found)} of {len(joins(ledger))} keys have evidence: {figures or 'none'}"


def _read_given(bundle: Bundle, state: ChainState, join: Join) -> Given:
    path = evidence_path(join.evidence)
    data = read(bundle, path)
    require(sha256(data) == join.evidence, f"{path} is not the evidence of that digest")
    evidence, (_, fact) = Evidence.from_bytes(data), state.enrolment(join)
    same = (evidence.block_number, evidence.block_hash) == (fact.block_number, fact.block_hash)
    require(same, f"the evidence of {join.role} {join.worker} names another block than its enrolment")
    return Given(join, fact, evidence)


def appraise_key(
    spec: RunSpec, given: Given, roots: tuple[Digest, ...] | None, registers: Registers | None = None
) -> Appraisal:
    """What evidence is worth: bound to this key, run, slot and block, measured as claimed. The sequencer asks this too.

    Raises:
        Contradiction: it is worth nothing, with the reason.
    """
    join, fact = given.join, given.fact
    binding = Binding(
        session=join.session,
        participant=join.participant,
        run=join.run,
        role=join.role,
        worker=join.worker,
        key_epoch=join.key_epoch,
        block_number=fact.block_number,
        block_hash=fact.block_hash,
    )
    measured = Measured(package=spec.code, run_spec=spec.run_id, dataset=spec.dataset, environment=join.environment)
    try:
        policy = IntelPolicy(roots=(root_of(given.evidence),) if roots is None else roots, registers=registers or {})
        return appraise(given.evidence, binding, measured, policy, fact.timestamp)
    except Refused as error:
        raise Contradiction(f"the evidence of {join.role} {join.worker}: {error}") from error

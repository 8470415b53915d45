"""The ranks of coming rounds from the updates of past ones: DiLoCoX's adaptive compression (arXiv 2506.21263).

The paper takes the effective rank of the averaged pseudo-gradient. Nobody here can have that without a decomposition
that is not exact, so a round's estimate is the median over its members of the effective ranks of their updates, each
read from the norms of its components: a minority of workers cannot move it beyond what honest ones publish.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from attestrain.errors import FormatError
from attestrain.record.checkpoint import CheckpointRecord
from attestrain.record.plan import Plan
from attestrain.record.spec import RunSpec
from attestrain.update.codec import DecodedUpdate
from attestrain.update.lowrank import LowRank
from attestrain.update.rank import effective_rank, next_rank


def first_plan(spec: RunSpec) -> Plan | None:
    """Plan of checkpoint 0: the rank of the spec, for all rounds that start there; None if the run keeps it anyway."""
    if spec.adaptive is None:
        return None
    return Plan((int(spec.codec.settings["rank"]),) * (1 + spec.overlap.delay), ())


def following_plan(spec: RunSpec, plan: Plan | None, members: Iterable[DecodedUpdate]) -> Plan | None:
    """Plan of the checkpoint that the updates of ``members`` lead to from one with ``plan``.

    A round without an estimate, because nobody contributed or its fragment has no matrix, leaves the estimates alone.
    """
    if spec.adaptive is None or plan is None:
        return None
    rule, found = spec.adaptive, estimate(members, Fraction(spec.adaptive.share))
    estimates = plan.estimates if found is None else (*plan.estimates, found)[-rule.window :]
    rank = max(rule.min_rank, next_rank(estimates, plan.ranks[-1], rule.window))
    return Plan((*plan.ranks[1:], rank), estimates)


def estimate(members: Iterable[DecodedUpdate], share: Fraction) -> int | None:
    """Median of the effective ranks of updates, the higher of the two in the middle; None if none has components."""
    bodies = [member.body for member in members if isinstance(member.body, LowRank)]
    spectra = [spectrum for body in bodies if (spectrum := body.spectrum())]
    ranks = sorted(effective_rank(spectrum, share) for spectrum in spectra)
    return ranks[len(ranks) // 2] if ranks else None


def check_plan(spec: RunSpec, record: CheckpointRecord) -> None:
    """Check that a checkpoint has a plan as a run of this spec can have it.

    Raises:
        FormatError: it has none and needs one, or the other way round, or ranks that the run never has.
    """
    plan, rule = record.plan, spec.adaptive
    if plan is None or rule is None:
        if plan is not None or rule is not None:
            raise FormatError("checkpoint has a plan where the run has none, or none where it has one")
        return
    highest = int(spec.codec.settings["rank"])
    if len(plan.ranks) != 1 + spec.overlap.delay or not all(rule.min_rank <= rank <= highest for rank in plan.ranks):
        raise FormatError("checkpoint plans ranks that the run never has")
    if len(plan.estimates) > rule.window or any(rank > highest for rank in plan.estimates):
        raise FormatError("checkpoint has estimates that the run never has")

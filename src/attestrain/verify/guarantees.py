"""Guarantees as achieved (DESIGN section 3): what the checks amount to, for the run and for every worker-round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from attestrain.record.names import Address, Round, Worker
from attestrain.rules.draws import Draw, draws
from attestrain.rules.faults import faults
from attestrain.rules.ledger import Ledger
from attestrain.verify.aggregation import History
from attestrain.verify.checks import Docket
from attestrain.verify.policy import CHECKED, Pins, Policy
from attestrain.verify.receipts import Works
from attestrain.verify.replays import Replays

SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class Achieved:
    """A guarantee that the run reached.

    Attributes:
        name: of the guarantee.
        qualifier: "simulated" where it rests on something that is, else empty.
        detail: how far it goes.
    """

    name: str
    qualifier: str
    detail: str


@dataclass(frozen=True, slots=True)
class Unmet:
    """A guarantee that the policy asks for and did not get, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class WorkerRound:
    """One worker-round: the guarantees it has by itself, segments drawn, and findings by outcome."""

    round: Round
    achieved: tuple[str, ...]
    drawn: int
    exact: int
    tolerance: int
    fault: int


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """One worker over the run.

    Attributes:
        worker: its slot.
        participant: the account behind it.
        aggregated: rounds in which its update moved the checkpoint.
        replayed: segments with a finding.
        fault: its proven fault in words, empty if there is none.
        tainted: rounds from the faulty one on in which its update had entered the aggregate before it was excluded.
        rounds: every round it committed to.
    """

    worker: Worker
    participant: Address
    aggregated: tuple[Round, ...]
    replayed: int
    fault: str
    tainted: tuple[Round, ...]
    rounds: tuple[WorkerRound, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the claims established, as far as they could be checked."""

    docket: Docket
    ledger: Ledger
    works: Works
    history: History | None
    gaps: Sequence[str] | None
    replays: Replays | None


def achieved(evidence: Evidence) -> tuple[list[Achieved], dict[str, str]]:
    """Guarantees of the run, and for each that it does not have the reason."""
    found, reasons = [], {}
    for name, judge in (
        ("signed", _signed),
        ("continuous", _continuous),
        ("assigned", _assigned),
        ("aggregated", _aggregated),
        ("replayed", _replayed),
    ):
        reason, detail = judge(evidence)
        if reason:
            reasons[name] = reason
        else:
            simulated = name in ("assigned", "replayed") and evidence.ledger.spec.beacon_mode == "recorded"
            found.append(Achieved(name, SIMULATED if simulated else "", detail))
    return found, reasons


def _signed(evidence: Evidence) -> tuple[str, str]:
    receipts = sum(len(book.receipts) for book in evidence.ledger.rounds.values())
    return "" if evidence.docket.passed(2, 3, 4) else "claims 2 to 4 do not all hold", f"{receipts} receipts"


def _continuous(evidence: Evidence) -> tuple[str, str]:
    if evidence.gaps is None or not evidence.docket.passed(2, 5):
        return "claim 5 does not hold", ""
    return "; ".join(evidence.gaps[:1]), f"{len(evidence.works)} worker-rounds"


def _assigned(evidence: Evidence) -> tuple[str, str]:
    beacon = evidence.ledger.spec.beacon_mode
    return "" if evidence.docket.passed(2, 6) else "claim 6 does not hold", f"by a {beacon} beacon"


def _aggregated(evidence: Evidence) -> tuple[str, str]:
    count = 0 if evidence.history is None else len(evidence.history.members)
    return "" if evidence.docket.passed(2, 8) else "claim 8 does not hold", f"{count} checkpoints"


def _replayed(evidence: Evidence) -> tuple[str, str]:
    replays, spec = evidence.replays, evidence.ledger.spec
    if replays is None or not evidence.docket.passed(2):
        return "claim 9 does not hold", ""
    if replays.missing:
        return f"{len(replays.missing)} of {replays.due} draws have no finding: {replays.missing[0]}", ""
    if replays.late:
        return f"{replays.late} findings came after the next commit list was closed", ""
    if replays.undrawn or not replays.due:
        return f"too few auditors drew over {replays.undrawn or 'all'} worker-rounds", ""
    if replays.insiders:
        return f"{replays.insiders[0]} stands behind a worker and an auditor", ""
    if replays.disputed:
        return f"{replays.disputed} findings of a fault have too few votes to decide", ""
    figures = f"{replays.due} draws, {replays.outcomes['tolerance']} within tolerance"
    detail = f"{spec.audit_fraction} of every worker-round, {figures}"
    return "" if evidence.docket.passed(9) else "claim 9 does not hold", detail


PINNED = {name: ("run", "transcript_key", *(("auditors",) if name == "replayed" else ())) for name in CHECKED}
"""Pins that a guarantee rests on: without them it is the bundle's own assertion."""


def self_asserted(found: Sequence[Achieved], pins: Pins) -> list[str]:
    """Guarantees that rest on something that the policy does not pin."""
    return [item.name for item in found if any(not getattr(pins, pin) for pin in PINNED[item.name])]


def unmet(policy: Policy, found: Sequence[Achieved], reasons: dict[str, str], fraction: str) -> list[Unmet]:
    """What the policy asks for and did not get.

    Args:
        policy: the policy.
        found: guarantees achieved.
        reasons: why others were not.
        fraction: share of segments drawn, from the spec.
    """
    have, asserted = {item.name: item for item in found}, self_asserted(found, policy.pins)
    missing = []
    for name in policy.guarantees:
        if name not in have:
            missing.append(Unmet(name, reasons.get(name, "this run carries nothing for it")))
        elif name in asserted:
            missing.append(Unmet(name, "self-asserted: the policy does not pin what it rests on"))
        elif have[name].qualifier == SIMULATED and name not in policy.allow_simulated:
            missing.append(Unmet(name, "it is simulated, which the policy does not allow"))
        elif name == "replayed" and Fraction(fraction) < policy.fraction:
            missing.append(
                Unmet(name, f"{fraction} of the segments were drawn, {policy.replayed_fraction} are asked for")
            )
    return missing


def worker_reports(evidence: Evidence) -> list[WorkerReport]:
    """Every worker, with its worker-rounds."""
    ledger, history = evidence.ledger, evidence.history
    proven = faults(ledger)
    members = {} if history is None else history.members
    drawn = {round_: draws(ledger, round_) for round_ in ledger.rounds}
    reports = []
    for worker in ledger.slots("worker"):
        aggregated = tuple(round_ for round_, inside in sorted(members.items()) if worker in inside)
        rounds = tuple(_worker_round(evidence, round_, worker, drawn[round_]) for round_ in _committed(ledger, worker))
        fault = proven.get(worker)
        reports.append(
            WorkerReport(
                worker=worker,
                participant=ledger.joins["worker", worker][0].statement.participant,
                aggregated=aggregated,
                replayed=sum(item.exact + item.tolerance + item.fault for item in rounds),
                fault="" if fault is None else f"round {fault.round} segment {fault.segment}: {fault.detail}",
                tainted=() if fault is None else tuple(r for r in aggregated if r >= fault.round),
                rounds=rounds,
            )
        )
    return reports


def _committed(ledger: Ledger, worker: Worker) -> list[Round]:
    return [round_ for round_, book in sorted(ledger.rounds.items()) if worker in book.receipts]


def _worker_round(evidence: Evidence, round_: Round, worker: Worker, drawn: list[Draw]) -> WorkerRound:
    docket, book = evidence.docket, evidence.ledger.rounds[round_]
    outcomes = [str(item.statement.outcome) for item in book.findings if item.statement.worker == worker]
    count = sum(draw.worker == worker for draw in drawn)
    published = (round_, worker) in evidence.works
    members = [] if evidence.history is None else evidence.history.members.get(round_, [])
    gaps = evidence.gaps or ()
    holds = {
        "signed": docket.passed(2, 3, 4),
        "continuous": published and docket.passed(5) and not any(gap.startswith(_slot(round_, worker)) for gap in gaps),
        "assigned": published and docket.passed(6),
        "aggregated": worker in members and docket.passed(8),
        "replayed": bool(count) and len(outcomes) == count and "fault" not in outcomes and docket.passed(9),
    }
    names = tuple(name for name, held in holds.items() if held)
    return WorkerRound(round_, names, count, *(outcomes.count(kind) for kind in ("exact", "tolerance", "fault")))


def _slot(round_: Round, worker: Worker) -> str:
    return f"worker {worker} round {round_} "

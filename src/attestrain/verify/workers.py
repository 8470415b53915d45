"""What a verdict says of each worker: its rounds and their guarantees, what it has at stake, whether it was caught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from attestrain.record.names import Address, Round, Worker
from attestrain.rules.draws import Draw, draws
from attestrain.rules.faults import faults
from attestrain.rules.ledger import Ledger
from attestrain.verify.guarantees import Evidence


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
        assurance: "hardware", "simulated" or "none": what evidence says of where its latest key lives.
        stake: wei at stake for its account; None without a chain.
        slashed: wei that it lost.
        owed: wei that it is paid.
        case: what the chain's case about its fault came to, empty if there is none.
        fault: its proven fault in words, empty if there is none.
        tainted: rounds from the faulty one on in which its update had entered the aggregate before it was excluded.
        rounds: every round it committed to.
    """

    worker: Worker
    participant: Address
    aggregated: tuple[Round, ...]
    replayed: int
    assurance: str
    stake: int | None
    slashed: int
    owed: int
    case: str
    fault: str
    tainted: tuple[Round, ...]
    rounds: tuple[WorkerRound, ...]


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
                **_money(evidence, worker),
                replayed=sum(item.exact + item.tolerance + item.fault for item in rounds),
                fault="" if fault is None else f"round {fault.round} segment {fault.segment}: {fault.detail}",
                tainted=() if fault is None else tuple(r for r in aggregated if r >= fault.round),
                rounds=rounds,
            )
        )
    return reports


def _money(evidence: Evidence, worker: Worker) -> dict[str, Any]:
    """What evidence and chain say of a worker."""
    ledger, chain = evidence.ledger, evidence.chain
    join = ledger.joins["worker", worker][-1].statement
    appraisal = (chain.appraisals or {}).get(("worker", worker, join.key_epoch))
    report: dict[str, Any] = {"assurance": appraisal.assurance if appraisal else "none"}
    if chain.settled is None:
        return {**report, "stake": None, "slashed": 0, "owed": 0, "case": ""}
    words, owed, fault = chain.settled.stakes[join.participant], chain.settled.owed, faults(ledger).get(worker)
    place = (fault.round, worker, fault.segment) if fault else None
    return {
        **report,
        "stake": words.stake,
        "slashed": words.slashed,
        "owed": owed.amounts.get(join.participant, 0) if owed else 0,
        "case": chain.settled.cases.get(place, "") if place else "",
    }


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

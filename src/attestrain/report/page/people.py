"""By whom: every participant, with what it did, what it had at stake and what it was paid."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from attestrain.record.bundle import evidence_path
from attestrain.record.names import Worker
from attestrain.record.statements import Receipt
from attestrain.report.page.reading import Reading
from attestrain.report.page.sources import Cited, Source, Sources, short
from attestrain.report.stakes import ChainStory, shown_coins
from attestrain.report.story import Story
from attestrain.report.units import counted, shown_bytes
from attestrain.verify.verdict import Verdict
from attestrain.verify.workers import WorkerReport

MAX_LISTED = 500
"""Most participants of a role in the table: beyond it a page is no longer read but searched."""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker."""

    worker: int
    account: Cited | None
    evidence: Cited
    stake: Cited | None
    lost: Cited | None
    committed: Cited
    aggregated: Cited
    tokens: Cited
    sent: Cited
    replayed: Cited
    faults: int
    pay: Cited | None
    status: str
    bad: bool


@dataclass(frozen=True, slots=True)
class AuditorRow:
    """One auditor."""

    auditor: int
    account: Cited | None
    evidence: Cited
    stake: Cited | None
    findings: Cited
    faults: Cited


@dataclass(frozen=True, slots=True)
class People:
    """Everybody, and what the first paragraph of a report says about them."""

    workers: list[WorkerRow]
    auditors: list[AuditorRow]
    worker_count: Cited
    auditor_count: Cited
    hidden: int
    accounts: Cited
    assurance: str
    replayed: Cited | None
    stake: Cited | None
    pay: Cited | None


def people(reading: Reading, verdict: Verdict, story: Story, sources: Sources) -> People:
    """Everybody who took part."""
    chain = story.chain
    receipts: dict[Worker, list[Receipt]] = defaultdict(list)
    for receipt in reading.published():
        receipts[receipt.worker].append(receipt)
    shown = verdict.workers[:MAX_LISTED]
    workers = [_worker(reading, report, receipts[report.worker], story, sources) for report in shown]
    ledger = reading.ledger
    slots = [] if ledger is None else ledger.slots("auditor")
    auditors = [_auditor(reading, slot, chain, sources) for slot in slots[:MAX_LISTED]]
    joined = sources.claim(3, "who joined")
    accounts = set() if ledger is None else {account for _, account in ledger.participants}
    hidden = len(verdict.workers) + len(slots) - len(workers) - len(auditors)
    return People(
        workers=workers,
        auditors=auditors,
        worker_count=Cited(counted(len(verdict.workers), "worker"), joined),
        auditor_count=Cited(counted(len(slots), "auditor"), joined),
        hidden=hidden,
        accounts=Cited(counted(len(accounts), "account"), joined),
        assurance=_summary([row.evidence.text for row in workers] + [row.evidence.text for row in auditors]),
        replayed=_replayed_in_all(verdict, sources),
        stake=_staked_in_all(verdict, chain, sources),
        pay=_pay_in_all(verdict, chain, sources),
    )


def _worker(
    reading: Reading, report: WorkerReport, receipts: list[Receipt], story: Story, sources: Sources
) -> WorkerRow:
    exact, tolerance, faults = (
        sum(getattr(round_, kind) for round_ in report.rounds) for kind in ("exact", "tolerance", "fault")
    )
    found = f"{exact} exact" + (f", {tolerance} close" if tolerance else "") + (f", {faults} fault" if faults else "")
    receipt_claim = sources.claim(4, f"receipts of worker {report.worker}")
    return WorkerRow(
        worker=report.worker,
        account=_account(reading, "worker", report.worker, sources),
        evidence=_evidence(reading, "worker", report.worker, story.chain, sources, report.assurance),
        stake=_stake(report, story.chain, sources),
        lost=_lost(report, story.chain, sources),
        committed=Cited(str(len(report.rounds)), receipt_claim),
        aggregated=Cited(str(len(report.aggregated)), sources.claim(8)),
        tokens=Cited(f"{sum(receipt.tokens for receipt in receipts):,}", receipt_claim),
        sent=_sent(receipts, receipt_claim),
        replayed=Cited(found, sources.claim(9)),
        faults=faults,
        pay=_pay(report, story.chain, sources),
        status=_status(reading, report, story),
        bad=bool(report.fault),
    )


def _sent(receipts: list[Receipt], source: Source) -> Cited:
    size = sum(receipt.update_size for receipt in receipts)
    return Cited(shown_bytes(size), source, f"{size:,} bytes")


def _status(reading: Reading, report: WorkerReport, story: Story) -> str:
    if report.fault:
        return "excluded"
    if reading.ledger is not None and ("worker", report.worker) in reading.ledger.left:
        return "left"
    seen = story.workers.get(report.worker)
    return f"restarted {seen.restarts} times" if seen is not None and seen.restarts else "stayed"


def _auditor(reading: Reading, slot: Worker, chain: ChainStory, sources: Sources) -> AuditorRow:
    assert reading.ledger is not None
    findings = [
        str(item.statement.outcome)
        for book in reading.ledger.rounds.values()
        for item in book.findings
        if item.statement.auditor == slot
    ]
    enrolled = chain.enrolled.get(("auditor", slot))
    return AuditorRow(
        auditor=slot,
        account=_account(reading, "auditor", slot, sources),
        evidence=_evidence(reading, "auditor", slot, chain, sources, ""),
        stake=None if enrolled is None else _coins(enrolled.stake, sources.events("enrolled")),
        findings=Cited(str(len(findings)), sources.claim(9)),
        faults=Cited(str(findings.count("fault")), sources.claim(9)),
    )


def _account(reading: Reading, role: str, worker: Worker, sources: Sources) -> Cited | None:
    if reading.ledger is None or (role, worker) not in reading.ledger.joins:
        return None
    joined = reading.ledger.joins[role, worker][-1]
    account = joined.statement.participant
    return Cited(short(account, 8), sources.entry(joined.index), account)


def _evidence(
    reading: Reading, role: str, worker: Worker, chain: ChainStory, sources: Sources, assurance: str
) -> Cited:
    """How the key in force is attested: as `verify` found it, or else as the run said of itself."""
    joined = None if reading.ledger is None else reading.ledger.registered(role, worker)
    path = "" if joined is None else evidence_path(joined.evidence)
    if assurance not in ("", "none") and reading.bundle is not None and path in reading.bundle:
        return Cited(assurance, sources.file(path, f"TEE evidence of {role} {worker}"))
    enrolled = chain.enrolled.get((role, worker))
    if enrolled is not None:
        return Cited(enrolled.assurance, sources.events("enrolled"))
    return Cited("none", sources.claim(3))


def _summary(words: Iterable[str]) -> str:
    """All assurances in one phrase."""
    counts = Counter(words)
    if not counts or set(counts) == {"none"}:
        return "no TEE evidence"
    parts = [f"{count} {word}" for word, count in sorted(counts.items())]
    return f"TEE evidence: {', '.join(parts)}" if len(parts) > 1 else f"{next(iter(counts))} TEE evidence"


def _stake(report: WorkerReport, chain: ChainStory, sources: Sources) -> Cited | None:
    """What a worker put at stake, whatever became of it: from the chain's proofs, or else as the run said."""
    if report.stake is not None:
        return _coins(report.stake + report.slashed, sources.claim(10))
    enrolled = chain.enrolled.get(("worker", report.worker))
    return None if enrolled is None else _coins(enrolled.stake, sources.events("enrolled"))


def _lost(report: WorkerReport, chain: ChainStory, sources: Sources) -> Cited | None:
    """What was taken from a worker's stake; None if nothing was."""
    if report.stake is not None:
        return _coins(report.slashed, sources.claim(10)) if report.slashed else None
    taken = chain.slashed.get(report.worker)
    return _coins(taken.amount, sources.events("slashed")) if taken is not None else None


def _replayed_in_all(verdict: Verdict, sources: Sources) -> Cited | None:
    count = sum(report.replayed for report in verdict.workers)
    return Cited(f"{count:,}", sources.claim(9)) if count else None


def _pay(report: WorkerReport, chain: ChainStory, sources: Sources) -> Cited | None:
    """What a worker has earned: from the chain's proofs, or else what the run saw it claim."""
    if report.stake is not None:
        return _coins(report.owed, sources.claim(10))
    return _coins(chain.claimed.get(report.worker, 0), sources.events("claimed")) if chain.mode else None


def _staked_in_all(verdict: Verdict, chain: ChainStory, sources: Sources) -> Cited | None:
    if chain.enrolled:
        return _coins(chain.staked(), sources.events("enrolled"))
    known = [report.stake + report.slashed for report in verdict.workers if report.stake is not None]
    return _coins(sum(known), sources.claim(10, "stakes of the workers")) if known else None


def _pay_in_all(verdict: Verdict, chain: ChainStory, sources: Sources) -> Cited | None:
    if any(report.stake is not None for report in verdict.workers):
        return _coins(sum(report.owed for report in verdict.workers), sources.claim(10))
    return _coins(sum(chain.claimed.values()), sources.events("claimed")) if chain.claimed else None


def _coins(amount: int, source: Source) -> Cited:
    return Cited(shown_coins(amount), source, f"{amount:,} wei")

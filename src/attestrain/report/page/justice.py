"""Who cheated and what it cost: each fault step by step, from the work that was signed to the stake that was lost."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from attestrain.record.bundle import CHAIN, SPEC, trace_path
from attestrain.record.names import Round, Worker
from attestrain.record.statements import Finding
from attestrain.report.page.reading import Reading
from attestrain.report.page.sources import Cited, Source, Sources
from attestrain.report.stakes import CaseStory, ChainStory, shown_coins
from attestrain.report.story import Story
from attestrain.rules.faults import faults
from attestrain.rules.ledger import Filed
from attestrain.rules.votes import Fault
from attestrain.verify.verdict import Verdict
from attestrain.verify.workers import WorkerReport


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a story. ``mark`` is a word that stands at its side."""

    mark: str
    text: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Culprit:
    """A worker at fault.

    Attributes:
        headline: the whole story in one line.
        steps: the story.
        costs: what it cost, as pairs of a label and an amount.
    """

    worker: int
    headline: str
    steps: list[Step]
    costs: list[tuple[str, Cited]]


@dataclass(frozen=True, slots=True)
class Justice:
    """Every culprit, and the odds of one that was not found.

    Attributes:
        fraction: share of every worker-round that is drawn.
        sampled: anything is drawn at all.
        escape: pairs of a number of cheated segments and the chance that none of them was drawn.
        votes: findings by different auditors that prove a fault.
    """

    culprits: list[Culprit]
    fraction: Cited
    sampled: bool
    escape: list[tuple[int, str]]
    votes: int
    innocent: list[CaseStory]


def justice(reading: Reading, verdict: Verdict, story: Story, sources: Sources) -> Justice:
    """The story of every worker with a proven fault."""
    ledger, spec = reading.ledger, reading.spec
    proven = {} if ledger is None else faults(ledger)
    reports = {report.worker: report for report in verdict.workers}
    culprits = [
        _culprit(reading, reports[worker], fault, story.chain, sources)
        for worker, fault in sorted(proven.items())
        if worker in reports
    ]
    fraction = "0" if spec is None else spec.audit_fraction
    share = float(Fraction(fraction))
    escape = [(count, f"{100 * (1 - share) ** count:.3g} %") for count in (1, 2, 5, 10)] if 0 < share < 1 else []
    cleared = [case for case in story.chain.cases.values() if case.outcome in ("innocent", "void")]
    said = sources.file(SPEC, "the run spec, whose digest names the run")
    return Justice(culprits, Cited(fraction, said), share > 0, escape, 0 if spec is None else spec.audit_votes, cleared)


def _culprit(reading: Reading, report: WorkerReport, fault: Fault, chain: ChainStory, sources: Sources) -> Culprit:
    case = chain.case_of(fault.worker)
    out = _first_round_out(reading, fault)
    steps = [
        _committed(reading, fault, sources),
        *_accusations(reading, fault, sources),
        _excluded(report, fault, out, sources),
        *_court(report, case, chain, sources),
    ]
    return Culprit(
        fault.worker, _headline(report, fault, out, chain), steps, _costs(reading, report, fault, out, chain, sources)
    )


def _first_round_out(reading: Reading, fault: Fault) -> Round | None:
    """First round whose commit list was closed after the fault was proven."""
    assert reading.ledger is not None
    closed = ((round_, book.closed) for round_, book in sorted(reading.ledger.rounds.items()))
    return next((round_ for round_, item in closed if item is not None and item.index > fault.index), None)


def _headline(report: WorkerReport, fault: Fault, out: Round | None, chain: ChainStory) -> str:
    parts = [f"Worker {fault.worker} was caught in round {fault.round}"]
    parts.append("at the end of the run" if out is None else f"excluded from round {out} on")
    taken = chain.slashed.get(fault.worker)
    lost = report.slashed or (taken.amount if taken else 0)
    if lost:
        parts.append(f"and lost {shown_coins(lost)} coins of its stake")
    return ", ".join(parts[:2]) + (f", {parts[2]}" if len(parts) > 2 else "")


def _committed(reading: Reading, fault: Fault, sources: Sources) -> Step:
    assert reading.ledger is not None
    receipt = reading.ledger.rounds[fault.round].receipts[fault.worker]
    text = (
        f"In round {fault.round} worker {fault.worker} signed a receipt over {receipt.statement.tokens:,} tokens of "
        "training, before anyone knew which part would be looked at."
    )
    trace = sources.file(trace_path(fault.round, fault.worker), f"trace of worker {fault.worker}, round {fault.round}")
    return Step("signed", text, (sources.entry(receipt.index), trace))


def _accusations(reading: Reading, fault: Fault, sources: Sources) -> list[Step]:
    return [
        Step("finding", _accusation(item.statement), (sources.entry(item.index), sources.claim(9)))
        for item in _findings(reading, fault.round, fault.worker)
        if item.statement.outcome == "fault" and item.statement.segment == fault.segment
    ]


def _findings(reading: Reading, round_: Round, worker: Worker) -> list[Filed[Finding]]:
    assert reading.ledger is not None
    return [item for item in reading.ledger.rounds[round_].findings if item.statement.worker == worker]


def _accusation(finding: Finding) -> str:
    return (
        f"Segment {finding.segment} was drawn. Auditor {finding.auditor} executed it again from the same state on the "
        f"same data and got something else: {finding.detail or 'another result'}."
    )


def _excluded(report: WorkerReport, fault: Fault, out: Round | None, sources: Sources) -> Step:
    where = (
        "No later round came that it could be kept out of."
        if out is None
        else f"From round {out} on none of its updates counts."
    )
    if report.tainted:
        rounds = ", ".join(str(number) for number in report.tainted)
        many = len(report.tainted) > 1
        where += (
            f" Its update{'s' if many else ''} of round{'s' if many else ''} {rounds} had already moved the checkpoint "
            f"and stay{'' if many else 's'} in it: this version does not roll back."
        )
    return Step("excluded", where, (sources.entry(fault.index), sources.claim(8)))


def _court(report: WorkerReport, case: CaseStory | None, chain: ChainStory, sources: Sources) -> list[Step]:
    """What the chain made of it: from its proofs where the bundle has them, with what the run told of the way there."""
    steps, proven, told = [], sources.claim(10), sources.events("case")
    if case is not None:
        opened = "Somebody" if case.accuser < 0 else f"Auditor {case.accuser}"
        steps.append(Step("case", f"{opened} put up a bond and opened a case about this one segment.", (told,)))
        if case.outcome:
            steps.append(Step("votes", _votes(case), (told,)))
    if report.case:
        steps.append(Step("decided", f"On chain the case reads {report.case}.", (proven, *_facts(sources, report))))
    if not steps:
        why = "No case was opened" if chain.mode else "This run has no chain"
        return [Step("no case", f"{why}: a finding excludes and costs no stake.", (proven,))]
    return [*steps, *_slash(report, chain, sources)]


def _slash(report: WorkerReport, chain: ChainStory, sources: Sources) -> list[Step]:
    taken = chain.slashed.get(report.worker)
    amount = report.slashed or (taken.amount if taken else 0)
    if not amount:
        return []
    text = f"{shown_coins(amount)} coins of its stake were taken"
    if taken is not None and taken.amount == amount:
        text += f": {shown_coins(taken.burned)} burned, {shown_coins(taken.reporter_share)} to the accuser"
    source = sources.claim(10) if report.slashed else sources.events("slashed")
    return [Step("slashed", f"{text}.", (source,))]


def _facts(sources: Sources, report: WorkerReport) -> tuple[Source, ...]:
    return (sources.file(CHAIN, "block header and storage proofs"),) if report.stake is not None else ()


def _votes(case: CaseStory) -> str:
    each = ", ".join(f"auditor {who} {'guilty' if said else 'innocent'}" for who, said in sorted(case.votes.items()))
    verdict = f"The committee executed the segment again and voted, sealed first, then open: {case.outcome}"
    return f"{verdict}, {case.guilty} of {case.committee} votes guilty" + (f" ({each})." if each else ".")


def _costs(
    reading: Reading, report: WorkerReport, fault: Fault, out: Round | None, chain: ChainStory, sources: Sources
) -> list[tuple[str, Cited]]:
    rounds = len(reading.rounds())
    lost = 0 if out is None else rounds - out
    costs = [("rounds it was kept out of", Cited(f"{lost} of {rounds}", sources.claim(8)))]
    taken = chain.slashed.get(fault.worker)
    if report.stake is not None:
        costs.append(("stake lost", Cited(f"{shown_coins(report.slashed)} coins", sources.claim(10))))
        costs.append(("pay it is owed", Cited(f"{shown_coins(report.owed)} coins", sources.claim(10))))
    elif taken is not None:
        costs.append(("stake lost", Cited(f"{shown_coins(taken.amount)} coins", sources.events("slashed"))))
    if chain.mode and report.stake is None:
        paid = chain.claimed.get(fault.worker, 0)
        costs.append(("pay it drew", Cited(f"{shown_coins(paid)} coins", sources.events("claimed"))))
    costs.append(("rounds of its work left in the model", Cited(str(len(report.tainted)), sources.claim(8))))
    return costs

"""What became of every worker-round, and every round in a line: what a heat strip and two tables show."""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.record.bundle import trace_path, update_path
from attestrain.record.names import Round
from attestrain.record.statements import Receipt
from attestrain.report.page.reading import Reading
from attestrain.report.page.sources import Cited, Source, Sources, short
from attestrain.report.story import Story
from attestrain.rules.ledger import RoundBook
from attestrain.verify.verdict import Verdict
from attestrain.verify.workers import WorkerReport, WorkerRound

MAX_LISTED = 1000
"""Most worker-rounds listed with their files: 30 rounds of 30 workers. The bundle itself lists every file."""
MAX_ROUNDS = 500
"""Most rounds in the table."""

STATES = {
    "counted": "update counted, replayed segments confirmed",
    "unchecked": "update counted, nothing of it drawn or answered",
    "left": "committed, but its update did not count",
    "fault": "a replayed segment was refuted",
    "absent": "no receipt",
}
"""What a cell of the heat strip can say."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One worker-round. ``anchor`` is empty where the page does not list it."""

    round: int
    worker: int
    state: str
    note: str
    anchor: str


@dataclass(frozen=True, slots=True)
class WorkRow:
    """A published worker-round with its files."""

    anchor: str
    round: int
    worker: int
    receipt: Cited
    trace: Cited
    update: Cited
    state: str


@dataclass(frozen=True, slots=True)
class RoundRow:
    """One round in a line."""

    round: int
    receipts: Cited
    rank: Cited | None
    counted: Cited
    replayed: Cited
    checkpoint: Cited | None
    loss: Cited | None
    anchored: Cited | None


@dataclass(frozen=True, slots=True)
class Rounds:
    """All of it; ``hidden`` worker-rounds are in the bundle and not in the page."""

    cells: list[Cell]
    works: list[WorkRow]
    rows: list[RoundRow]
    hidden: int


def rounds(reading: Reading, verdict: Verdict, story: Story, sources: Sources) -> Rounds:
    """Every worker-round of the run."""
    works = _works(reading, verdict)
    listed = {(row.round, row.worker) for row in works}
    cells = [
        _cell(round_, report, (round_, report.worker) in listed)
        for report in verdict.workers
        for round_ in reading.rounds()
    ]
    rows = [_row(reading, verdict, story, sources, round_) for round_ in reading.rounds()[:MAX_ROUNDS]]
    return Rounds(cells, works, rows, max(0, len(reading.published()) - len(works)))


def _cell(round_: Round, report: WorkerReport, listed: bool) -> Cell:
    done = next((item for item in report.rounds if item.round == round_), None)
    state = _state(done, round_ in report.aggregated)
    note = f"worker {report.worker}, round {round_}: {STATES[state]}"
    if done is not None and done.drawn:
        note += f"; {done.exact + done.tolerance} of {done.drawn} drawn segments confirmed"
    if state == "fault" and round_ in report.tainted:
        note += "; its update had already counted"
    return Cell(round_, report.worker, state, note, _anchor(round_, report.worker) if listed else "")


def _state(done: WorkerRound | None, counted: bool) -> str:
    if done is None:
        return "absent"
    if done.fault:
        return "fault"
    if not counted:
        return "left"
    return "counted" if done.exact + done.tolerance else "unchecked"


def _anchor(round_: int, worker: int) -> str:
    return f"work-{round_}-{worker}"


def _works(reading: Reading, verdict: Verdict) -> list[WorkRow]:
    states = {
        (item.round, report.worker): _state(item, item.round in report.aggregated)
        for report in verdict.workers
        for item in report.rounds
    }
    return [
        _work(reading, receipt, STATES[states.get((receipt.round, receipt.worker), "absent")])
        for receipt in reading.published()[:MAX_LISTED]
    ]


def _work(reading: Reading, receipt: Receipt, state: str) -> WorkRow:
    assert reading.ledger is not None
    anchor = _anchor(receipt.round, receipt.worker)
    index = reading.ledger.rounds[receipt.round].receipts[receipt.worker].index
    return WorkRow(
        anchor=anchor,
        round=receipt.round,
        worker=receipt.worker,
        receipt=Cited(f"entry {index}", _here(anchor, f"transcript entry {index}")),
        trace=_listed(reading, trace_path(receipt.round, receipt.worker), anchor),
        update=_listed(reading, update_path(receipt.round, receipt.worker), anchor),
        state=state,
    )


def _here(anchor: str, title: str) -> Source:
    return Source(anchor, title, title)


def _listed(reading: Reading, path: str, anchor: str) -> Cited:
    entry = None if reading.bundle is None else reading.bundle.manifest.files.get(path)
    digest = "missing" if entry is None else entry.digest.hex()
    return Cited(short(digest), _here(anchor, path), digest)


def _row(reading: Reading, verdict: Verdict, story: Story, sources: Sources, round_: Round) -> RoundRow:
    assert reading.ledger is not None
    book = reading.ledger.rounds[round_]
    inside = sum(round_ in report.aggregated for report in verdict.workers)
    loss = next((loss for completed, loss in story.losses if completed == round_ + 1), None)
    anchor = story.chain.anchors.get(round_ + 1)
    return RoundRow(
        round=round_,
        receipts=Cited(str(len(book.receipts)), _place(book, sources)),
        rank=None if round_ not in story.ranks else Cited(str(story.ranks[round_]), sources.events("aggregated")),
        counted=Cited(str(inside), sources.claim(8)),
        replayed=Cited(_outcomes(book), sources.claim(9)),
        checkpoint=_checkpoint(book, sources),
        loss=None if loss is None else Cited(f"{loss:.4f}", sources.events("evaluated")),
        anchored=None if anchor is None else Cited(f"block {anchor.height}", sources.events("anchored"), anchor.tx),
    )


def _place(book: RoundBook, sources: Sources) -> Source:
    return sources.entry(book.opened.index if book.closed is None else book.closed.index)


def _outcomes(book: RoundBook) -> str:
    outcomes = [str(item.statement.outcome) for item in book.findings]
    bad = outcomes.count("fault")
    return f"{len(outcomes) - bad} confirmed" + (f", {bad} refuted" if bad else "")


def _checkpoint(book: RoundBook, sources: Sources) -> Cited | None:
    if book.aggregated is None:
        return None
    digest = book.aggregated.statement.checkpoint.hex()
    return Cited(short(digest), sources.entry(book.aggregated.index), digest)

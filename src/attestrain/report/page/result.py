"""The result: loss against what it has to beat, bytes against AllReduce, and what checking cost."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from attestrain.record.bundle import SPEC
from attestrain.report.page.reading import Reading
from attestrain.report.page.sources import Cited, Source, Sources
from attestrain.report.pictures import ALONE, levels
from attestrain.report.reference import Reference
from attestrain.report.story import Story
from attestrain.report.units import shown_bytes

FLOAT_BYTES = 4
"""AllReduce sends every value of the gradient as float32, once per step and worker."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of the table of results."""

    label: str
    loss: Cited | None
    sent: Cited | None
    ratio: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that one worker sends in one round, here and with AllReduce of the same steps."""

    ours: int
    allreduce: int
    per_round: list[tuple[int, int, int]]
    """Round, and bytes sent by all workers up to its end: by this run, and by AllReduce."""

    @property
    def ratio(self) -> float:
        """How many times fewer."""
        return self.allreduce / self.ours if self.ours else 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """Everything the section shows."""

    loss: Cited | None
    best_rival: Cited | None
    traffic: Traffic | None
    ratio: Cited | None
    comparisons: list[Comparison]
    provenance: str
    shares: list[tuple[str, Cited, Cited]]
    overhead: Cited | None
    hidden: Cited | None


def result(reading: Reading, story: Story, reference: Reference | None, sources: Sources) -> Result:
    """What the run achieved, as far as the bundle and the events tell."""
    traffic = _traffic(reading)
    final = story.losses[-1][1] if story.losses else story.loss
    loss = None if final is None else Cited(f"{final:.4f}", sources.events("evaluated"))
    fits = reference is not None and reference.fits(story)
    return Result(
        loss=loss,
        best_rival=_alone(story, sources),
        traffic=traffic,
        ratio=None if traffic is None else Cited(f"{traffic.ratio:.0f}", sources.claim(4, "sizes in the receipts")),
        comparisons=_comparisons(story, loss, traffic, reference, sources),
        provenance=reference.provenance(story) if reference is not None and fits else "",
        shares=_shares(story, sources.events("share")),
        overhead=_overhead(story, sources.events("share")),
        hidden=None if story.hidden is None else Cited(str(story.hidden), sources.events("hidden")),
    )


def _alone(story: Story, sources: Sources) -> Cited | None:
    """How the run compares with one worker alone, in words."""
    if not story.losses or not story.solo:
        return None
    ours, alone = story.losses[-1][1], story.solo[-1][1]
    text = f"{'below' if ours < alone else 'not below'} one worker alone at {alone:.4f}"
    return Cited(text, sources.events("solo"))


def _traffic(reading: Reading) -> Traffic | None:
    receipts, spec = reading.published(), reading.spec
    if spec is None or not receipts:
        return None
    whole = FLOAT_BYTES * spec.layout.parameters * spec.schedule.steps
    sent: dict[int, tuple[int, int]] = {}
    for receipt in receipts:
        ours, theirs = sent.get(receipt.round, (0, 0))
        sent[receipt.round] = ours + receipt.update_size, theirs + whole
    rounds = sorted(sent)
    up, full = (accumulate(sent[round_][side] for round_ in rounds) for side in (0, 1))
    mean = sum(receipt.update_size for receipt in receipts) // len(receipts)
    return Traffic(mean, whole, list(zip(rounds, up, full, strict=True)))


def _comparisons(
    story: Story, loss: Cited | None, traffic: Traffic | None, reference: Reference | None, sources: Sources
) -> list[Comparison]:
    sizes = None if traffic is None else (shown_bytes(traffic.ours), shown_bytes(traffic.allreduce))
    receipts, spec = (
        sources.claim(4, "sizes in the receipts"),
        sources.file(SPEC, "the run spec, whose digest names the run"),
    )
    ours = None if sizes is None else Cited(sizes[0], receipts)
    ratio = "" if traffic is None else f"{traffic.ratio:.0f}x"
    rows = [Comparison("this run", loss, ours, ratio, ours=True)]
    for level in levels(story, reference):
        alone = level.label.startswith(ALONE)
        here = level.note.endswith("this run")
        source = sources.events("solo") if here else sources.reference()
        full = None if sizes is None else Cited(sizes[1], spec)
        sent = Cited("nothing", source) if alone else full
        rows.append(
            Comparison(level.label, Cited(f"{level.loss:.4f}", source), sent, "" if alone else "1x", ours=False)
        )
    if len(rows) == 1 or not any(row.label.startswith("AllReduce") for row in rows):
        full = None if sizes is None else Cited(sizes[1], spec)
        rows.append(Comparison("fp32 AllReduce of the same steps", None, full, "1x", ours=False))
    return rows


def _shares(story: Story, source: Source) -> list[tuple[str, Cited, Cited]]:
    """CPU seconds by purpose, and their shares."""
    shares = story.chain.shares
    if shares is None:
        return []
    total = shares.total
    parts = (
        ("training", shares.training),
        ("replaying what was drawn", shares.replay),
        ("measuring the validation loss", shares.evaluation),
        ("everything else: hashing, signing, sending, chain, aggregation", shares.protocol),
    )
    return [
        (label, Cited(f"{seconds:,.1f} s", source), Cited(f"{100 * seconds / total if total else 0:.1f} %", source))
        for label, seconds in parts
    ]


def _overhead(story: Story, source: Source) -> Cited | None:
    shares = story.chain.shares
    return None if shares is None else Cited(f"{100 * shares.overhead:.1f} %", source)


def chart_data(story: Story, reference: Reference | None, traffic: Traffic | None) -> dict[str, Any]:
    """What the interactive charts draw, as it stands in the page."""
    return {
        "loss": [[completed, loss] for completed, loss in story.losses],
        "levels": [{"label": level.label, "loss": level.loss} for level in levels(story, reference)],
        "caught": [{"at": item.during, "label": f"worker {item.worker} excluded"} for item in story.caught],
        "bytes": [] if traffic is None else [list(point) for point in traffic.per_round],
    }

"""Following a run: a live table on a terminal, one line per round anywhere else.

The table is redrawn when something happens and never by a thread of its own, because workers are forked from this
process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from attestrain.cli.terminal import colourful, say, shown_bytes
from attestrain.report.events import Line
from attestrain.report.stakes import CaseStory, shown_coins
from attestrain.report.story import Story, WorkerStory
from attestrain.report.units import counted

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

REDRAW = 1 / 8
"""Least seconds between two drawings: more often than the eye follows would only slow the workers down."""


class Happening(Protocol):
    """What the run reports (`run.events.Event`)."""

    @property
    def kind(self) -> str:
        """What kind of event."""
        ...

    @property
    def time(self) -> float:
        """When, in seconds since 1970."""
        ...

    @property
    def data(self) -> dict[str, Any]:
        """Its particulars."""
        ...


class View:
    """Keeps the story of a run, and shows nothing."""

    def __init__(self) -> None:
        self.story = Story()

    def on_event(self, event: Happening) -> None:
        """Take one event."""
        line = Line(event.kind, event.time, event.data)
        self.story.tell(line)
        self.show(line)

    def show(self, line: Line) -> None:
        """Show what ``line`` changed."""


class LineView(View):
    """Shows a line for every round and for whatever is out of the ordinary."""

    def show(self, line: Line) -> None:
        """Say it, if it is worth a line."""
        text = describe(line, self.story)
        if text:
            say(text)


class LiveView(View):
    """Shows a table that follows the run."""

    def __init__(self, live: Live) -> None:
        super().__init__()
        self._live = live
        self._drawn = 0.0

    def show(self, line: Line) -> None:
        """Redraw, unless that was done a moment ago."""
        text = describe(line, self.story) if line.kind in ("excluded", "restart", *_TROUBLES, *_JUSTICE) else ""
        if text:
            self._live.console.print(text, style="red", highlight=False)
        if text or line.kind == "finish" or time.monotonic() - self._drawn >= REDRAW:
            self._drawn = time.monotonic()
            self._live.update(_picture(self.story), refresh=True)


@contextmanager
def following(*, quiet: bool) -> Iterator[View]:
    """The view that suits standard error."""
    if quiet:
        yield View()
    elif not colourful(sys.stderr):
        yield LineView()
    else:
        from rich.console import Console
        from rich.live import Live

        with Live(
            console=Console(stderr=True), auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        ) as live:
            yield LiveView(live)


def describe(line: Line, story: Story) -> str:
    """One event in words, or nothing for those too many to tell."""
    number = f"worker {line.integer('worker')}"
    if line.kind == "start":
        return f"run {story.run[:12]} ({story.name}): {summary(story)}"
    if line.kind == "evaluated" and story.losses:
        return f"round {story.losses[-1][0] - 1} done, {story.losses[-1][0]} of {story.rounds}  {totals(story)}"
    if line.kind == "excluded":
        where = f"round {line.integer('round')}, segment {line.integer('segment')}"
        return f"{number} caught in {where}: {line.text('detail')}; excluded from now on"
    if line.kind == "restart":
        return f"{line.text('role')} {line.integer('worker')} died and was started again"
    if line.kind == "aggregated":
        round_ = line.integer("round")
        return "; ".join(part for part in (_newly_absent(story, round_), _new_rank(story, round_)) if part)
    if line.kind in ("refused", "lost", "unanswered"):
        who = f"{line.text('role') or 'worker'} {line.integer('worker')}"
        return f"{who} {_TROUBLES[line.kind]}: {line.text('detail')}"
    return _describe_chain(line, story)


def _describe_chain(line: Line, story: Story) -> str:
    """What the chain did, where it is worth a line."""
    chain, number = story.chain, f"worker {line.integer('worker')}"
    case = chain.cases.get(line.text("case"))
    if line.kind == "chain":
        return f"chain {chain.chain_id} ({chain.mode}), run ledger {chain.ledger}"
    if line.kind == "case-open" and case is not None:
        return f"case against {number} (round {case.round}, segment {case.segment}), opened by auditor {case.accuser}"
    if line.kind == "case-closed" and case is not None:
        return f"case against {number} decided: {_decision(case)}"
    if line.kind == "slashed":
        taken = chain.slashed[line.integer("worker")]
        shares = f"{shown_coins(taken.burned)} burned, {shown_coins(taken.reporter_share)} to the accuser"
        return f"{number} lost {shown_coins(taken.amount)} coins of its stake: {shares}"
    if line.kind == "claimed":
        return f"{number} was paid {shown_coins(chain.claimed[line.integer('worker')])} coins"
    return ""


def _decision(case: CaseStory) -> str:
    return f"{case.outcome}, {case.guilty} of {case.committee} votes guilty"


_JUSTICE = ("case-open", "case-closed", "slashed")
"""Events about a case that stay on the screen above the table."""


_TROUBLES = {
    "refused": "sent what may not stand",
    "lost": "died too often and is not started again",
    "unanswered": "was drawn and could not be replayed",
}


def _newly_absent(story: Story, round_: int) -> str:
    """Who is missing from a round and was not missing, for that reason, from the round before."""
    before = story.absent.get(round_ - 1, {})
    absent = {worker: why for worker, why in story.absent.get(round_, {}).items() if before.get(worker) != why}
    return f"round {round_} without " + ", ".join(f"worker {w} ({why})" for w, why in absent.items()) if absent else ""


def _new_rank(story: Story, round_: int) -> str:
    """The rank of a round's updates, if it is another than in the round before."""
    rank = story.ranks.get(round_)
    changed = rank is not None and rank != story.ranks.get(round_ - 1)
    return f"round {round_} had updates of rank {rank}" if changed else ""


def summary(story: Story) -> str:
    """What is being trained, by whom."""
    device = f", on {story.device}" if story.device else ""
    return (
        f"{story.parameters:,} parameters, {story.rounds} rounds of {story.steps} steps, "
        f"{len(story.workers)} workers, {story.auditors} auditor{'' if story.auditors == 1 else 's'}{device}"
    )


def totals(story: Story) -> str:
    """Where the whole run stands."""
    passed, failed = story.audits
    parts = [f"validation loss {story.losses[-1][1]:.4f}"] if story.losses else []
    parts += [f"{story.tokens / story.seconds:,.0f} tokens/s"] if story.seconds and story.tokens else []
    ratio = story.mean_ratio()
    if ratio is not None:
        sent = sum(worker.uploaded for worker in story.workers.values())
        parts.append(f"{shown_bytes(sent)} up, {ratio:.0f}x less than AllReduce")
    parts.append(f"audits {passed} ok" + (f", {failed} refuted" if failed else ""))
    return "  ".join(parts)


def _picture(story: Story) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    head = Text.assemble((f"run {story.run[:12]}  ", "bold"), (summary(story), "dim"))
    place = Text.assemble((f"round {min(story.round + 1, story.rounds)}/{story.rounds} ", "bold"), story.phase)
    parts = [head, place, _workers(story), Text(totals(story))]
    return Group(*parts, *([Text(chain_line(story), "dim")] if story.chain.mode else []))


def chain_line(story: Story) -> str:
    """Where the chain stands: what it holds, what is at stake, how the cases went."""
    chain = story.chain
    parts = [f"chain {chain.chain_id} ({chain.mode})"]
    if chain.anchors:
        latest = max(chain.anchors.values(), key=lambda anchor: anchor.epoch)
        parts.append(
            f"{counted(len(chain.anchors), 'anchor')}, the last of {latest.size} entries in block {latest.height}"
        )
    if chain.enrolled:
        parts.append(f"{shown_coins(chain.staked())} coins staked by {len(chain.enrolled)}")
    parts += [f"case against worker {case.worker}: {case.outcome or _progress(case)}" for case in chain.cases.values()]
    if chain.claimed:
        parts.append(f"{shown_coins(sum(chain.claimed.values()))} coins paid to {len(chain.claimed)}")
    return "  ".join(parts)


def _progress(case: CaseStory) -> str:
    return f"open, {counted(len(case.votes), 'vote')}"


def _workers(story: Story) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("worker")
    table.add_column("state", min_width=11)
    for title in ("round", "loss", "tokens/s", "uploaded", "ratio", "audits"):
        table.add_column(title, justify="right")
    if story.chain.enrolled:
        table.add_column("evidence")
        table.add_column("stake", justify="right")
    for number in sorted(story.workers):
        worker = story.workers[number]
        table.add_row(*_cells(story, worker), style="red" if worker.state == "excluded" else "")
    return table


def _cells(story: Story, worker: WorkerStory) -> list[str]:
    ratio = story.ratio(worker)
    return [
        str(worker.worker),
        worker.state,
        str(worker.round + 1),
        "" if worker.loss is None else f"{worker.loss:.3f}",
        "" if worker.speed is None else f"{worker.speed:,.0f}",
        shown_bytes(worker.uploaded) if worker.uploaded else "",
        "" if ratio is None else f"{ratio:.0f}x",
        f"{worker.passed} ok" + (f", {worker.failed} bad" if worker.failed else ""),
        *(_chain_cells(story, worker) if story.chain.enrolled else []),
    ]


def _chain_cells(story: Story, worker: WorkerStory) -> list[str]:
    """Evidence of a worker's key, and what is left of its stake."""
    enrolled = story.chain.enrolled.get(("worker", worker.worker))
    if enrolled is None:
        return ["", ""]
    taken = story.chain.slashed.get(worker.worker)
    return [enrolled.assurance, shown_coins(max(0, enrolled.stake - (taken.amount if taken else 0)))]

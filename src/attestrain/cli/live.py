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
from attestrain.report.story import Story, WorkerStory

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
        text = describe(line, self.story) if line.kind in ("excluded", "restart", *_TROUBLES) else ""
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
        return _newly_absent(story, line.integer("round"))
    if line.kind in ("refused", "lost", "unanswered"):
        who = f"{line.text('role') or 'worker'} {line.integer('worker')}"
        return f"{who} {_TROUBLES[line.kind]}: {line.text('detail')}"
    return ""


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


def summary(story: Story) -> str:
    """What is being trained, by whom."""
    return (
        f"{story.parameters:,} parameters, {story.rounds} rounds of {story.steps} steps, "
        f"{len(story.workers)} workers, {story.auditors} auditor{'' if story.auditors == 1 else 's'}"
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
    return Group(head, place, _workers(story), Text(totals(story)))


def _workers(story: Story) -> RenderableType:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("worker")
    table.add_column("state", min_width=11)
    for title in ("round", "loss", "tokens/s", "uploaded", "ratio", "audits"):
        table.add_column(title, justify="right")
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
    ]

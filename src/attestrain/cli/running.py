"""What `train` and `demo` share: running with a view, and telling how it ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from attestrain.cli.live import View, following
from attestrain.cli.terminal import emit, say, show, show_table, shown_bytes, shown_path
from attestrain.errors import AttestrainError
from attestrain.report.events import FILE, read_events
from attestrain.report.html import write_report
from attestrain.report.pictures import ALONE, levels, write_pictures
from attestrain.report.reference import Reference, load_reference
from attestrain.report.story import Caught, Story, tell_story
from attestrain.run.config import RunConfig
from attestrain.run.outcome import Outcome
from attestrain.run.session import resume, train

RUNS = Path("runs")


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that came to its end: its result, its story, what to compare it with, and where its report lies."""

    outcome: Outcome
    story: Story
    reference: Reference
    report: Path | None = None


def new_folder(name: str) -> Path:
    """A run folder that does not exist yet: today's date, the run's name, a number where both are taken."""
    first = RUNS / f"{date.today():%Y-%m-%d}-{name}"
    folder, number = first, 1
    while folder.exists():
        number += 1
        folder = first.with_name(f"{first.name}-{number}")
    return folder


def train_run(config: RunConfig, folder: Path, *, quiet: bool) -> Finished:
    """Train ``config`` in ``folder``, showing it.

    Raises:
        UsageError: the configuration cannot be run, or the folder holds a run already.
        AttestrainError: whatever stopped the run; what can be drawn of it is drawn.
    """
    say(f"run folder {shown_path(folder)}", quiet=quiet)
    return _run(folder, lambda view: train(config, folder, on_event=view.on_event), quiet=quiet)


def resume_run(folder: Path, *, quiet: bool) -> Finished:
    """Go on with the run in ``folder``, showing it; errors as `train_run`."""

    def work(view: View) -> Outcome:
        # Whatever is wrong with the folder is for `resume` to say.
        with suppress(AttestrainError):
            for line in read_events(folder / FILE):
                view.story.tell(line)
        return resume(folder, on_event=view.on_event)

    return _run(folder, work, quiet=quiet)


def node_run(folder: Path, roles: list[str], patience: float, *, quiet: bool) -> Finished:
    """Conduct the network in ``folder``, showing it; errors as `train_run`."""
    from attestrain.run.network import play_network

    def work(view: View) -> Outcome:
        with suppress(AttestrainError):
            for line in read_events(folder / FILE):
                view.story.tell(line)
        return play_network(folder, roles, patience, on_event=view.on_event)

    return _run(folder, work, quiet=quiet)


def _run(folder: Path, work: Callable[[View], Outcome], *, quiet: bool) -> Finished:
    reference = load_reference()
    try:
        with following(quiet=quiet) as view:
            outcome = work(view)
    except AttestrainError:
        # A run that stopped early is the one whose pictures are wanted most; not having them must not hide the reason.
        with suppress(AttestrainError, OSError):
            write_pictures(folder, reference)
        raise
    write_pictures(folder, reference)
    return Finished(outcome, _story(folder), reference, _report(folder))


def _report(folder: Path) -> Path | None:
    """The run on one page. A run that went well must not fail for want of its report."""
    try:
        return write_report(folder).path
    except (AttestrainError, OSError) as error:
        say(f"report.html was not written: {error}")
        return None


def _story(folder: Path) -> Story:
    """The story from the file and not from the view: a resumed run was only half seen."""
    return tell_story(read_events(folder / FILE))


def verify_command(outcome: Outcome) -> str:
    """The command that judges the run under its pins."""
    return f"attestrain verify {shown_path(outcome.bundle)} --policy {shown_path(outcome.policy)}"


def report_finished(finished: Finished, *, json: bool) -> None:
    """Tell how a run ended, for people or for programs."""
    if json:
        emit(result_document(finished))
    else:
        show_result(finished)


def result_document(finished: Finished) -> dict[str, Any]:
    """The result of a run for programs."""
    outcome, story = finished.outcome, finished.story
    return {
        "folder": str(outcome.folder),
        "bundle": str(outcome.bundle),
        "policy": str(outcome.policy),
        "report": None if finished.report is None else str(finished.report),
        "run": outcome.run_id,
        "loss": outcome.loss,
        "solo_loss": outcome.solo_loss,
        "reference": {m.name: float(m.loss) for m in finished.reference.methods if finished.reference.fits(story)},
        "uploaded": outcome.uploaded,
        "allreduce": outcome.allreduce,
        "seconds": round(story.seconds, 3),
        "hidden": None if story.hidden is None else round(story.hidden.fraction, 4),
        "caught": [_caught_document(caught) for caught in story.caught],
        "verify": verify_command(outcome),
    }


def _caught_document(caught: Caught) -> dict[str, Any]:
    where = {"worker": caught.worker, "round": caught.round, "segment": caught.segment}
    return {**where, "detail": caught.detail, "excluded_in": caught.during}


def show_result(finished: Finished) -> None:
    """The table of losses and bytes, who was caught and how, and where everything lies."""
    outcome, story = finished.outcome, finished.story
    ratio = outcome.allreduce / outcome.uploaded if outcome.uploaded else 0.0
    rows = [(f"this run ({story.name})", _shown_loss(outcome.loss), shown_bytes(outcome.uploaded), f"{ratio:.1f}x")]
    for level in levels(story, finished.reference):
        alone = level.label.startswith(ALONE)
        rows.append(
            (
                level.label,
                f"{level.loss:.4f}",
                "0 B" if alone else shown_bytes(outcome.allreduce),
                "" if alone else "1x",
            )
        )
    show()
    show_table(("", "validation loss", "uploaded per worker", "fewer bytes than fp32 AllReduce"), rows)
    show()
    if finished.reference.fits(story):
        show(finished.reference.provenance(story))
    show(f"bytes per worker: {outcome.uploaded:,} uploaded, {outcome.allreduce:,} in fp32 AllReduce of the same steps")
    passed, failed = story.audits
    show(f"replay: {passed} segments confirmed, {failed} refuted")
    for caught in story.caught:
        show(
            f"caught: worker {caught.worker}, round {caught.round}, segment {caught.segment}: {caught.detail}; "
            f"excluded while round {caught.during} was trained"
        )
    if (cpu := story.chain.shares) is not None:
        spent = f"training {cpu.training:.0f} s, replay {cpu.replay:.0f} s, evaluation {cpu.evaluation:.0f} s"
        show(f"cpu of all processes: {spent}, everything else {cpu.protocol:.0f} s ({100 * cpu.overhead:.1f} %)")
    if story.hidden is not None:
        show(f"overlap: {story.hidden}")
    show(f"time: {story.seconds:.0f} s; pictures: {shown_path(outcome.folder)}/loss.svg, timeline.svg")
    if finished.report is not None:
        show(f"report: {shown_path(finished.report)}")
    show(f"verify: {verify_command(outcome)}")


def _shown_loss(loss: float | None) -> str:
    return "not measured" if loss is None else f"{loss:.4f}"

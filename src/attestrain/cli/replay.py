"""`attestrain replay`: re-execute a finished run's segments oneself, trusting none of its auditors."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import clean, colourful, emit, paint, say, show, show_table
from attestrain.errors import ExitCode

if TYPE_CHECKING:
    from attestrain.replay.stranger import ReplayReport

SUMMARY = "Re-execute segments of a finished run yourself."
EXAMPLES = examples(
    "attestrain replay runs/X/bundle --fraction 0.05",
    "attestrain replay runs/X/bundle --fraction 1              everything: as long as the training took",
    "attestrain replay runs/X/bundle --fraction 0.1 --seed 7   the same segments again",
)


def run(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the bundle.")],
    fraction: Annotated[str, typer.Option("--fraction", metavar="F", help="Share of the segments, up to 1.")] = "0.05",
    seed: Annotated[
        str | None, typer.Option("--seed", metavar="TEXT", help="Draws the segments.  [default: a fresh one]")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="The dataset, where the bundle does not hold it.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Re-execute segments that you draw, and compare with what the workers signed.

    This runs the task that the run names, from the packages installed here.

    Exit codes: 0 if all that was compared agrees; 3 if something drawn could not be compared; 4 if a segment is refuted
    whose worker the bundle does not already report at fault.
    """
    from attestrain.cli.extras import require_train

    require_train()
    from attestrain.replay.stranger import replay_bundle

    progress = _Progress(quiet=quiet)
    report = replay_bundle(bundle, fraction, seed=seed, on_event=progress.on_event, data=data)
    if json:
        emit(_document(report))
    else:
        _show(report)
    raise typer.Exit(judge(report))


def judge(report: ReplayReport) -> ExitCode:
    """What a replay amounts to. A worker that the bundle itself reports at fault is no news."""
    if any(not row.already_reported for row in report.mismatches):
        return ExitCode.REFUTED
    if any(row.drawn and row.outcome == "unknown" for row in report.rows):
        return ExitCode.UNDECIDED
    return ExitCode.DONE


class _Progress:
    """A counter that stays on its line, on a terminal; silent elsewhere, where the table is enough."""

    def __init__(self, *, quiet: bool) -> None:
        self._shown = not quiet and colourful(sys.stderr)
        self._quiet = quiet
        self._planned = self._done = 0

    def on_event(self, kind: str, data: dict[str, Any]) -> None:
        """Take what `replay_bundle` tells."""
        if kind == "replay":
            self._planned = data["planned"]
            told = (
                f"run {data['run'][:12]}: {data['drawn']} of {data['segments']} segments drawn from seed {data['seed']}"
            )
            say(f"{told}, {self._planned} to execute", quiet=self._quiet)
        elif kind == "replayed":
            self._done += 1
        if self._shown:
            end = "\r\x1b[K" if kind == "replay-end" else f"\r{self._done}/{self._planned} segments"
            print(end, end="", file=sys.stderr, flush=True)


def _document(report: ReplayReport) -> dict[str, Any]:
    return {**asdict(report), "run": report.run.hex(), "exit_code": int(judge(report))}


def _show(report: ReplayReport) -> None:
    outcomes: Counter[tuple[int, str]] = Counter((row.worker, row.outcome) for row in report.rows)
    kinds = ("exact", "tolerance", "fault", "unknown")
    rows = [(worker, *(outcomes[worker, kind] for kind in kinds)) for worker in sorted({r.worker for r in report.rows})]
    show_table(("worker", *kinds), rows)
    show()
    telling = [row for row in report.rows if row.outcome in ("fault", "unknown")]
    if telling:
        head = ("worker", "round", "segment", "kind", "outcome", "detail")
        news = {True: "; the bundle reports this worker at fault", False: ""}
        show_table(
            head,
            [(r.worker, r.round, r.segment, r.kind, r.outcome, r.detail + news[r.already_reported]) for r in telling],
        )
        show()
    word, style, sentence = _WORDS[judge(report)]
    figures = f"{report.checked} of {report.drawn} drawn segments compared in {report.seconds:.1f} s"
    print(paint(word, style, sys.stdout) + clean(f"  {sentence}; {figures}; seed {report.seed}"))


_WORDS = {
    ExitCode.DONE: ("AGREED", "good", "nothing was found that the bundle does not report itself"),
    ExitCode.UNDECIDED: ("UNDECIDED", "warn", "some drawn segments could not be compared here"),
    ExitCode.REFUTED: ("REFUTED", "bad", "a worker claims what it did not compute, and the bundle does not say so"),
}

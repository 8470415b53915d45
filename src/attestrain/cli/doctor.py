"""`attestrain doctor`: whether this machine can verify and train, and what to do where it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import emit, show_table
from attestrain.errors import ExitCode

SUMMARY = "Check whether this machine can verify and train."
EXAMPLES = examples(
    "attestrain doctor",
    "attestrain doctor --folder /mnt/big     where the run folders shall lie",
    "attestrain doctor --json",
)


def run(
    folder: Annotated[Path, typer.Option("--folder", metavar="DIR", help="Where runs shall lie.")] = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check this machine: Python and packages, threads, disk, processes, and that equal work gives equal bits.

    Exit code 2 if something keeps it from verifying or training; warnings do not count.
    """
    from attestrain.cli.checkup import State, examine

    symptoms = examine(folder)
    if json:
        emit([symptom.to_json() for symptom in symptoms])
    else:
        shown = [symptom for symptom in symptoms if not quiet or symptom.state is not State.OK]
        rows = [(s.subject, s.state.value, s.detail + (f"; fix: {s.fix}" if s.fix else "")) for s in shown]
        show_table(("check", "state", "found"), rows)
    if any(symptom.state is State.PROBLEM for symptom in symptoms):
        raise typer.Exit(ExitCode.USAGE)

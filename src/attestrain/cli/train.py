"""`attestrain train`: a run of one's own, from RUN.toml to bundle and policy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.errors import UsageError

SUMMARY = "Train what RUN.toml says, on this machine."
EXAMPLES = examples(
    "attestrain train RUN.toml",
    "attestrain train RUN.toml --set schedule.rounds=10 --set run.seed=7",
    "attestrain train --resume runs/2026-11-22-run    go on after Ctrl-C or a crash",
)


def run(
    config: Annotated[Path | None, typer.Argument(metavar="RUN.toml", help="What to train.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one setting; repeatable.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Run folder.  [default: runs/DATE-NAME]")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Go on with the run in this folder.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train on this machine: workers, an auditor and a sequencer as processes; write a bundle and its policy."""
    from attestrain.cli.extras import require_train

    if (config is None) == (resume is None):
        raise UsageError("train takes either RUN.toml or --resume RUN", hint="make a RUN.toml with: attestrain init")
    if resume is not None and (overrides or folder):
        raise UsageError("a resumed run keeps its settings and its folder", hint="leave out --set and --folder")
    require_train()
    from attestrain.run.config import load_config

    # Settings are read before torch is imported, so that a mistake in them is told at once.
    settings = None if config is None else load_config(config, overrides or ())
    from attestrain.cli import running

    if settings is not None:
        finished = running.train_run(settings, folder or running.new_folder(settings.run.name), quiet=quiet)
    else:
        assert resume is not None
        finished = running.resume_run(resume, quiet=quiet)
    running.report_finished(finished, json=json)

"""`attestrain report`: a run on one page, for a stranger who has a minute."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import emit, say, show, shown_bytes, shown_path

if TYPE_CHECKING:
    from attestrain.report.html import Written

SUMMARY = "Write report.html: a run on one page."
EXAMPLES = examples(
    "attestrain report runs/X                          writes runs/X/report.html",
    "attestrain report BUNDLE --policy P --out X.html  a bundle that somebody handed you, under your pins",
    "attestrain report runs/X --json | jq .verdict",
)


def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN|BUNDLE", help="A run folder, or the folder of a bundle.")],
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="Pins and guarantees.  [default: policy.toml beside the bundle]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The page.  [default: report.html beside the bundle]")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write one self-contained page: what was trained on what, by whom, at which strength, who cheated, what it cost.

    The verdict on it is computed now, from the bundle. Exit code 0 says that the page was written, whatever the
    verdict: ask `attestrain verify` for an exit code that says more.
    """
    from attestrain.report.html import write_report

    written = write_report(folder, out, policy)
    if json:
        emit(document(written))
        return
    show(f"{shown_path(written.path)}  {written.verdict.outcome}, {shown_bytes(written.size)}")
    say(judged(written), quiet=quiet)


def document(written: Written) -> dict[str, Any]:
    """A written report for programs."""
    return {
        "report": str(written.path),
        "bytes": written.size,
        "run": None if written.verdict.run is None else written.verdict.run.hex(),
        "verdict": str(written.verdict.outcome),
        "policy": None if written.policy is None else str(written.policy),
        "policy_found_beside_bundle": written.found,
    }


def judged(written: Written) -> str:
    """Under which policy the report was written, and what that is worth."""
    if written.policy is None:
        return "no policy: nothing pins the bundle, so the report says CONSISTENT at best"
    where = f"judged under {shown_path(written.policy)}"
    return f"{where}, found beside the bundle: get its pins from somewhere else" if written.found else where

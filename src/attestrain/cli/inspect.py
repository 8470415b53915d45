"""`attestrain inspect`: what an artefact says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import clean, emit, paint, table_lines, width

SUMMARY = "Print what an artefact says."
EXAMPLES = examples(
    "attestrain inspect runs/X                             a run in brief",
    "attestrain inspect runs/X/bundle                      a bundle in brief",
    "attestrain inspect runs/X/bundle/updates/000000/0001.bin",
    "attestrain inspect runs/X/bundle/chain/facts.json     the block, and what is proved of each contract",
    "attestrain inspect runs/X/bundle/spec.json --json",
)


def run(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="Any artefact, or the folder of a bundle, run or dataset.")
    ],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print what a file or folder says. Nothing is verified: a forged artefact is printed as readily as a true one.

    Secrets of invitations, keystores and simulated platforms stay in their files.
    """
    from attestrain.errors import FormatError, UsageError
    from attestrain.report.artefacts import describe
    from attestrain.report.folders import describe_folder

    if not path.exists():
        raise UsageError(f"there is no {path}")
    try:
        facts = describe_folder(path) if path.is_dir() else describe(path)
    except FormatError as error:
        raise FormatError(f"{path}: {error}", hint=error.hint) from error
    if json:
        emit(facts)
    else:
        show_facts(facts)


def show_facts(facts: dict[str, Any], indent: int = 0) -> None:
    """Facts as aligned lines, inner documents indented, lists of documents as tables."""
    names = max((len(name) for name in facts), default=0)
    margin = " " * indent
    for name, value in facts.items():
        label = margin + paint(clean(f"{name:<{names}}"), "soft", sys.stdout)
        if isinstance(value, dict) and value:
            print(label.rstrip())
            show_facts(value, indent + 2)
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            print(label.rstrip())
            head = list(value[0])
            rows = [[item.get(key, "") for key in head] for item in value]
            for line in table_lines(head, rows, width() - indent - 2, sys.stdout):
                print(f"{margin}  {line}")
        else:
            print(f"{label}  {clean(_shown(value))}")


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)

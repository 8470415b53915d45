"""`attestrain node`: the sequencer of a network, and auditors beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.errors import UsageError

SUMMARY = "Run a network's sequencer and auditors."
EXAMPLES = examples(
    "attestrain node --folder runs/2026-11-22-run",
    "attestrain node --folder networks/mine --roles sequencer    auditors join by invitation too",
)
ROLES = ("sequencer", "auditor")


def run(
    folder: Annotated[Path, typer.Option("--folder", metavar="DIR", help="What network init made.")],
    roles: Annotated[str, typer.Option("--roles", help="sequencer, and auditor for those of the run.")] = (
        "sequencer,auditor"
    ),
    wait: Annotated[
        float, typer.Option("--wait", min=0, metavar="SECONDS", help="For free slots, before the first round.")
    ] = 300.0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Serve a network and conduct its run: wait for participants, open rounds, close them, write bundle and policy.

    The first round begins when all slots are taken, or after --wait seconds with one worker at least; later ones may
    come at any time. Ctrl-C stops the node; the same command goes on where it was.
    """
    from attestrain.cli.extras import require_train

    wanted = [name.strip() for name in roles.split(",")]
    if "sequencer" not in wanted or not set(wanted) <= set(ROLES):
        hint = "workers, and auditors elsewhere, take part with: attestrain join INVITATION"
        raise UsageError("a node's roles are sequencer, or sequencer,auditor", hint=hint)
    require_train()
    from attestrain.cli import running
    from attestrain.cli.terminal import say, shown_path

    say(f"network in {shown_path(folder)}; invitations are in {shown_path(folder / 'invites')}", quiet=quiet)
    finished = running.node_run(folder, wanted, wait, quiet=quiet)
    running.report_finished(finished, json=json)

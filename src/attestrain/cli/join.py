"""`attestrain join`: one participant of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attestrain.cli.options import Json, Quiet, examples

SUMMARY = "Take part in a network by invitation."
EXAMPLES = examples(
    "attestrain join worker-0.json --fingerprint 1f2e...",
    "attestrain join worker-0.json --folder participants/mine    go on there after a crash",
)


def run(
    invite: Annotated[Path, typer.Argument(metavar="INVITATION", help="The file that the network gave you.")],
    fingerprint: Annotated[
        str | None, typer.Option("--fingerprint", metavar="HEX", help="The network's, told over another channel.")
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="Your own folder.  [default: runs/join-RUN-ROLE-SLOT]"),
    ] = None,
    patience: Annotated[
        float, typer.Option("--patience", min=1, metavar="SECONDS", help="Without an answer, until giving up.")
    ] = 600.0,
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or cuda-tf32; auto: a GPU if there is one.")
    ] = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Join a network: take the invitation's slot, fetch and check the run and its data, train until the run is over.

    Everything is kept in your folder, so the same command goes on after a crash. Ctrl-C leaves the network, and the
    same command comes back to it; SIGTERM stops without leaving.
    """
    from attestrain.cli.extras import require_train

    require_train()
    from attestrain.cli.running import RUNS
    from attestrain.cli.terminal import emit, say, shown_path
    from attestrain.run.folder import RunFolder
    from attestrain.run.holding import held, make_folder
    from attestrain.run.invite import load_invite
    from attestrain.run.joining import join
    from attestrain.train.device import choose_device

    found = load_invite(invite, fingerprint)
    if fingerprint is None:
        say(f"fingerprint {found.fingerprint}: compare it with the network's", quiet=quiet)
    own = RunFolder(folder or RUNS / f"join-{found.run.hex()[:12]}-{found.role}-{found.slot}")
    make_folder(own.path)
    with held(own):
        say(f"joining {found.door.url} as {found.role} {found.slot}, in {shown_path(own.path)}", quiet=quiet)
        join(found, own, lambda text: say(text, quiet=quiet), patience, choose_device(device))
    if json:
        emit({"run": found.run.hex(), "role": found.role, "slot": found.slot, "folder": str(own.path)})

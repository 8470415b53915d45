"""`attestrain network init`: a network to which others are invited."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import emit, say, show, shown_path

SUMMARY = "Make a network that others can join."
INIT = examples(
    "attestrain network init RUN.toml",
    "attestrain network init RUN.toml --host 192.0.2.7 --port 8800 --folder networks/mine",
)

app = typer.Typer(
    name="network",
    help="Make a network that others can join.",
    rich_markup_mode=None,
    epilog=INIT,
    no_args_is_help=False,
)


@app.callback(invoke_without_command=True)
def network(context: typer.Context) -> None:
    """Make a network that others can join."""
    from attestrain.errors import UsageError

    if context.invoked_subcommand is None:
        raise UsageError("network takes a command", hint="attestrain network init RUN.toml")


@app.command("init", short_help="Prepare a run and write invitations to it.", epilog=INIT)
def init(
    config: Annotated[Path, typer.Argument(metavar="RUN.toml", help="What to train.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one setting; repeatable.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Run folder.  [default: runs/DATE-NAME]")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on, which participants dial.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes any that is free.")] = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Prepare a network: its dataset, its spec, its keys, and one invitation for every slot.

    Hand each invitation to one participant, privately: whoever holds it may take the slot. The fingerprint is the same
    in all of them and no secret; tell it over another channel.
    """
    from attestrain.cli.extras import require_train

    require_train()
    from attestrain.run.config import load_config

    settings = load_config(config, overrides or ())
    from attestrain.cli.running import new_folder
    from attestrain.run.network import prepare_network

    made = prepare_network(settings, folder or new_folder(settings.run.name), host, port)
    if json:
        invites = [str(path) for path in made.invites]
        document = {"folder": str(made.folder), "url": made.door.url, "run": made.run.hex(), "invites": invites}
        emit({**document, "service": made.door.service.hex(), "fingerprint": made.fingerprint})
        return
    show(f"network      {made.door.url}")
    show(f"run          {made.run.hex()}")
    show(f"fingerprint  {made.fingerprint}")
    for path in made.invites:
        show(f"invitation   {shown_path(path)}")
    say(f"start it with: attestrain node --folder {shown_path(made.folder)}", quiet=quiet)
    say("each participant: attestrain join INVITATION --fingerprint FINGERPRINT", quiet=quiet)

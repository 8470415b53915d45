"""The command `attestrain`: which commands there are, and what becomes of errors.

Commands import what they need when they are called, so that help, `verify` and `inspect` start at once and work
without torch.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from attestrain.cli import (
    bench,
    chain,
    demo,
    doctor,
    evidence,
    init,
    inspect,
    join,
    network,
    node,
    replay,
    report,
    store,
    tamper,
    train,
    verify,
    watch,
)
from attestrain.cli.options import examples
from attestrain.cli.terminal import complain, complain_of
from attestrain.errors import AttestrainError, ExitCode

app = typer.Typer(
    name="attestrain",
    rich_markup_mode=None,  # plain help: an eighth of a second instead of a third, and it pipes
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "attestrain demo                                     the whole story on this machine",
        "attestrain verify --sample                          judge a small bundle that ships with the package",
        "attestrain init && attestrain train RUN.toml        a run of your own",
        "attestrain verify runs/X/bundle --policy runs/X/policy.toml",
    ),
)

for command in (init, demo, train, node, join, watch, verify, replay, report, inspect, tamper, doctor):
    name = command.__name__.rpartition(".")[2]
    app.command(name, short_help=command.SUMMARY, epilog=command.EXAMPLES)(command.run)
app.add_typer(network.app, name="network", short_help=network.SUMMARY)
app.add_typer(chain.app, name="chain", short_help=chain.SUMMARY)
app.add_typer(store.app, name="store", short_help=store.SUMMARY)
app.add_typer(evidence.app, name="evidence", short_help=evidence.SUMMARY)
app.add_typer(bench.app, name="bench", short_help=bench.SUMMARY)


def _print_version(wanted: bool) -> None:
    if wanted:
        from attestrain import __version__

        print(f"attestrain {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def attestrain(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train a model on machines you do not trust; verify offline what was trained, on what, by whom."""
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(ExitCode.USAGE)


def execute(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are reported, never raised."""
    try:
        code = get_command(app).main(list(arguments), prog_name="attestrain", standalone_mode=False)
        if code == ExitCode.INTERRUPTED:
            complain("interrupted")
        return int(code or ExitCode.DONE)
    except AttestrainError as error:
        complain_of(error)
        return error.exit_code
    except TyperException as error:
        complain(*_usage(error))
        return ExitCode.USAGE
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        return ExitCode.INTERRUPTED
    except SystemExit as stop:
        # The parser ends the process itself when the reader of our output has gone away, as `head` does. Not with 0:
        # whoever sees it could take a verdict that was never read for a good one.
        return ExitCode.INTERRUPTED if isinstance(stop.__context__, BrokenPipeError) else int(stop.code or 0)
    except Exception as error:
        complain(f"bug: {type(error).__name__}: {str(error)[:200]}", f"please report it with {_write_crash(error)}")
        return ExitCode.BUG


def _usage(error: TyperException) -> tuple[str, str]:
    """Message and hint of a command line that does not parse: the parser's own suggestion, or where help is."""
    message = " ".join(error.format_message().split())
    message, _, suggestion = (message[:1].lower() + message[1:]).partition(" Did you mean ")
    message, _, possible = message.partition(" (Possible options: ")
    suggestion = suggestion or (f"{possible.removesuffix(')')}?" if possible else "")
    command = getattr(getattr(error, "ctx", None), "command_path", "attestrain")
    return message.rstrip("."), f"did you mean {suggestion}" if suggestion else f"{command} -h"


def _write_crash(error: Exception) -> Path:
    """Keep the traceback where it can be found, out of the way of the one line that people read."""
    text = "".join(traceback.format_exception(error))
    name = f"crash-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    for folder in (Path(state) / "attestrain", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    print(text, file=sys.stderr)
    return Path("the traceback above")


def main() -> None:
    """Entry point of the `attestrain` script."""
    sys.exit(execute(sys.argv[1:]))

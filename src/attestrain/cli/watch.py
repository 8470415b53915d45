"""`attestrain watch`: follow a run that somebody else conducts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.errors import UsageError
from attestrain.report.events import FILE, Line, read_line

SUMMARY = "Follow a run in the terminal."
EXAMPLES = examples(
    "attestrain watch runs/2026-11-22-run       a run on this machine",
    "attestrain watch http://127.0.0.1:8800     a network's sequencer",
)
LOOK = 0.25
"""Seconds between looks at a file."""
PIECE = 1 << 20
"""Bytes read from a file at a time."""
LAST = ("finish",)
"""Events that end a run."""
PATIENCE = 60.0
"""Seconds without an answer after which a service is taken to be gone."""


def run(
    where: Annotated[str, typer.Argument(metavar="RUN|URL", help="Run folder, or address of a sequencer.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show a run as it goes on, until it ends or Ctrl-C. What is shown is signed by nobody: `verify` judges."""
    from attestrain.cli.live import following, totals
    from attestrain.cli.terminal import emit, show

    lines = _served(where) if "://" in where else _kept(Path(where))
    with following(quiet=quiet or json) as view:
        for line in lines:
            view.story.tell(line)
            view.show(line)
            if line.kind in LAST:
                break
        story = view.story
    if json:
        emit({"run": story.run, "rounds": story.rounds, "round": story.round, "finished": story.finished})
    else:
        show(f"{story.name}: {totals(story)}")


def _kept(folder: Path) -> Iterator[Line]:
    """Events of a run folder, as they are written."""
    path, rest = folder / FILE, b""
    if not path.is_file():
        raise UsageError(f"{folder} holds no run that can be watched", hint="give a run folder, or an address")
    with path.open("rb") as file:
        while True:
            data = file.read(PIECE)
            if not data:
                time.sleep(LOOK)
                continue
            *whole, rest = (rest + data).split(b"\n")
            yield from (read_line(line, str(path)) for line in whole)


def _served(url: str) -> Iterator[Line]:
    """Events of a sequencer, as it has them."""
    from attestrain.cli.extras import require_node

    require_node()
    from attestrain.errors import Unreachable
    from attestrain.record.digest import ZERO_DIGEST
    from attestrain.run.exchange import Stopped
    from attestrain.run.service.auth import Door
    from attestrain.run.service.client import Caller
    from attestrain.run.service.limits import MAX_ANSWER, MAX_WAIT

    caller, since = Caller(Door(url, ZERO_DIGEST), patience=PATIENCE), 0
    while True:
        try:
            answer = caller.ask("GET", f"/v1/events?since={since}&wait={MAX_WAIT}", most=MAX_ANSWER)
        except Stopped as error:
            raise Unreachable(str(error)) from error
        if answer.status != 200:
            raise Unreachable(f"{url} does not tell: {answer.why}")
        since += len(answer.body)
        yield from (read_line(line, url) for line in answer.body.splitlines())

"""`attestrain init`: a RUN.toml to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import emit, say
from attestrain.errors import UsageError

SUMMARY = "Write a commented RUN.toml to start from."
EXAMPLES = examples(
    "attestrain init                      write RUN.toml, every setting explained",
    "attestrain init my.toml",
    "attestrain init --algorithm diloco   train in another way; `attestrain init --list` names them all",
    "attestrain init - > RUN.toml         to standard output",
)


def run(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="File to write, - for standard output.")] = Path(
        "RUN.toml"
    ),
    algorithm: Annotated[str, typer.Option(metavar="NAME", help="Training algorithm to start from.")] = "",
    listed: Annotated[bool, typer.Option("--list", help="Name the algorithms, with equations and papers.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a commented RUN.toml: four honest workers and an auditor, ready to be changed."""
    from attestrain.cli.extras import require_train

    if json and str(path) == "-":
        raise UsageError("init - writes TOML to standard output, not JSON", hint="leave out --json, or name a file")
    require_train()
    if listed:
        return _list(json)
    from attestrain.run.algorithms import DEFAULT
    from attestrain.run.config_text import starting_toml

    text = starting_toml(algorithm or DEFAULT)
    if str(path) == "-":
        print(text, end="")
        return
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} exists", hint="choose another name, or remove it first") from error
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    if json:
        emit({"path": str(path)})
    say(f"wrote {path}; train it with: attestrain train {path}", quiet=quiet)


def _list(json: bool) -> None:
    """The presets, as they ship."""
    from attestrain.run.algorithms import algorithm_names, algorithm_text

    texts = {name: algorithm_text(name) for name in algorithm_names()}
    if json:
        emit({"algorithms": texts})
        return
    for name, text in texts.items():
        print(f"[{name}]\n{text.partition('[')[0].rstrip()}\n")

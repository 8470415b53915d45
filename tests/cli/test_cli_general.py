from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from attestrain import __version__
from attestrain.cli import main as cli
from attestrain.errors import AttestrainError, ExitCode, Interrupted, Unreachable
from tests.cli.conftest import PROGRAM, Call, spawn

COMMANDS = (
    *("init", "demo", "train", "node", "join", "watch"),
    *("verify", "replay", "report", "inspect", "tamper", "doctor"),
)
GROUPS = {
    "network": ("init",),
    "chain": ("up", "deploy", "status"),
    "store": ("put", "get", "root", "fsck"),
    "evidence": ("verify",),
    "bench": ("training",),
}
EXPLAINED = (*COMMANDS, *(f"{group} {member}" for group, members in GROUPS.items() for member in members))


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("command", EXPLAINED)
def test_every_command_explains_itself_with_examples(call: Call, command: str, flag: str) -> None:
    result = call(*command.split(), flag)
    assert result.code == 0
    assert "--json" in result.out
    assert "-q, --quiet" in result.out
    examples = result.out.split("Examples:\n")[1]
    assert examples.count(f"attestrain {command}") >= 2


def test_help_lists_every_command_with_its_whole_summary(call: Call) -> None:
    result = call("-h")
    assert result.code == 0
    listed = result.out.split("Commands:\n")[1].split("Examples:")[0]
    assert [line.split()[0] for line in listed.strip().splitlines()] == [*COMMANDS, *GROUPS]
    assert "..." not in listed


def test_version(call: Call) -> None:
    assert call("--version") == (0, f"attestrain {__version__}\n", "")


def test_without_a_command_help_goes_to_stderr(call: Call) -> None:
    result = call()
    assert (result.code, result.out) == (2, "")
    assert "Commands:" in result.err


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("verfy",), "no such command 'verfy'", "did you mean 'verify'?"),
        (("verify", "--polcy", "x"), "no such option: --polcy", "did you mean --policy, --rpc?"),
        (("verify",), "verify takes either a bundle or --sample", "attestrain verify runs/X/bundle --policy P"),
        (("verify", "no-such-folder"), "no-such-folder is not a bundle", "give the folder that holds manifest.json"),
        (("inspect", "no-such-file"), "there is no no-such-file", ""),
        (("tamper", "x"), "tamper takes BUNDLE, --lie and --out", "attestrain tamper --list shows the lies"),
        (("train",), "train takes either RUN.toml or --resume RUN", "attestrain init"),
        (("train", "no-such.toml"), "cannot read no-such.toml", "attestrain init"),
        (("train", "--resume", "no-such-run"), "no-such-run holds no run", ""),
        (("replay", "no-such-folder"), "no-such-folder", ""),
    ],
)
def test_mistakes_end_with_2_a_message_and_a_hint(
    call: Call, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    result = call(*arguments)
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    first, *rest = result.err.splitlines()
    assert first.startswith(f"attestrain: {message}")
    assert not hint or any(line.startswith("hint: ") and hint in line for line in rest)


@pytest.mark.parametrize("error", [Unreachable("the store is away", hint="start it"), Interrupted("interrupted")])
def test_errors_carry_their_exit_code(call: Call, monkeypatch: pytest.MonkeyPatch, error: AttestrainError) -> None:
    def fail(path: Path) -> None:
        raise error

    monkeypatch.setattr("attestrain.report.artefacts.describe", fail)
    result = call("inspect", __file__)
    assert result.code == error.exit_code
    assert result.err.startswith(f"attestrain: {error}\n")


def test_a_bug_is_one_line_and_a_log_file(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise ZeroDivisionError("this cannot happen")

    monkeypatch.setattr("attestrain.report.artefacts.describe", fail)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    result = call("inspect", __file__)
    assert (result.code, result.out) == (ExitCode.BUG, "")
    assert result.err.splitlines()[0] == "attestrain: bug: ZeroDivisionError: this cannot happen"
    assert "Traceback" not in result.err
    (log,) = (tmp_path / "attestrain").iterdir()
    assert str(log) in result.err
    assert "ZeroDivisionError" in log.read_text()


def test_interruption_ends_with_130(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("attestrain.report.artefacts.describe", stop)
    result = call("inspect", __file__)
    assert (result.code, result.err) == (ExitCode.INTERRUPTED, "attestrain: interrupted\n")


def test_a_reader_that_goes_away_is_no_bug_and_no_success() -> None:
    command = ["bash", "-c", '"$@" tamper --list | true; exit ${PIPESTATUS[0]}', "bash", *PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, "")


def _modules_after(*arguments: str) -> set[str]:
    """Top-level modules that an interpreter has imported after one command."""
    script = (
        "import sys, json\n"
        "from attestrain.cli.main import execute\n"
        f"execute({list(arguments)!r})\n"
        "json.dump(sorted({name.partition('.')[0] for name in sys.modules}), sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    return set(json.loads(done.stderr.splitlines()[-1]))


HEAVY = {"torch", "rich", "httpx", "pyarrow", "tokenizers"}
"""Not pydantic: typer itself uses it to read the arguments of a command."""


def test_help_imports_no_engine() -> None:
    light = {*HEAVY, "numpy", "cryptography", "coincurve"}
    assert not _modules_after("-h") & {*light, "pydantic"}
    assert not _modules_after("demo", "-h") & light


def test_verify_and_inspect_import_no_engine(honest: tuple[Path, Path]) -> None:
    bundle, policy = map(str, honest)
    assert not _modules_after("verify", bundle, "--policy", policy) & HEAVY
    assert not _modules_after("inspect", bundle) & HEAVY


def test_plain_text_where_nobody_watches(honest: tuple[Path, Path]) -> None:
    bundle, policy = honest
    result = spawn("verify", bundle, "--policy", policy)
    assert result.code == 0
    assert "\x1b" not in result.out + result.err


def test_names_of_commands_are_those_of_the_app() -> None:
    assert [command.name for command in cli.app.registered_commands] == list(COMMANDS)

"""What tests of the command line share: a way to call it, and an honest bundle on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from attestrain.cli.main import execute
from tests.attacks.world import honest_world


class Result(NamedTuple):
    code: int
    out: str
    err: str


class Honest(NamedTuple):
    bundle: Path
    policy: Path


Call = Callable[..., Result]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line in this process."""

    def run(*arguments: object) -> Result:
        code = execute([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(int(code), captured.out, captured.err)

    return run


PROGRAM = (sys.executable, "-c", "from attestrain.cli.main import main; main()")
"""The `attestrain` script, whether or not the package is installed."""


def spawn(*arguments: object, **environment: str) -> Result:
    """Run a command line in an interpreter of its own."""
    command = [*PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=60)
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Honest:
    """An honest bundle and its policy, as files. Not to be changed by a test."""
    folder = tmp_path_factory.mktemp("honest")
    files, policy = honest_world()
    for path, data in files.items():
        target = folder / "bundle" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    (folder / "policy.toml").write_text(policy.to_toml())
    return Honest(folder / "bundle", folder / "policy.toml")

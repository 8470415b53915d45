"""anvil, the chain that runs without anybody else: where it comes from.

It is a native program that npm carries, fetched once into the user's cache at an exact version. An ``anvil`` named by
ATTESTRAIN_ANVIL, or one on the path, is taken instead.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

from attestrain.errors import Unreachable, UsageError

VERSION = "1.7.1"
PACKAGE = "@foundry-rs/anvil"
SECONDS = 300
"""Longest that fetching may take: forty megabytes."""
_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def find_anvil(*, fetch: bool = True) -> Path:
    """The program, fetched if it is not here.

    Raises:
        UsageError: it is neither here nor can be fetched on this machine.
        Unreachable: fetching failed.
    """
    named = os.environ.get("ATTESTRAIN_ANVIL") or shutil.which("anvil")
    if named:
        return Path(named)
    program = _cached()
    if not program.is_file():
        if not fetch:
            raise UsageError("anvil is not installed", hint="fetch it with: attestrain chain up")
        _fetch(program)
    return program


def _cached() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "attestrain" / f"anvil-{VERSION}" / "node_modules" / f"{PACKAGE}-{_target()}" / "bin" / "anvil"


def _target() -> str:
    system, machine = _SYSTEMS.get(platform.system()), _MACHINES.get(platform.machine())
    if system is None or machine is None:
        hint = "name one you have: ATTESTRAIN_ANVIL=/path/to/anvil"
        raise UsageError(f"no anvil is packaged for {platform.system()} on {platform.machine()}", hint=hint)
    return f"{system}-{machine}"


def _fetch(program: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        hint = "install npm, or name an anvil you have: ATTESTRAIN_ANVIL=/path/to/anvil"
        raise UsageError("the embedded chain needs anvil, which npm carries, and npm is not installed", hint=hint)
    folder = program.parents[4]
    building = folder.with_name(f".{folder.name}-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    wanted = f"{PACKAGE}-{_target()}@{VERSION}"
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(building), wanted]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=SECONDS)
        building.rename(folder)
    except (subprocess.SubprocessError, OSError) as error:
        if not program.is_file():  # somebody else may have fetched it meanwhile
            reason = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1:]
            raise Unreachable(f"anvil could not be fetched: {''.join(reason)[:200]}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)

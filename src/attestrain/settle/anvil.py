"""anvil, the chain that runs without anybody else: where it comes from.

It is a native program that npm carries, fetched once into the user's cache: an exact version whose bytes npm holds
against the digests below. An ``anvil`` named by ATTESTRAIN_ANVIL, or one of that version on the path, is taken instead.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from pathlib import Path

from attestrain.errors import Unreachable, UsageError

VERSION = "1.7.1"
PACKAGE = "@foundry-rs/anvil"
INTEGRITY = {
    "linux-amd64": "sha512-+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
    "linux-arm64": "sha512-ykHJmFOGdBR8+9smOKBm9ZZDCCCkLQctiHOAddLvmYx9mPeBDMfq6jP51hKYsO5MG8ClPLSlWe+JpiXPjoXgBQ==",
    "darwin-amd64": "sha512-OgwzwY+FsGrsPyDv4mmbhOwARO8s37YHrm2qaNzgSH4VlKnXgJCrnoT7bpgOhLyBPtxXjBT8L2E3b79deesXRg==",
    "darwin-arm64": "sha512-JNeu3+A3f/npXLn8SR8EahVcqE7BpO9VQZMcPvSIy27/RNc1GsoEBvSLR99aSvt8sGKWAgNg/EzrtjAPq6mxcA==",
}
"""SHA-512 of the platforms' packages, as npm writes it (Subresource Integrity)."""
FETCH_SECONDS = 300
"""Longest that fetching may take: twenty megabytes."""
ASK_SECONDS = 10
"""Longest that a program may take to say its version."""
VARIABLE = "ATTESTRAIN_ANVIL"
_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def find_anvil(*, fetch: bool = True) -> Path:
    """The program, fetched if it is not here.

    Raises:
        UsageError: it is neither here nor can be fetched on this machine.
        Unreachable: fetching failed.
    """
    if named := os.environ.get(VARIABLE):
        if not Path(named).is_file():
            raise UsageError(f"{VARIABLE} names {named}, which is no file")
        return Path(named)
    cached = _cached()
    if cached is not None and cached.is_file():
        return cached
    found = shutil.which("anvil")
    if found and f"Version: {VERSION}" in _version(found):
        return Path(found)
    if cached is None:
        hint = f"name one you have: {VARIABLE}=/path/to/anvil"
        raise UsageError(f"no anvil is packaged for {platform.system()} on {platform.machine()}", hint=hint)
    if not fetch:
        raise UsageError("anvil is not here yet", hint="fetch it with: attestrain chain up")
    _fetch(cached)
    return cached


def _version(program: str) -> str:
    try:
        return subprocess.run([program, "--version"], capture_output=True, text=True, timeout=ASK_SECONDS).stdout
    except (subprocess.SubprocessError, OSError):
        return ""


def _target() -> str | None:
    target = f"{_SYSTEMS.get(platform.system())}-{_MACHINES.get(platform.machine())}"
    return target if target in INTEGRITY else None


def _cached() -> Path | None:
    """Where the program lies once it was fetched; None for a platform that has none."""
    if (target := _target()) is None:
        return None
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "attestrain" / f"anvil-{VERSION}" / "node_modules" / f"{PACKAGE}-{target}" / "bin" / "anvil"


def _fetch(program: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        hint = f"install npm, or name an anvil you have: {VARIABLE}=/path/to/anvil"
        raise UsageError("the embedded chain needs anvil, which npm carries, and npm is not installed", hint=hint)
    folder = program.parents[4]
    building = folder.with_name(f".{folder.name}-{os.getpid()}")
    try:
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        _write_lock(building)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(building)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=FETCH_SECONDS)
        building.rename(folder)
    except (subprocess.SubprocessError, OSError) as error:
        if not program.is_file():  # somebody else may have fetched it meanwhile
            raise Unreachable(f"anvil could not be fetched: {_reason(error)}", hint="see `npm ping`") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_lock(folder: Path) -> None:
    """A package that needs exactly this platform's package, with a lock that says what its bytes are."""
    target = _target() or ""
    name, needs = "attestrain-anvil", {f"{PACKAGE}-{target}": VERSION}
    package = {"name": name, "private": True, "dependencies": needs}
    locked = {"version": VERSION, "integrity": INTEGRITY[target]}
    packages = {"": {"name": name, "dependencies": needs}, f"node_modules/{PACKAGE}-{target}": locked}
    lock = {"name": name, "lockfileVersion": 3, "requires": True, "packages": packages}
    (folder / "package.json").write_text(json.dumps(package))
    (folder / "package-lock.json").write_text(json.dumps(lock))


def _reason(error: Exception) -> str:
    said = str(getattr(error, "stderr", "") or error).strip().splitlines()
    return next((line for line in said if "npm error" in line), said[-1] if said else "")[:200]

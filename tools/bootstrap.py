"""Create the virtual environment that every make target uses; a second run finds it complete and installs nothing.

Standard library only: it runs under the system's Python, before anything is installed. The environment is complete
when its stamp carries the digest of pyproject.toml and constraints.txt, the same torch build and at least the extras
asked for.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = "attestrain-install.json"
DOWNLOAD_MB = {"cpu": 190, "cuda": 2900}
"""Wheels of torch 2.13.0 for Linux x86_64: the CPU build measured from its file; the CUDA build with the libraries
it pins is an estimate from earlier releases."""
BASE_MB = 34
EXTRA_MB = {"train": 71, "node": 2, "dev": 52, "hf": 13}
"""Wheels of the base install and what each extra adds besides torch: measured on Linux x86_64 with Python 3.11."""


def main() -> int:
    """Install unless the stamp says that it is done; return the exit code."""
    args = _arguments()
    extras = sorted(set(args.extras.split(",")))
    wanted = {"inputs": _inputs_digest(), "torch": args.torch, "extras": extras}
    venv: Path = args.venv
    found = _read_stamp(venv)
    if found is not None and _covers(found, wanted):
        return 0
    size = _megabytes(args.torch, extras)
    print(f"installing into {venv}: about {size} MB of wheels to download (less from a warm cache)", flush=True)
    clear = found is not None and found["torch"] != args.torch
    python = _create(venv, clear=clear)
    options = [*shlex.split(args.pip_args), *(["--extra-index-url", args.torch_index] if args.torch_index else [])]
    offered = "cuda" if _offers_cuda_build(python, options) else "cpu"
    if offered != args.torch:
        return _fail(
            f"the package index configured here offers the {offered} build of torch, not {args.torch}",
            f"make TORCH={offered} to take it, or make TORCH_INDEX=URL with PyTorch's index of {args.torch} wheels",
        )
    _pip(python, ["install", *_quiet(), "-c", "constraints.txt", *options, "-e", f".[{','.join(extras)}]"])
    (venv / STAMP).write_text(json.dumps(wanted) + "\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="folder of the environment")
    parser.add_argument(
        "--extras", default="availability,dev,node,store,train", help="extras of pyproject.toml, comma-separated"
    )
    parser.add_argument("--torch", choices=sorted(DOWNLOAD_MB), default="cpu", help="which build of torch is wanted")
    parser.add_argument("--torch-index", default="", help="package index that holds the wanted build")
    parser.add_argument("--pip-args", default="", help="further options for pip install")
    return parser.parse_args()


def _inputs_digest() -> str:
    state = hashlib.sha256()
    for name in ("pyproject.toml", "constraints.txt"):
        state.update(hashlib.sha256((ROOT / name).read_bytes()).digest())
    return state.hexdigest()


def _read_stamp(venv: Path) -> dict[str, object] | None:
    try:
        stamp = json.loads((venv / STAMP).read_text())
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and stamp.keys() == {"inputs", "torch", "extras"} else None


def _covers(found: dict[str, object], wanted: dict[str, object]) -> bool:
    have, need = found["extras"], wanted["extras"]
    same = found["inputs"] == wanted["inputs"] and found["torch"] == wanted["torch"]
    return same and isinstance(have, list) and isinstance(need, list) and set(need) <= set(have)


def _megabytes(torch: str, extras: list[str]) -> int:
    return BASE_MB + DOWNLOAD_MB[torch] + sum(EXTRA_MB.get(extra, 0) for extra in extras)


def _create(venv: Path, *, clear: bool) -> Path:
    """Create the environment if it is not there (or must be emptied) and return its interpreter."""
    python = venv / "bin" / "python"
    if clear or not python.exists():
        subprocess.run([sys.executable, "-m", "venv", *(["--clear"] if clear else []), str(venv)], check=True)
    return python


def _offers_cuda_build(python: Path, options: list[str]) -> bool:
    """Whether pip would bring NVIDIA libraries: asks its resolver and downloads metadata only."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        resolve = ["install", "--quiet", "--quiet", "--dry-run", "--ignore-installed", "--report", str(report)]
        _pip(python, [*resolve, "-c", "constraints.txt", *options, "torch"])
        plan = json.loads(report.read_text())
    return any(item["metadata"]["name"].lower().startswith(("nvidia-", "cuda-")) for item in plan["install"])


def _quiet() -> list[str]:
    return [] if sys.stdout.isatty() else ["--quiet", "--quiet"]


def _pip(python: Path, arguments: list[str]) -> None:
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([str(python.absolute()), "-m", "pip", *arguments], check=True, cwd=ROOT, env=environment)


def _fail(message: str, hint: str) -> int:
    print(f"error: {message}\nhint: {hint}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(
            _fail(f"`{shlex.join(error.cmd)}` failed", "pip's own message is above; offline, give make PIP_ARGS=...")
        )

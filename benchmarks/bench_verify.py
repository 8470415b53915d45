"""Verifying a bundle, next to hashing the same bytes, in fresh processes.

    python benchmarks/bench_verify.py [BUNDLE POLICY]      default: the sample in the package

Wall seconds from the start of the interpreter to its end, best of five. Hashing every file is the least that any
verifier must do; "x first" divides by what starting the interpreter takes in the same run.
"""

from __future__ import annotations

import subprocess
import sys
import time

REPEATS = 5
HASHING = """
import hashlib, pathlib, sys
for path in pathlib.Path(sys.argv[1]).rglob("*"):
    if path.is_file():
        hashlib.sha256(path.read_bytes()).digest()
"""


def timed(command: list[str]) -> float:
    """Wall seconds of the fastest of `REPEATS` runs, all of which must succeed."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    """Print the table."""
    attestrain = [sys.executable, "-m", "attestrain.cli"]
    rows = {"interpreter": [sys.executable, "-c", "pass"], "attestrain -h": [*attestrain, "-h"]}
    if len(sys.argv) == 3:
        bundle, policy = sys.argv[1:]
        rows["sha256 of every file"] = [sys.executable, "-c", HASHING, bundle]
        rows["attestrain verify"] = [*attestrain, "verify", bundle, "--policy", policy]
    else:
        rows["attestrain verify --sample"] = [*attestrain, "verify", "--sample"]
    print(f"{'process':<28}{'seconds':>9}{'x first':>9}")
    first = None
    for name, command in rows.items():
        seconds = timed(command)
        first = first or seconds
        print(f"{name:<28}{seconds:>9.3f}{seconds / first:>9.1f}")


if __name__ == "__main__":
    main()

"""Judging NVIDIA's evidence: one GPU, a file of reference values, and a machine of eight GPUs and four NVSwitches.

    python benchmarks/bench_evidence_nvidia.py

Milliseconds of processor time on one core for genuine evidence (tests/data/nvidia), median and worst of 20. Issued
certificates that were checked before are remembered within a process, so "first" forgets them each time.
"""

from __future__ import annotations

import lzma
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from attestrain.appraise.nvidia import certificates
from attestrain.appraise.nvidia.fabric import appraise_fabric
from attestrain.appraise.nvidia.files import read_devices
from attestrain.appraise.nvidia.gpu import appraise_gpu
from attestrain.appraise.nvidia.policy import NvidiaPolicy
from attestrain.appraise.nvidia.rim import read_rim

DATA = Path(__file__).parents[1] / "tests/data/nvidia"
REPEATS = 20
NOW, SIGNERS_TIME = 1_780_000_000, 1_700_000_000


def genuine(name: str) -> bytes:
    """A published file."""
    return lzma.decompress((DATA / f"{name}.xz").read_bytes())


def timed(work: Callable[[], object], *, first: bool) -> tuple[float, float]:
    """Median and worst milliseconds of processor time."""
    taken = []
    for _ in range(REPEATS):
        if first:
            certificates._issued.cache_clear()
        start = time.process_time()
        work()
        taken.append(1_000 * (time.process_time() - start))
    return statistics.median(taken), max(taken)


def main() -> None:
    """Print the table."""
    gpus, switches = (read_devices(genuine(f"{name}_evidence.json")) for name in ("gpu", "switch"))
    one, nonce, policy = gpus[0], gpus[0].report[4:36], NvidiaPolicy()
    driver = genuine("Driver_RIM_test_no_gpu.swidtag")
    rows: dict[str, Callable[[], object]] = {
        "one GPU": lambda: appraise_gpu(one.report, one.chain, policy, NOW, nonce),
        "reference values of a driver": lambda: read_rim(driver, policy, SIGNERS_TIME),
        "eight GPUs, four NVSwitches": lambda: appraise_fabric(gpus, switches, policy, NOW, nonce),
    }
    print(f"{'milliseconds':<32}{'first':>8}{'worst':>8}{'again':>8}{'worst':>8}")
    for name, work in rows.items():
        figures = [*timed(work, first=True), *timed(work, first=False)]
        print(f"{name:<32}" + "".join(f"{figure:>8.1f}" for figure in figures))


if __name__ == "__main__":
    main()

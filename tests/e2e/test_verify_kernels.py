"""A real bundle verifies bit for bit however numpy computes: other threads, BLAS kernels, vector units, hash seeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def dispatched() -> str:
    """Processor features that numpy would use here and can do without."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return " ".join(name for name in __cpu_dispatch__ if __cpu_features__.get(name))


@pytest.mark.parametrize(
    "changes",
    [
        {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Prescott", "PYTHONHASHSEED": "1"},
        {"OPENBLAS_NUM_THREADS": "4", "OPENBLAS_CORETYPE": "Haswell", "PYTHONHASHSEED": "2"},
        {"NPY_DISABLE_CPU_FEATURES": dispatched(), "OMP_NUM_THREADS": "4"},
    ],
    ids=["one thread, old kernels", "four threads, newer kernels", "no vector instructions"],
)
def test_the_sample_verifies_under_other_kernels(changes: dict[str, str]) -> None:
    """Claim (8) re-derives every checkpoint, so a single other bit would refute the bundle."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS", "NPY"))}
    command = [sys.executable, "-m", "attestrain.cli", "verify", "--sample", "--json"]
    done = subprocess.run(command, env=environment | changes, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["verdict"] == "VERIFIED"
    assert [check["status"] for check in verdict["checks"] if check["claim"] == 8] == ["PASS"]

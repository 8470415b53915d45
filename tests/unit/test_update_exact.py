"""The outer path under everything that changes how numpy computes: same checkpoints, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from attestrain.record.layout import Init, TensorSpec
from tests.vectors.make_update import CODECS, make_spec, outer_specs, rule_specs, run_rounds

ROOT = Path(__file__).parents[2]
BIG = (TensorSpec("a", (61, 67), Init("uniform", 81, -12)), TensorSpec("b", (1013,), Init("uniform", 77, -9)))

CHILD = """
from numpy._core._multiarray_umath import __cpu_features__ as features
from tests.unit.test_update_exact import digests
print(" ".join(sorted(name for name, on in features.items() if on)))
print("\\n".join(digests()))
"""


def digests() -> list[str]:
    """Every checkpoint of a run with each codec, aggregation rule and outer optimizer."""
    specs = [make_spec(codec, block=64, tensors=BIG) for codec in CODECS]
    specs += rule_specs(tensors=BIG) + outer_specs(tensors=BIG)
    return [step["digest"] for spec in specs for step in run_rounds(spec)]


def dispatched() -> set[str]:
    """Processor features that numpy would use here and can do without."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return {name for name in __cpu_dispatch__ if __cpu_features__.get(name)}


def child(**changes: str) -> tuple[set[str], list[str]]:
    """Processor features and digests of another process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS", "NPY"))}
    command = [sys.executable, "-W", "error", "-c", CHILD]
    done = subprocess.run(command, cwd=ROOT, env=environment | changes, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    features, *lines = done.stdout.split("\n")[:-1]
    return set(features.split()), lines


@pytest.mark.parametrize(
    "changes",
    [
        {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Prescott", "PYTHONHASHSEED": "1"},
        {"OPENBLAS_NUM_THREADS": "4", "OPENBLAS_CORETYPE": "Haswell", "PYTHONHASHSEED": "2"},
    ],
    ids=["one thread, old kernels", "four threads, newer kernels"],
)
def test_same_checkpoints_under_other_kernels(changes: dict[str, str]) -> None:
    assert child(**changes)[1] == digests()


def test_same_checkpoints_without_vector_instructions() -> None:
    features = dispatched()
    if not features:
        pytest.skip("numpy dispatches nothing on this processor")
    left, found = child(NPY_DISABLE_CPU_FEATURES=" ".join(sorted(features)))
    assert not left & features
    assert found == digests()


def test_memory_order_and_alignment_do_not_matter() -> None:
    """Arrays that start at an odd place in memory take other vector paths."""
    from attestrain.update.checkpoint import genesis
    from attestrain.update.feedback import Kept, compress
    from tests.vectors.make_update import header_of, make_values

    spec = make_spec(block=64, tensors=BIG)
    checkpoint = genesis(spec)
    size = spec.layout.parameters
    params, ef = checkpoint.params + make_values(size, "moved"), make_values(size, "ef")

    def shifted(array: np.ndarray) -> np.ndarray:
        room = np.zeros(size + 1, dtype=np.float32)
        room[1:] = array
        return room[1:]

    header = header_of(spec, checkpoint, 0)
    straight, kept = compress(spec, header, params, Kept(ef))
    odd, also_kept = compress(spec, header, shifted(params), Kept(shifted(ef)))
    assert kept.ef is not None
    assert also_kept.ef is not None
    assert (straight, kept.ef.tobytes()) == (odd, also_kept.ef.tobytes())

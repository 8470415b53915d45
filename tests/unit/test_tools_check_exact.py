"""The exactness lint finds planted violations and leaves exact code alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tools import check_exact

EXACT = """
from __future__ import annotations
import math
import struct
from fractions import Fraction
import numpy as np
from numpy.typing import NDArray
from attestrain.errors import FormatError

def scale(x: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    values = np.rint(np.ldexp(np.abs(x), -k)).astype(np.int64)
    total = int((values * values).sum(dtype=np.int64))
    order = np.argsort(-values, kind="stable")
    threshold = np.partition(values, 3)[3]
    starts = np.add.reduceat(values, np.arange(0, 8, 4), dtype=np.int64)
    peak = np.maximum.reduce(values)
    raw = np.random.Philox(key=1).random_raw(4)
    assert math.ldexp(1.0, k) < 2**53 and math.isfinite(float(peak)) and event.round == 3
    return np.sqrt(x[order] / np.float32(threshold)) + np.cumsum(values, dtype=np.uint64)[starts] + raw + total
"""


def rules(source: str) -> list[str]:
    return [finding.rule for finding in check_exact.check_source(source, "planted.py")]


def test_exact_code_passes() -> None:
    assert check_exact.check_source(EXACT, "exact.py") == []


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("import torch", "import"),
        ("import scipy.special", "import"),
        ("import random", "import"),
        ("import numpy", "import"),
        ("import numpy as xp", "import"),
        ("import numpy.linalg as la", "import"),
        ("from numpy import dot", "import"),
        ("from numpy.linalg import norm", "import"),
        ("import math as m", "import"),
        ("from math import exp, sqrt", "math"),
        ("y = math.exp(x)", "math"),
        ("y = math.cos(x)", "math"),
        ("y = math.pow(x, 2)", "math"),
        ("f = math", "math"),
        ("y = np.linalg.norm(x)", "numpy"),
        ("y = np.dot(x, x)", "numpy"),
        ("y = np.matmul(x, x)", "numpy"),
        ("y = np.einsum('i,i', x, x)", "numpy"),
        ("y = np.exp(x)", "numpy"),
        ("y = np.log2(x)", "numpy"),
        ("y = np.power(x, 2)", "numpy"),
        ("y = np.tanh(x)", "numpy"),
        ("y = np.mean(x)", "numpy"),
        ("y = np.multiply.reduce(x)", "numpy"),
        ("y = np.add.at(x, i, 1.0)", "numpy"),
        ("y = np.argpartition(x, 3)", "numpy"),
        ("f = np.vdot", "numpy"),
        ("y = getattr(np, 'dot')(x, x)", "numpy"),
        ("y = np.random.default_rng(1)", "random"),
        ("y = np.random.normal()", "random"),
        ("y = x @ x", "power"),
        ("x @= y", "power"),
        ("y = x ** 2", "power"),
        ("y = 2.0 ** k", "power"),
        ("x **= 2", "power"),
        ("y = pow(x, 2)", "power"),
        ("y = x.sum()", "reduction"),
        ("y = x.sum(dtype=np.float64)", "reduction"),
        ("y = x.sum(axis=0, dtype=float)", "reduction"),
        ("y = np.sum(x)", "reduction"),
        ("y = np.cumsum(x, dtype=np.float32)", "reduction"),
        ("y = np.add.reduce(x)", "reduction"),
        ("y = np.add.reduceat(x, s)", "reduction"),
        ("y = np.bincount(i, weights=x)", "reduction"),
        ("y = np.bincount(i, x)", "reduction"),
        ("y = (x + 1).mean()", "method"),
        ("y = x.dot(x)", "method"),
        ("y = x.std()", "method"),
        ("y = x.prod()", "method"),
        ("y = x.round(3)", "method"),
        ("y = np.abs(x).trace()", "method"),
        ("y = np.argsort(x)", "sort"),
        ("y = x.argsort(kind='quicksort')", "sort"),
        ("x.sort()", "sort"),
        ("y = np.partition(x, 3)", "sort"),
        ("y = np.partition(x, 3)[:3]", "sort"),
        ("y = eval('x')", "import"),
    ],
)
def test_planted_violation_is_found(source: str, rule: str) -> None:
    assert rules(source) == [rule]


def test_findings_name_file_line_and_function() -> None:
    (finding,) = check_exact.check_source("import numpy as np\n\ny = np.exp(1.0)\n", "update/codec.py")
    assert str(finding) == "update/codec.py:3: numpy: np.exp is not on the list of exact functions"


def test_philox_stays_in_one_file(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("import numpy as np\ny = np.random.Philox(1).random_raw()\n")
    assert [(f.path, f.rule) for f in check_exact.check_paths([tmp_path])] == [(str(tmp_path / "b.py"), "random")]


def test_only_the_file_that_counts_bits_multiplies_matrices() -> None:
    source = "import numpy as np\ny = np.matmul(a, b)\n"
    assert check_exact.check_source(source, "src/attestrain/update/whole.py") == []
    assert [f.rule for f in check_exact.check_source(source, "src/attestrain/update/other.py")] == ["numpy"]


def test_exit_code_tells_clean_from_broken_and_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean = tmp_path / "clean.py"
    clean.write_text("x = 1\n")
    broken = tmp_path / "broken.py"
    broken.write_text("import torch\n")
    assert check_exact.main([str(clean)]) == 0
    assert check_exact.main([str(tmp_path)]) == 1
    assert check_exact.main([str(tmp_path / "absent")]) == 1
    assert "nothing there to check" in capsys.readouterr().out


def test_listed_names_exist_in_numpy() -> None:
    missing = [name for name in sorted(check_exact.NUMPY) if attrgetter_or_none(name) is None and name != "newaxis"]
    assert missing == []


def attrgetter_or_none(name: str) -> object:
    value: object = np
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


EXACT_METHODS = """
T all any argmax argmin argsort astype base byteswap clip conj conjugate copy ctypes cumsum data device dtype fill flags
flat flatten imag item itemset itemsize mT max min nbytes ndim nonzero put ravel real repeat reshape resize searchsorted
setflags shape size sort squeeze strides sum swapaxes take to_device tobytes tolist transpose view
"""


def test_every_array_method_was_decided_about() -> None:
    # A method that a newer numpy gives to arrays must be put on one of the two lists.
    public = {name for name in dir(np.ndarray) if not name.startswith("_")}
    assert public - set(EXACT_METHODS.split()) - check_exact.REFUSED_METHODS == set()

"""The benchmark for one GPU, at a size at which a processor is one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks/gpu.py"


def test_the_tiny_version_measures_and_compares_with_a_second_process(tmp_path: Path) -> None:
    out = tmp_path / "table.md"
    command = [sys.executable, SCRIPT, "--tiny", "--device", "cpu", "--rounds", "1", "--steps", "2", "--out", out]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    page = out.read_text()
    assert run.stdout == page + "\n"
    assert re.search(
        r"33,440 parameters, 8 workers in turn, 1 rounds of 2 steps .* cpu, torch .* 20\d\d-\d\d-\d\d", page
    )
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", page, re.MULTILINE))
    assert rows["the first segment, twice here and in a second process"] == "equal"
    assert float(rows["tokens/s in inner segments"].replace(",", "")) > 0
    assert float(rows["decode and aggregate, seconds a round"]) > 0

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from attestrain.errors import FormatError
from attestrain.record.layout import Init, TensorSpec
from attestrain.record.spec import RunSpec
from attestrain.update.codec import decode, encode
from tests.vectors.make_update import HEADER, PATH, make_spec, render, run_rounds

VECTORS = json.loads(PATH.read_text(encoding="utf-8"))


def test_file_is_what_the_script_makes() -> None:
    assert PATH.read_text(encoding="utf-8") == render()


@pytest.mark.parametrize("case", VECTORS["updates"], ids=lambda case: f"{case['codec']}, {case['label']}")
def test_updates(case: dict[str, str]) -> None:
    spec = make_spec(case["codec"], block=int(case["block"]))
    data, values = bytes.fromhex(case["update"]), np.frombuffer(bytes.fromhex(case["values"]), dtype="<f4")
    assert encode(spec, HEADER, values.astype(np.float32)) == data
    decoded = decode(spec, data)
    assert decoded.values().tobytes().hex() == case["decoded"]
    norm = decoded.norm_squared()
    assert f"{norm.numerator}/{norm.denominator}" == case["norm_squared"]


@pytest.mark.parametrize("case", VECTORS["refused"], ids=lambda case: case["name"])
def test_refused(case: dict[str, str]) -> None:
    with pytest.raises(FormatError):
        decode(make_spec("ternary"), bytes.fromhex(case["update"]))


def name_of(run: dict[str, Any]) -> str:
    spec = json.loads(run["spec"])
    return " ".join(spec[part]["name"] for part in ("codec", "aggregate", "outer", "merge") if part in spec)


def test_every_run_comes_out_differently_but_for_equal_tokens() -> None:
    last = {name_of(run): json.loads(run["checkpoints"][-1]["document"])["params"]["root"] for run in VECTORS["runs"]}
    assert last.pop("dense tokens nesterov") == last["dense mean nesterov"]
    assert len(set(last.values())) == len(last) == len(VECTORS["runs"]) - 1


@pytest.mark.parametrize("run", VECTORS["runs"], ids=name_of)
def test_runs(run: dict[str, object]) -> None:
    spec = RunSpec.from_bytes(str(run["spec"]).encode())
    assert run_rounds(spec) == run["checkpoints"]


def test_example_of_the_update_page() -> None:
    page = (PATH.parents[1] / "spec" / "update.md").read_text(encoding="utf-8")
    dump = page.split("```\n")[1].splitlines()
    data = bytes.fromhex("".join(line[6:] for line in dump))
    spec = make_spec(tensors=(TensorSpec("w", (8,), Init("zeros")),))
    wanted = np.array([4, 0, -2, 0.5, 0, 0, 3, 0], dtype=np.float32)
    assert encode(spec, HEADER, wanted) == data
    assert decode(spec, data).values().tolist() == [3, 0, -3, 0, 0, 0, 3, 0]


def test_example_of_the_checkpoint_page() -> None:
    page = (PATH.parents[1] / "spec" / "checkpoint.md").read_text(encoding="utf-8")
    example = VECTORS["runs"][1]["checkpoints"][1]
    assert f"```json\n{example['document']}\n```" in page
    assert example["digest"] in page

from __future__ import annotations

import json
from typing import Any

import pytest

from attestrain.record.layout import Layout
from attestrain.record.spec import Codec
from tests.vectors.make_quantised import BODIES, PATH, loaded, render, stored

VECTORS = json.loads(PATH.read_text(encoding="utf-8"))
LAYOUT = Layout.from_json(VECTORS["layout"])
CASES = [(run, step) for run in VECTORS["runs"] for step in run["rounds"]]


def test_file_is_what_the_script_makes() -> None:
    assert PATH.read_text(encoding="utf-8") == render()


@pytest.mark.parametrize(("run", "step"), CASES)
def test_bodies(run: dict[str, Any], step: dict[str, str]) -> None:
    codec, kind = Codec(run["codec"], run["block"], "1", run["settings"]), BODIES[run["codec"]]
    body = bytes.fromhex(step["body"])
    assert kind.quantise(codec, LAYOUT, loaded(step["values"]), loaded(step["memory"])).to_bytes() == body
    decoded = kind.from_bytes(codec, LAYOUT, memoryview(body))
    assert stored(decoded.values()) == step["decoded"]
    assert stored(decoded.memory()) == step["next_memory"]
    norm = decoded.norm_squared()
    assert f"{norm.numerator}/{norm.denominator}" == step["norm_squared"]

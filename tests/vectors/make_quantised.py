"""Make vectors/quantised.json: `python tests/vectors/make_quantised.py` from the root of the repository.

Bodies of updates without their header. Values are integers of SHA-256 times powers of two, as in make_update.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.spec import Codec
from attestrain.update.arrays import Float32s
from attestrain.update.dct import DctTopK
from attestrain.update.integer import Int4, Int8
from attestrain.update.lowrank import LowRank, memory_size
from attestrain.update.sign import Sign
from attestrain.update.topk import TopK
from tests.vectors.make_update import make_values

PATH = Path(__file__).parents[2] / "vectors" / "quantised.json"
BODIES = {"sign": Sign, "int8": Int8, "int4": Int4, "topk": TopK, "dct": DctTopK, "lowrank": LowRank}
ROUNDS = 2

LAYOUT = Layout(
    (
        TensorSpec("embed.weight", (9, 7), Init("zeros")),
        TensorSpec("norm.weight", (3,), Init("ones")),
        TensorSpec("conv.weight", (4, 3, 2), Init("zeros")),
        TensorSpec("gate.weight", (2, 5), Init("zeros")),
    )
)
"""Two tensors that rank 2 factorises, and two that it does not."""

CODECS = (
    Codec("sign", 16, "1", {}),
    Codec("int8", 16, "1", {}),
    Codec("int4", 16, "1", {}),
    Codec("topk", 16, "1", {"keep": "3", "levels": "1"}),
    Codec("topk", 16, "1", {"keep": "5", "levels": "2"}),
    Codec("dct", 16, "1", {"side": "4", "keep": "4", "levels": "2"}),
    Codec("lowrank", 4, "1", {"rank": "2", "bits": "4"}),
    Codec("lowrank", 16, "1", {"rank": "3", "bits": "8"}),
)


def stored(values: Float32s) -> str:
    """Little-endian float32, in hexadecimal."""
    return values.astype("<f4").tobytes().hex()


def loaded(text: str) -> Float32s:
    """What ``stored`` wrote."""
    return np.frombuffer(bytes.fromhex(text), dtype="<f4").astype(np.float32)


def run(codec: Codec) -> list[dict[str, str]]:
    """Updates of ``ROUNDS`` rounds, each from the memory of the one before; in the second one many values are zero."""
    memory = np.zeros(memory_size(codec, LAYOUT) if codec.name == "lowrank" else 0, dtype=np.float32)
    steps = []
    for number in range(ROUNDS):
        values = make_values(LAYOUT.parameters, f"{codec.name} {number}")
        values[: 20 * number] = 0
        body = BODIES[codec.name].quantise(codec, LAYOUT, values, memory)
        norm = body.norm_squared()
        steps.append(
            {
                "values": stored(values),
                "memory": stored(memory),
                "body": body.to_bytes().hex(),
                "decoded": stored(body.values()),
                "norm_squared": f"{norm.numerator}/{norm.denominator}",
                "next_memory": stored(body.memory()),
            }
        )
        memory = body.memory()
    return steps


def build() -> dict[str, Any]:
    """The vectors."""
    return {
        "format": "attestrain.dev/vectors@v1",
        "what": "bodies of updates (spec/update.md): sign, int8, int4, lowrank",
        "layout": LAYOUT.to_json(),
        "runs": [
            {"codec": codec.name, "block": codec.block, "settings": codec.settings, "rounds": run(codec)}
            for codec in CODECS
        ],
    }


def render() -> str:
    """The file's text."""
    return json.dumps(build(), indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(render(), encoding="utf-8")
    print(f"{PATH.name}: {PATH.stat().st_size} bytes", file=sys.stderr)

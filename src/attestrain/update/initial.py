"""Initial parameters: integers times exact scales, the same on every machine.

The integers come from Philox 4x64-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011). Its key is
the first 16 bytes of tagged("attestrain.dev/initial@v1", seed, tensor name, tensor index) as a little-endian integer,
seed and index as big-endian u64; its counter goes 1, 2, 3, ... Each block gives four words, each word eight bytes,
lowest first. A byte b of 0..254 gives b - 127; 255 is passed over, so all 255 integers are equally likely.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from attestrain.record.digest import tagged
from attestrain.record.layout import TensorSpec
from attestrain.record.spec import RunSpec
from attestrain.update.arrays import Float32s, Int64s

TAG: Final = "attestrain.dev/initial@v1"
CENTRE: Final = 127
"""Integers lie in -127 .. 127."""
_PASSED_OVER: Final = 255


def initial_params(spec: RunSpec) -> Float32s:
    """Parameters of checkpoint 0 in layout order, exact in float32."""
    params = np.zeros(spec.layout.parameters, dtype=np.float32)
    for index, (tensor, at, end) in enumerate(spec.layout.offsets()):
        if tensor.init.kind == "ones":
            params[at:end] = 1.0
        elif tensor.init.kind == "uniform":
            scale = math.ldexp(float(tensor.init.mantissa), tensor.init.exponent)
            params[at:end] = _integers(spec.seed, tensor, index) * scale
    return params


def _integers(seed: int, tensor: TensorSpec, index: int) -> Int64s:
    name = tensor.name.encode("ascii")
    key = tagged(TAG, seed.to_bytes(8, "big"), name, index.to_bytes(8, "big"))[:16]
    source = np.random.Philox(key=int.from_bytes(key, "little"))
    accepted = np.zeros(0, dtype=np.uint8)
    while len(accepted) < tensor.size:
        words = (tensor.size - len(accepted)) // 8 + 8
        drawn = source.random_raw(words).astype("<u8").view(np.uint8)
        accepted = np.concatenate([accepted, drawn[drawn != _PASSED_OVER]])
    return accepted[: tensor.size].astype(np.int64) - CENTRE

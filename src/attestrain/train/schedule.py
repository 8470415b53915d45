"""Learning-rate tables: built once, when the spec is made, and carried in it as bits.

A table in the spec is what every worker and auditor uses; nobody evaluates a cosine again, so it does not matter that
theirs would differ in the last bit.
"""

from __future__ import annotations

import math
import struct

from attestrain.errors import UsageError


def cosine_rates(steps: int, *, peak: str, warmup: int, floor: str) -> str:
    """Linear warm-up, then half a cosine.

    Args:
        steps: steps of the whole run.
        peak: highest rate, as a decimal.
        warmup: steps until it is reached; the first step already has peak/warmup.
        floor: rate of the last step, as a fraction of the peak.

    Returns:
        Eight hexadecimal digits of float32 bits per step.

    Raises:
        UsageError: a negative or otherwise impossible value.
    """
    highest, lowest = float(peak), float(floor)
    if steps < 1 or not 0 <= warmup <= steps or not 0 < highest <= 10 or not 0 <= lowest <= 1:
        raise UsageError(
            f"no schedule of {steps} steps with warm-up {warmup}, peak {peak} and floor {floor}",
            hint="0 <= warm-up <= steps, 0 < peak <= 10, 0 <= floor <= 1",
        )
    return "".join(f"{float_bits(_rate(step, steps, highest, warmup, lowest)):08x}" for step in range(steps))


def float_bits(value: float) -> int:
    """Bits of ``value`` as float32."""
    return int(struct.unpack(">I", struct.pack(">f", value))[0])


def bits_float(bits: int) -> float:
    """The float32 with these bits."""
    return float(struct.unpack(">f", struct.pack(">I", bits))[0])


def _rate(step: int, steps: int, peak: float, warmup: int, floor: float) -> float:
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - 1 - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress)))

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from attestrain.errors import RunFailed
from attestrain.update.checkpoint import genesis
from attestrain.update.codec import decode
from attestrain.update.feedback import Kept, compress
from tests.algorithms import make_codec
from tests.vectors.make_update import header_of, make_spec, make_values


@pytest.mark.parametrize("codec", ["ternary", "two-bit"])
def test_feedback_is_the_decayed_rest(codec: str) -> None:
    spec, size = make_spec(codec), 76
    checkpoint = genesis(spec)
    base, ef = checkpoint.params, make_values(size, "ef", unit=-14)
    params = base + make_values(size, "trained")
    data, rest = compress(spec, header_of(spec, checkpoint, 0), base - params, Kept(ef))
    wanted = np.float32(0.95) * ef + (base - params)
    assert rest.ef is not None
    assert rest.ef.tobytes() == (wanted - decode(spec, data).values()).tobytes()


def test_feedback_of_one_keeps_everything() -> None:
    """Over rounds, what was decoded plus what is kept equals what was wanted (values on a grid: nothing rounds)."""
    spec = dataclasses.replace(make_spec(), codec=make_codec(block=16))
    checkpoint = genesis(spec)
    zero = np.zeros(76, dtype=np.float32)
    wanted, sent, ef = np.zeros(76), np.zeros(76), zero
    for number in range(5):
        moved = make_values(76, f"moved {number}", unit=-8)
        data, (ef, _) = compress(spec, header_of(spec, checkpoint, 0), moved, Kept(ef))
        wanted += moved
        sent += decode(spec, data).values()
        assert np.array_equal(sent + ef, wanted)


def test_dense_loses_nothing() -> None:
    spec = make_spec("dense")
    checkpoint = genesis(spec)
    params = checkpoint.params + make_values(76, "trained")
    data, rest = compress(spec, header_of(spec, checkpoint, 0), checkpoint.params - params, Kept(None))
    assert rest.ef is None
    assert np.array_equal(decode(spec, data).values(), checkpoint.params - params)


@pytest.mark.parametrize("value", [np.nan, np.inf, np.float32(3e38)])
@pytest.mark.parametrize("place", ["params", "ef"])
def test_diverged_training_fails(value: float, place: str) -> None:
    spec = make_spec()
    checkpoint = genesis(spec)
    arrays = {"params": checkpoint.params.copy(), "ef": np.zeros(76, dtype=np.float32)}
    arrays[place][7] = value
    with pytest.raises(RunFailed, match="diverged"):
        compress(spec, header_of(spec, checkpoint, 0), checkpoint.params - arrays["params"], Kept(arrays["ef"]))


def test_feedback_must_fit_the_codec() -> None:
    for codec, ef in (("dense", np.zeros(76, dtype=np.float32)), ("ternary", None)):
        spec = make_spec(codec)
        checkpoint = genesis(spec)
        with pytest.raises(ValueError, match="error feedback"):
            compress(spec, header_of(spec, checkpoint, 0), checkpoint.params, Kept(ef))

from __future__ import annotations

import numpy as np
import pytest

from attestrain.errors import UsageError
from attestrain.train.export import safetensors_bytes
from attestrain.update.initial import initial_params
from tests.training import make_spec

safetensors = pytest.importorskip("safetensors.numpy", reason="extra [train] is not installed")


def test_file_is_read_by_the_reference_library() -> None:
    spec = make_spec()
    params = initial_params(spec)
    tensors = safetensors.load(safetensors_bytes(spec.layout, params))
    assert set(tensors) == {tensor.name for tensor in spec.layout.tensors}
    for tensor, start, end in spec.layout.offsets():
        assert tensors[tensor.name].shape == tensor.shape
        assert (tensors[tensor.name].ravel() == params[start:end]).all()


def test_values_are_aligned_and_bytes_repeat() -> None:
    spec = make_spec()
    data = safetensors_bytes(spec.layout, initial_params(spec))
    assert int.from_bytes(data[:8], "little") % 8 == 0
    assert data == safetensors_bytes(spec.layout, initial_params(spec))


def test_wrong_number_of_values_is_refused() -> None:
    with pytest.raises(UsageError):
        safetensors_bytes(make_spec().layout, np.zeros(3, np.float32))

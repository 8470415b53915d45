from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from attestrain.errors import FormatError
from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.train.export import safetensors_bytes
from attestrain.verify.safetensors import read_safetensors

LAYOUT = Layout((TensorSpec("b", (2, 3), Init("zeros")), TensorSpec("a", (5,), Init("zeros"))))
VALUES = np.arange(11, dtype=np.float32)


def model(edit: Callable[[dict[str, dict[str, object]]], object] = lambda header: None, *, tail: bytes = b"") -> bytes:
    header: dict[str, dict[str, object]] = {
        "b": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "a": {"dtype": "F32", "shape": [5], "data_offsets": [24, 44]},
    }
    edit(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + VALUES.tobytes() + tail


def test_the_exporters_files_are_read_back() -> None:
    assert np.array_equal(read_safetensors(LAYOUT, safetensors_bytes(LAYOUT, VALUES)), VALUES)


def test_the_reference_library_reads_the_same_values() -> None:
    load = pytest.importorskip("safetensors.numpy").load
    read = load(model())
    assert np.array_equal(np.concatenate([read["b"].ravel(), read["a"]]), read_safetensors(LAYOUT, model()))


def test_tensors_may_lie_in_another_order_than_the_layouts() -> None:
    def turn(header: dict[str, dict[str, object]]) -> None:
        header["b"] = {"dtype": "F32", "shape": [2, 3], "data_offsets": [20, 44]}
        header["a"] = {"dtype": "F32", "shape": [5], "data_offsets": [0, 20]}
        header["b"] = header.pop("b")

    assert list(read_safetensors(LAYOUT, model(turn))) == [5, 6, 7, 8, 9, 10, 0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(8),
        (1 << 63).to_bytes(8, "little") + model()[8:],
        model(tail=b"\x00"),
        model(tail=bytes(4)),
        model()[:-4],
        model(lambda header: header.pop("a")),
        model(lambda header: header.update(c={})),
        model(lambda header: header.update(__metadata__={"note": "trust me"})),
        model(lambda header: header["a"].update(dtype="F16")),
        model(lambda header: header["a"].update(shape=[1, 5])),
        model(lambda header: header["a"].update(data_offsets=[0, 20])),
        model(lambda header: header["a"].update(note=1)),
        model(lambda header: header["a"].update(shape=[5.0])),
        model(lambda header: header["a"].update(shape=[True] * 5)),
        model().replace(b'{"b"', b' {"b', 1),
        model().replace(b'"F32"', b'"\\u0046', 1),
    ],
)
def test_any_other_spelling_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_safetensors(LAYOUT, data)

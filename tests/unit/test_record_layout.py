from __future__ import annotations

import pytest

from attestrain.errors import FormatError
from attestrain.record.layout import MAX_PARAMETERS, Init, Layout, TensorSpec

TENSOR = {"name": "w", "shape": [4, 3], "init": {"kind": "uniform", "mantissa": 129, "exponent": -10}}


def test_a_layout_reads_back_and_places_its_tensors():
    layout = Layout((TensorSpec("w", (4, 3), Init("uniform", 129, -10)), TensorSpec("b", (3,), Init("zeros"))))
    assert Layout.from_json(layout.to_json()) == layout
    assert layout.parameters == 15
    assert [(tensor.name, a, b) for tensor, a, b in layout.offsets()] == [("w", 0, 12), ("b", 12, 15)]


def test_a_scalar_has_one_value():
    assert TensorSpec.from_json(TENSOR | {"shape": []}).size == 1


@pytest.mark.parametrize(
    "change",
    [
        {"name": "x" * 257},
        {"name": "é"},
        {"name": "\x1b[0m"},
        {"name": 1},
        {"shape": [0]},
        {"shape": [-1]},
        {"shape": [True]},
        {"shape": [1.0]},
        {"shape": ["4"]},
        {"shape": [MAX_PARAMETERS + 1]},
        {"shape": [1] * 9},
        {"shape": None},
        {"init": {"kind": "normal", "mantissa": 0, "exponent": 0}},
        {"init": {"kind": "uniform", "mantissa": 256, "exponent": 0}},
        {"init": {"kind": "uniform", "mantissa": -1, "exponent": 0}},
        {"init": {"kind": "uniform", "mantissa": 1, "exponent": 61}},
        {"init": {"kind": "uniform", "mantissa": 1, "exponent": -61}},
        {"init": {"kind": "zeros", "mantissa": 1, "exponent": 0}},
        {"init": {"kind": "ones", "mantissa": 0, "exponent": 1}},
        {"init": {"kind": "zeros", "mantissa": 0}},
        {"init": None},
        {"more": 1},
    ],
    ids=str,
)
def test_a_malformed_tensor_is_refused(change: dict[str, object]):
    with pytest.raises(FormatError):
        TensorSpec.from_json(TENSOR | change)


def test_a_layout_is_not_empty_not_ambiguous_and_not_too_large():
    huge = [TENSOR | {"name": str(index), "shape": [MAX_PARAMETERS]} for index in range(2)]
    overflowing = [TENSOR | {"shape": [MAX_PARAMETERS] * 8}]
    for value in ([], [TENSOR, TENSOR], huge, overflowing):
        with pytest.raises(FormatError):
            Layout.from_json(value)

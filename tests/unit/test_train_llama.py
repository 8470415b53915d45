from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from attestrain.errors import UsageError
from attestrain.train.export import safetensors_bytes
from attestrain.train.flat import FlatModel
from attestrain.train.llama import LlamaConfig, LlamaTask, hf_config
from attestrain.train.rotary import rotary_tables
from attestrain.update.initial import initial_params
from tests.training import TINY, make_spec


def test_default_model_has_a_quarter_of_a_million_parameters() -> None:
    spec = make_spec(config={"vocab": 256, "context": 128})
    assert spec.layout.parameters == 234_048


def test_layers_begin_by_adding_nothing() -> None:
    spec = make_spec()
    flat = FlatModel(LlamaTask().build_model(TINY), spec.layout)
    flat.load(initial_params(spec))
    tokens = torch.arange(8)[None]
    decoder = flat.module.get_submodule("model")
    embedded = decoder.get_submodule("embed_tokens")(tokens)
    assert torch.equal(decoder(tokens), decoder.get_submodule("norm")(embedded))


@pytest.mark.parametrize(("context", "width", "theta"), [(1, 2, 1), (128, 16, 10_000), (300, 64, 500_000)])
def test_rotary_tables_are_the_rounded_truth(context: int, width: int, theta: int) -> None:
    cos, sin = rotary_tables(context, width, theta)
    assert cos.shape == sin.shape == (context, width // 2)
    for position in range(0, context, 7):
        for i in range(width // 2):
            angle = position * math.exp(math.log(theta) * -2 * i / width)
            assert cos[position, i] == pytest.approx(math.cos(angle), abs=6e-8)
            assert sin[position, i] == pytest.approx(math.sin(angle), abs=6e-8)


def test_rotary_tables_never_change() -> None:
    cos, sin = rotary_tables(128, 16, 10_000)
    assert [cos[127, 0].tobytes().hex(), sin[127, 3].tobytes().hex()] == ["8bef6d3e", "b86844bf"]


@pytest.mark.parametrize(
    "config",
    [
        {**TINY, "depth": 3},
        {**TINY, "norm_eps": 1e-5},
        {**TINY, "tied": 1},
        {**TINY, "heads": 3},
        {**TINY, "heads": 4, "kv_heads": 3},
        {**TINY, "width": 0},
    ],
)
def test_settings_that_make_no_model_are_refused(config: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        LlamaConfig.read(config)


def test_model_looks_only_backwards() -> None:
    model = LlamaTask().build_model(TINY)
    tokens = torch.arange(8)[None]
    changed = tokens.clone()
    changed[0, 5] = 31
    before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :5], after[:, :5])
    assert not torch.equal(before[:, 5:], after[:, 5:])


@pytest.mark.parametrize("extra", [{}, {"tied": True}, {"kv_heads": 2, "rope_theta": 500_000}])
def test_checkpoint_loads_in_transformers_with_the_same_logits(extra: dict[str, object], tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="extra [hf] is not installed")
    config: dict[str, object] = {**TINY, "width": 32, "layers": 2, "heads": 4, "context": 32, **extra}
    spec = make_spec(config=config)
    flat = FlatModel(LlamaTask().build_model(config), spec.layout)
    # Not the initial values: projections that start at zero would hide everything before them.
    values = np.random.default_rng(0).normal(0, 0.2, spec.layout.parameters).astype(np.float32)
    flat.load(values)
    (tmp_path / "model.safetensors").write_bytes(safetensors_bytes(spec.layout, values))
    (tmp_path / "config.json").write_text(json.dumps(hf_config(config)))
    theirs, report = transformers.LlamaForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 32, (2, 32)))
    with torch.no_grad():
        difference = (flat.module(tokens) - theirs(tokens).logits).abs().max()
    assert difference < 1e-5
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from attestrain.corpus.dataset import Batch
from attestrain.errors import RunFailed, UsageError
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.names import Round, Worker
from attestrain.record.trace import state_root
from attestrain.train.engine import Engine
from attestrain.train.evaluate import mean_loss
from attestrain.train.llama import LlamaTask
from attestrain.train.schedule import bits_float
from attestrain.train.state import State, cursor_of, genesis_state, state_refs, state_to_blobs
from attestrain.train.trace import run_round
from attestrain.update.checkpoint import advance, genesis
from attestrain.update.header import UpdateHeader
from attestrain.update.initial import initial_params
from tests.training import TINY, make_batch, make_inputs, make_spec

ROOT = Path(__file__).parents[2]
INNERS = ("adamw", "muon", "sgd")


def started(inner: str = "muon", codec: str = "ternary", **schedule: int) -> tuple[Engine, State]:
    spec = make_spec(inner, codec, **schedule)
    engine = Engine(spec, LlamaTask())
    return engine, engine.adopt(genesis_state(spec), initial_params(spec), Round(0))


def steps(engine: Engine, state: State, first: int, count: int) -> State:
    batches = [make_batch(engine.spec, step) for step in range(first, first + count)]
    rates = [engine.spec.inner.rate_bits(step) for step in range(first, first + count)]
    return engine.inner(state, batches, rates)[0]


def roots_of_a_round(inner: str, codec: str) -> list[str]:
    spec = make_spec(inner, codec)
    engine = Engine(spec, LlamaTask())
    work = run_round(engine, make_inputs(engine, initial_params(spec)), genesis_state(spec))
    return [root.hex() for root in work.trace.state_roots()] + [work.trace.update.root.hex()]


def test_another_process_gives_the_same_bits() -> None:
    code = """
import json, tests.unit.test_train_engine as t
print(json.dumps([t.roots_of_a_round(inner, "ternary") for inner in t.INNERS]))
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONHASHSEED": "1"}
    there = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(there.stdout) == [roots_of_a_round(inner, "ternary") for inner in INNERS]


@pytest.mark.parametrize("inner", INNERS)
def test_two_threads_give_the_same_bits(inner: str) -> None:
    engine, state = started(inner)
    alone = state_to_blobs(steps(engine, state, 0, 3))
    torch.set_num_threads(2)
    try:
        assert state_to_blobs(steps(engine, state, 0, 3)) == alone
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("inner", INNERS)
def test_segments_compose(inner: str) -> None:
    engine, state = started(inner)
    whole = steps(engine, state, 0, 5)
    parts = steps(engine, steps(engine, state, 0, 2), 2, 3)
    assert state_to_blobs(whole) == state_to_blobs(parts)
    assert cursor_of(whole) == 5


def test_each_operation_changes_only_its_components_and_not_its_arguments() -> None:
    engine, start = started()
    before = state_to_blobs(start)
    checkpoint = initial_params(engine.spec) * np.float32(2)
    adopted = engine.adopt(start, checkpoint, Round(1))
    trained = steps(engine, adopted, 0, 2)
    header = UpdateHeader(engine.spec.run_id, 0, 0, 0, ZERO_DIGEST)
    _, compressed = engine.compress(trained, checkpoint, header)
    for old, new, expected in [
        (start, adopted, {"params"}),
        (adopted, trained, {"params", "opt.momentum", "opt.m", "opt.v", "cursor"}),
        (trained, compressed, {"ef"}),
    ]:
        assert {name for name in old if old[name].tobytes() != new[name].tobytes()} == expected
        assert {name for name in old if old[name] is not new[name]} == expected
    assert state_to_blobs(start) == before


def test_nothing_survives_in_the_engine() -> None:
    engine, state = started()
    first = state_to_blobs(steps(engine, state, 0, 3))
    steps(engine, steps(engine, state, 7, 4), 2, 2)
    mean_loss(engine, initial_params(engine.spec) * np.float32(3), make_batch(engine.spec, 1).tokens)
    assert state_to_blobs(steps(engine, state, 0, 3)) == first


@pytest.mark.parametrize("component", ["params", "opt.momentum", "opt.m", "opt.v", "cursor"])
def test_every_component_decides_the_result(component: str) -> None:
    engine, state = started()
    state = steps(engine, state, 0, 2)
    doctored = state[component].copy()
    doctored[len(doctored) // 2 :] += 1
    honest, lied = steps(engine, state, 2, 1), steps(engine, {**state, component: doctored}, 2, 1)
    assert state_root(state_refs(honest)) != state_root(state_refs(lied))


def test_records_hold_what_the_model_saw() -> None:
    engine, state = started()
    batch = make_batch(engine.spec, 0)
    _, [record] = engine.inner(state, [batch], [engine.spec.inner.rate_bits(1)])
    assert record.batch == batch.digest
    assert record.rate == engine.spec.inner.rate_bits(1)
    assert bits_float(record.loss) == pytest.approx(
        mean_loss(engine, initial_params(engine.spec), batch.tokens), rel=1e-6
    )
    model = LlamaTask().build_model(TINY)
    start = 0
    with torch.no_grad():
        for parameter in model.parameters():
            values = initial_params(engine.spec)[start : start + parameter.numel()]
            parameter.copy_(torch.from_numpy(values).view(parameter.shape))
            start += parameter.numel()
    LlamaTask().loss(model, torch.from_numpy(batch.tokens)).backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    assert bits_float(record.grad_norm) == pytest.approx(float(norm), rel=1e-5)


def test_gradients_are_clipped_to_the_spec() -> None:
    results = {}
    for clip in ("1000", "0.001"):
        spec = make_spec("sgd", "dense", settings={"clip": clip, "weight_decay": "0"})
        engine = Engine(spec, LlamaTask())
        state = engine.adopt(genesis_state(spec), initial_params(spec), Round(0))
        after, [record] = engine.inner(state, [make_batch(spec, 0)], [0x3F800000])
        results[clip] = np.linalg.norm(after["params"] - state["params"]), bits_float(record.grad_norm)
    (moved, norm), (moved_clipped, norm_clipped) = results["1000"], results["0.001"]
    assert norm == norm_clipped == pytest.approx(moved, rel=1e-4)
    assert moved_clipped == pytest.approx(0.001, rel=1e-2)


def test_diverged_training_says_so() -> None:
    engine, state = started()
    broken = state["params"].copy()
    broken[:] = np.float32(3e38)
    with pytest.raises(RunFailed, match="step 1") as caught:
        steps(engine, {**state, "params": broken}, 0, 1)
    assert caught.value.hint


def test_random_layers_repeat_their_draws() -> None:
    class Dropped(LlamaTask):
        def build_model(self, config: Mapping[str, object]) -> torch.nn.Module:
            model = super().build_model(config)
            model.model.norm.register_forward_hook(lambda module, _, out: torch.dropout(out, 0.5, module.training))
            return model

    spec = make_spec()
    engine = Engine(spec, Dropped())
    state = engine.adopt(genesis_state(spec), initial_params(spec), Round(0))
    batch = make_batch(spec, 0)
    _, records = engine.inner(state, [batch, batch], [0, 0])
    torch.manual_seed(123)
    assert engine.inner(state, [batch, batch], [0, 0])[1] == records
    assert records[0].loss != records[1].loss  # rate 0: same weights, other draws
    assert mean_loss(engine, initial_params(spec), batch.tokens) == mean_loss(
        Engine(spec, LlamaTask()), initial_params(spec), batch.tokens
    )


@pytest.mark.parametrize("inner", INNERS)
def test_one_worker_one_step_dense_is_the_plain_optimizer(inner: str) -> None:
    spec = make_spec(inner, "dense", rounds=4, steps=1, segment_steps=1, workers=1)
    engine = Engine(spec, LlamaTask())
    checkpoint, state = genesis(spec), genesis_state(spec)
    plain = engine.adopt(genesis_state(spec), initial_params(spec), Round(0))
    for number in range(4):
        inputs = make_inputs(engine, checkpoint.params, number)
        inputs = dataclasses.replace(inputs, base=checkpoint.record.digest)
        work = run_round(engine, inputs, state)
        checkpoint, state = advance(spec, checkpoint, {Worker(0): work.update}).checkpoint, work.states[-1]
        plain, _ = engine.inner(plain, inputs.batches(range(1)), [spec.inner.rate_bits(number)])
    # base - (base - params) rounds twice, so equality is to the last bits and not bitwise.
    assert np.abs(checkpoint.params - plain["params"]).max() < 1e-6


def test_specs_that_do_not_fit_are_refused() -> None:
    spec = make_spec()
    with pytest.raises(UsageError, match="optimizer, codec and overlap"):
        Engine(dataclasses.replace(spec, state={"params": 4}), LlamaTask())
    with pytest.raises(UsageError, match="context"):
        Engine(dataclasses.replace(spec, schedule=dataclasses.replace(spec.schedule, sequence_tokens=9)), LlamaTask())
    engine, state = started()
    with pytest.raises(UsageError, match="checkpoint"):
        engine.adopt(state, np.zeros(3, np.float32), Round(0))


def test_mean_loss_weighs_sequences_equally() -> None:
    engine, _ = started(batch=5)
    tokens = make_batch(engine.spec, 3).tokens
    params = initial_params(engine.spec)
    single = [mean_loss(engine, params, tokens[i : i + 1]) for i in range(5)]
    assert mean_loss(engine, params, tokens, batch=2) == pytest.approx(sum(single) / 5, rel=1e-6)
    with pytest.raises(UsageError):
        mean_loss(engine, params, tokens[:0])


def test_training_lowers_the_loss() -> None:
    engine, state = started(rounds=1, steps=40)
    batch: Batch = make_batch(engine.spec, 0)
    rates = [engine.spec.inner.rate_bits(step) for step in range(40)]
    _, records = engine.inner(state, [batch] * 40, rates)
    assert bits_float(records[-1].loss) < 0.2 * bits_float(records[0].loss)

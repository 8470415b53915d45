"""A worker of a tiny run, for tests of replaying: honest rounds, and every way to lie in one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from attestrain.corpus.dataset import Batch
from attestrain.record.digest import sha256
from attestrain.record.names import Branch, Round, Worker
from attestrain.record.spec import Inner, RunSpec, Schedule, TaskSpec
from attestrain.record.trace import StepRecord
from attestrain.train.determinism import determinism
from attestrain.train.engine import Engine
from attestrain.train.layout import layout_of
from attestrain.train.schedule import cosine_rates
from attestrain.train.settings import inner_settings, state_sizes
from attestrain.train.state import State, counter, cursor_of, genesis_state
from attestrain.train.task import load_task
from attestrain.train.trace import RoundInputs, RoundWork, run_round
from attestrain.update.checkpoint import Checkpoint, advance, genesis
from attestrain.update.header import UpdateHeader
from tests.algorithms import MEAN, PLAIN, make_codec, make_outer

WORKER = Worker(1)
CONFIG = {"vocab": 64, "context": 16, "width": 16, "layers": 1, "heads": 2, "kv_heads": 2, "hidden": 32}


def tiny_spec(inner: str = "muon") -> RunSpec:
    determinism()
    task = load_task("attestrain.train.llama:LlamaTask")
    layout = layout_of(task, task.build_model(CONFIG))
    schedule = Schedule(rounds=3, steps=6, segment_steps=3, batch=2, accumulate=1, sequence_tokens=16, workers=2)
    rate = {"muon": "0.04", "adamw": "0.006", "sgd": "0.1"}[inner]
    rates = cosine_rates(schedule.total_steps, peak=rate, warmup=3, floor="0.1")
    spec = RunSpec(
        name="tiny",
        seed=1,
        code=sha256(b"code"),
        task=TaskSpec("attestrain.train.llama:LlamaTask", sha256(b"task"), dict(CONFIG)),
        layout=layout,
        state=state_sizes(layout, inner, make_codec(block=256), PLAIN),
        dataset=sha256(b"dataset"),
        schedule=schedule,
        inner=Inner(inner, inner_settings(inner, {}), rates),
        overlap=PLAIN,
        codec=make_codec(block=256),
        norm_clip="3",
        aggregate=MEAN,
        outer=make_outer("nesterov", "0.8", momentum="0.5"),
        beacon_mode="recorded",
        beacon=sha256(b"beacon"),
        audit_fraction="0.5",
        audit_votes=1,
    )
    return RunSpec.from_bytes(spec.to_bytes())


def batch(round_: int, step: int) -> Batch:
    """A learnable sequence: tokens that count up from a start that the place decides."""
    place = hashlib.sha256(f"{round_} {step}".encode()).digest()
    rows = [[(place[row] + 3 * at) % 64 for at in range(17)] for row in range(2)]
    return Batch(np.array(rows, np.int64), sha256(place))


@dataclass
class World:
    """One worker alone in a run; ``rounds`` are what it did honestly."""

    spec: RunSpec
    engine: Engine
    checkpoints: list[Checkpoint] = field(default_factory=list)
    rounds: list[RoundWork] = field(default_factory=list)

    def batches(self, round_: int):
        return lambda steps: [batch(round_, step) for step in steps]

    def inputs(self, round_: int) -> RoundInputs:
        checkpoint = self.checkpoints[round_]
        digest, rank = checkpoint.record.digest, checkpoint.record.rank_of(Round(round_))
        return RoundInputs(Branch(0), Round(round_), WORKER, digest, checkpoint.params, self.batches(round_), rank)

    def begin(self, round_: int) -> State:
        return self.rounds[round_ - 1].states[-1] if round_ else genesis_state(self.spec)

    def work(self, round_: int, engine: Engine | None = None, **other) -> RoundWork:
        return run_round(engine or self.engine, replace(self.inputs(round_), **other), self.begin(round_))


def honest_world(inner: str = "muon", rounds: int = 2, spec: RunSpec | None = None) -> World:
    spec = tiny_spec(inner) if spec is None else spec
    world = World(spec, Engine(spec, load_task(spec.task.name)), [genesis(spec)])
    for round_ in range(rounds):
        world.rounds.append(world.work(round_))
        outcome = advance(spec, world.checkpoints[-1], {WORKER: world.rounds[-1].update})
        assert not outcome.rejected
        world.checkpoints.append(outcome.checkpoint)
    return world


class SkipSteps(Engine):
    """Does every other step and reports them all."""

    def inner(self, state: State, batches: Sequence[Batch], rates: Sequence[int]) -> tuple[State, list[StepRecord]]:
        after, done = super().inner(state, batches[::2], rates[::2])
        claimed = [
            replace(done[step // 2], batch=batch.digest, rate=rate)
            for step, (batch, rate) in enumerate(zip(batches, rates, strict=True))
        ]
        return {**after, "cursor": counter(cursor_of(state) + len(batches))}, claimed


class WrongData(Engine):
    """Trains on the segment's first batch again and again."""

    def inner(self, state: State, batches: Sequence[Batch], rates: Sequence[int]) -> tuple[State, list[StepRecord]]:
        after, done = super().inner(state, [batches[0]] * len(batches), rates)
        return after, [replace(step, batch=batch.digest) for step, batch in zip(done, batches, strict=True)]


class DoctorOptimizer(Engine):
    """Forgets the optimizer's buffers while adopting."""

    def adopt(self, state: State, checkpoint: np.ndarray, round_: Round) -> State:
        after = super().adopt(state, checkpoint, round_)
        return {name: np.zeros_like(value) if name.startswith("opt.") else value for name, value in after.items()}


class DoctorFeedback(Engine):
    """Throws the error feedback away after the update was made."""

    def compress(
        self, state: State, base: np.ndarray, header: UpdateHeader, rank: int | None = None
    ) -> tuple[bytes, State]:
        data, after = super().compress(state, base, header, rank)
        return data, {**after, "ef": np.zeros_like(after["ef"])}


class Poison(Engine):
    """Trains honestly and publishes the opposite of what it learned."""

    def compress(
        self, state: State, base: np.ndarray, header: UpdateHeader, rank: int | None = None
    ) -> tuple[bytes, State]:
        turned = {**state, "params": 2 * base - state["params"]}
        data, after = super().compress(turned, base, header, rank)
        return data, {**after, "params": state["params"]}

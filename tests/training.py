"""Small runs for tests of training: specs, batches and text without any file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from attestrain.corpus.dataset import Batch
from attestrain.record.digest import ZERO_DIGEST, sha256
from attestrain.record.names import Branch, Round, Worker
from attestrain.record.spec import Inner, RunSpec, Schedule, TaskSpec
from attestrain.train.engine import Engine
from attestrain.train.layout import layout_of
from attestrain.train.llama import LlamaTask
from attestrain.train.schedule import cosine_rates
from attestrain.train.settings import PEAK_RATES, inner_settings, state_sizes
from attestrain.train.task import Task, check_config
from attestrain.train.trace import RoundInputs
from tests.algorithms import MEAN, PLAIN, make_codec, make_outer

TINY = {"vocab": 32, "context": 8, "width": 16, "layers": 1, "heads": 2, "kv_heads": 1, "hidden": 24}


def make_spec(
    inner: str = "muon",
    codec: str = "ternary",
    config: Mapping[str, object] = TINY,
    task: Task | None = None,
    settings: Mapping[str, str] | None = None,
    **schedule: int,
) -> RunSpec:
    task = task or LlamaTask()
    layout = layout_of(task, task.build_model(config))
    sizes = {"rounds": 3, "steps": 5, "segment_steps": 2, "batch": 2, "accumulate": 1, "workers": 2} | schedule
    times = Schedule(**sizes, sequence_tokens=int(config["context"]))
    rates = cosine_rates(times.total_steps, peak=PEAK_RATES[inner], warmup=min(2, times.total_steps), floor="0.1")
    return RunSpec(
        name="test",
        seed=7,
        code=ZERO_DIGEST,
        task=TaskSpec(task.name, ZERO_DIGEST, check_config(config)),
        layout=layout,
        state=state_sizes(layout, inner, make_codec(codec), PLAIN),
        dataset=ZERO_DIGEST,
        schedule=times,
        inner=Inner(inner, inner_settings(inner, settings or {}), rates),
        overlap=PLAIN,
        codec=make_codec(codec),
        norm_clip="0",
        aggregate=MEAN,
        outer=make_outer(rounds=times.rounds),
        beacon_mode="recorded",
        beacon=ZERO_DIGEST,
        audit_fraction="0.1",
        audit_votes=1,
    )


def make_batch(spec: RunSpec, key: int) -> Batch:
    """A batch whose tokens follow from ``key``, with structure that a model can learn."""
    vocab, context = int(spec.task.config["vocab"]), int(spec.task.config["context"])
    starts = np.random.default_rng(key).integers(0, vocab, (spec.schedule.batch, 1))
    tokens = (starts + 3 * np.arange(context + 1)) % vocab
    return Batch(tokens.astype(np.int64), sha256(tokens.tobytes()))


def make_inputs(engine: Engine, checkpoint: np.ndarray, number: int = 0, worker: int = 0) -> RoundInputs:
    def batches(steps: range) -> list[Batch]:
        return [make_batch(engine.spec, 1000 * number + 100 * worker + step) for step in steps]

    return RoundInputs(Branch(0), Round(number), Worker(worker), sha256(checkpoint.tobytes()), checkpoint, batches)

"""Inner steps of the engine, next to the same model in a plain torch loop, on one thread.

    python benchmarks/bench_engine.py [STEPS]      default: 20

The plain loop is what a tutorial writes: `torch.optim.AdamW(fused=True)`, `clip_grad_norm_`, no records, no state. The
engine does the same arithmetic and leaves step records and a state that can be named and replayed. Processor time, best
of three, so that other processes disturb little. "x plain" divides by the plain loop of the same run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from attestrain.corpus.dataset import Batch
from attestrain.record.digest import ZERO_DIGEST, sha256
from attestrain.record.names import Round
from attestrain.record.spec import Aggregate, Codec, Inner, Outer, Overlap, RunSpec, Schedule, TaskSpec
from attestrain.train.determinism import determinism
from attestrain.train.engine import Engine
from attestrain.train.layout import layout_of
from attestrain.train.llama import LlamaTask
from attestrain.train.schedule import cosine_rates
from attestrain.train.settings import inner_settings, state_sizes
from attestrain.train.state import genesis_state, state_refs
from attestrain.update.initial import initial_params

CONTEXT, BATCH, REPEATS = 128, 4, 3
CONFIG = {"vocab": 256, "context": CONTEXT}


def spec_for(optimizer: str, steps: int) -> RunSpec:
    """The demo's model under ``optimizer``."""
    task = LlamaTask()
    layout = layout_of(task, task.build_model(CONFIG))
    codec, overlap = Codec("ternary", 1024, "1", {}), Overlap(1, 1, 0, "0")
    return RunSpec(
        name="bench",
        seed=1,
        code=sha256(b"bench"),
        task=TaskSpec("llama", sha256(b"bench"), dict(CONFIG)),
        layout=layout,
        state=state_sizes(layout, optimizer, codec, overlap),
        dataset=ZERO_DIGEST,
        schedule=Schedule(1, steps, steps, BATCH, 1, CONTEXT, 1),
        inner=Inner(optimizer, inner_settings(optimizer, {}), cosine_rates(steps, peak="0.003", warmup=0, floor="1")),
        overlap=overlap,
        codec=codec,
        norm_clip="0",
        aggregate=Aggregate("mean", {}),
        outer=Outer("sgd", {"momentum": "0"}, "3f800000"),
        beacon_mode="recorded",
        beacon=ZERO_DIGEST,
        audit_fraction="0",
        audit_votes=1,
    )


def timed(call: Callable[[], object]) -> float:
    """Processor seconds of the fastest of `REPEATS` calls."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def engine_loop(spec: RunSpec, batches: list[Batch]) -> Callable[[], object]:
    """Steps through the engine, and the naming of the state they end in."""
    engine = Engine(spec, LlamaTask())
    state = engine.adopt(genesis_state(spec), initial_params(spec), Round(0))
    rates = [spec.inner.rate_bits(step) for step in range(len(batches))]
    return lambda: state_refs(engine.inner(state, batches, rates)[0])


def plain_loop(batches: list[Batch]) -> Callable[[], object]:
    """The tutorial's loop."""
    task = LlamaTask()
    model = task.build_model(CONFIG)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def run() -> None:
        for batch in batches:
            optimizer.zero_grad()
            task.loss(model, torch.from_numpy(batch.tokens)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()

    return run


def main() -> None:
    """Print the table."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    determinism()
    random = np.random.default_rng(0)
    tokens = random.integers(0, 256, (steps, BATCH, CONTEXT + 1), dtype=np.int64)
    batches = [Batch(item, ZERO_DIGEST) for item in tokens]
    spec = spec_for("adamw", steps)
    print(
        f"{spec.layout.parameters:,} parameters, batch {BATCH} x {CONTEXT}, {steps} steps, torch {torch.__version__}\n"
    )
    print(f"{'loop':<26}{'ms/step':>10}{'tokens/s':>10}{'x plain':>9}")
    plain = timed(plain_loop(batches))
    loops = {"plain torch, AdamW": plain}
    for optimizer in ("adamw", "muon"):
        loops[f"engine, {optimizer}"] = timed(engine_loop(spec_for(optimizer, steps), batches))
    for name, seconds in loops.items():
        rate = steps * BATCH * CONTEXT / seconds
        print(f"{name:<26}{1e3 * seconds / steps:>10.1f}{rate:>10,.0f}{seconds / plain:>9.2f}")


if __name__ == "__main__":
    main()

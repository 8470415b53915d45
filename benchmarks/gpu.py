"""A large model on one GPU: eight workers take turns on it, with the engine, codec and aggregation of a real run.

    python benchmarks/gpu.py [--device auto] [--rounds 2] [--steps 20] [--set section.key=value] [--out FILE]
    python benchmarks/gpu.py --tiny --device cpu      the same in seconds, to see that it works

124 million parameters (12 layers of width 768, 1024 tokens), K = 8 workers, the algorithm that RUN.toml begins with;
--set changes any setting. Prints a table in Markdown, with the device, versions and date that it is worth nothing
without, and ends with an error if a segment executed again, here or in a second process, gives other bits.

Needs 16 bytes of GPU memory a parameter, the activations, and on the host some 20 bytes a parameter, worker and state.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import torch

from attestrain.record.digest import ZERO_DIGEST, Digest
from attestrain.record.names import Branch, Worker
from attestrain.record.trace import state_root
from attestrain.rules.beacon import epoch_beacon, round_beacon
from attestrain.run.baseline import FLOAT32
from attestrain.run.config import load_config
from attestrain.run.folder import RunFolder
from attestrain.run.preparation import Prepared, prepare, reopen
from attestrain.train.batches import RoundBatches
from attestrain.train.device import NAMES, Device, choose_device
from attestrain.train.engine import Engine
from attestrain.train.gpu import this_gpu
from attestrain.train.state import State, genesis_state, state_refs
from attestrain.train.trace import RoundInputs, RoundWork, SegmentWork, run_round, run_segment
from attestrain.update.checkpoint import Checkpoint, advance, genesis

LARGE = """
[task.config]
vocab = 50304
width = 768
layers = 12
heads = 12
hidden = 2048
tied = true
[dataset]
sequence_tokens = 1024
[schedule]
rounds = {rounds}
steps = {steps}
segment_steps = {segment}
batch = 8
workers = 8
[inner]
warmup = 0
"""
TINY = """
[task.config]
width = 32
layers = 2
heads = 2
hidden = 88
tied = true
[dataset]
source = "slice"
sequence_tokens = 64
[schedule]
rounds = {rounds}
steps = {steps}
segment_steps = {segment}
batch = 2
workers = 8
[inner]
warmup = 0
"""


@dataclass
class Measured:
    """Seconds by what they went into, and bytes."""

    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    uploaded: list[int] = field(default_factory=list)

    def lap(self, what: str, since: float) -> float:
        """Count the time since then as ``what``; returns now."""
        now = time.perf_counter()
        self.seconds[what] += now - since
        return now


def inputs_for(prepared: Prepared, checkpoint: Checkpoint, worker: int) -> RoundInputs:
    """A worker's round from ``checkpoint``."""
    spec, round_ = prepared.spec, checkpoint.record.round
    beacon = round_beacon(epoch_beacon(spec), round_, ZERO_DIGEST)
    batches = RoundBatches(spec, prepared.dataset.split("train"), beacon, Worker(worker))
    return RoundInputs(Branch(0), round_, Worker(worker), checkpoint.record.digest, checkpoint.params, batches)


def work(engine: Engine, inputs: RoundInputs, state: State, measured: Measured, *, beside: bool) -> RoundWork:
    """A worker-round, its segments timed by kind; what is left is naming, as far as it did not run beside them."""
    begin = last = time.perf_counter()

    def lap(index: int, done: SegmentWork) -> None:
        nonlocal last
        last = measured.lap(done.segment.kind, last)

    done = run_round(engine, inputs, state, lap if beside else None, beside=beside)
    measured.seconds["round" if beside else "round at once"] += time.perf_counter() - begin
    return done


def play(engine: Engine, prepared: Prepared) -> tuple[Measured, Checkpoint]:
    """All rounds: workers in turn, then the aggregation. One worker-round is also done without a second thread."""
    spec, measured = prepared.spec, Measured()
    checkpoint, states = genesis(spec), [genesis_state(spec)] * spec.schedule.workers
    work(engine, inputs_for(prepared, checkpoint, 0), states[0], Measured(), beside=True)  # kernels are loaded
    for number in range(spec.schedule.rounds):
        updates = {}
        for worker in range(spec.schedule.workers):
            inputs = inputs_for(prepared, checkpoint, worker)
            done = work(engine, inputs, states[worker], measured, beside=True)
            if number == worker == 0:
                work(engine, inputs, states[worker], measured, beside=False)
                naming = time.perf_counter()
                for state in done.states:
                    state_refs(state)
                measured.lap("naming, every component", naming)
            states[worker], updates[Worker(worker)] = done.states[-1], done.update
            measured.uploaded.append(len(done.update))
        begin = time.perf_counter()
        result = advance(spec, checkpoint, updates)
        measured.lap("aggregate", begin)
        if result.rejected:
            raise SystemExit(f"updates were refused: {result.rejected}")
        checkpoint = result.checkpoint
    return measured, checkpoint


def first_segment(engine: Engine, prepared: Prepared) -> Digest:
    """Root of the state after the first inner segment of worker 0."""
    inputs = inputs_for(prepared, genesis(prepared.spec), 0)
    adopted = run_segment(engine, inputs, 0, genesis_state(prepared.spec))
    return state_root(state_refs(run_segment(engine, inputs, 1, adopted.state).state))


def elsewhere(folder: Path, device: Device) -> str:
    """The same from a process of its own."""
    command = [sys.executable, __file__, "--device", device.value, "--first-segment", str(folder)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def versions(device: Device) -> str:
    """What the figures depend on."""
    parts = [f"torch {torch.__version__}", f"Python {platform.python_version()}", platform.machine()]
    if device.is_cuda:
        gpu = this_gpu()
        parts = [gpu.name, f"driver {gpu.driver}", f"CUDA {gpu.cuda}", f"cuDNN {gpu.cudnn}", *parts]
        parts.append(f"{torch.cuda.max_memory_allocated() / 1e9:.1f} GB of GPU memory at most")
    return ", ".join([device.value, *parts])


def table(prepared: Prepared, device: Device, measured: Measured, digests: list[str]) -> str:
    """The page."""
    spec, seconds = prepared.spec, measured.seconds
    schedule, rounds = spec.schedule, spec.schedule.rounds * spec.schedule.workers
    tokens = rounds * schedule.round_tokens
    segments = seconds["adopt"] + seconds["inner"] + seconds["compress"]
    uploaded = sum(measured.uploaded) / len(measured.uploaded)
    allreduce = FLOAT32 * spec.layout.parameters * schedule.steps
    naming = seconds["naming, every component"] / seconds["round at once"]
    rows = [
        ("tokens/s in inner segments", f"{tokens / seconds['inner']:,.0f}"),
        ("tokens/s of the whole", f"{tokens / (seconds['round'] + seconds['aggregate']):,.0f}"),
        ("adopt, seconds a worker-round", f"{seconds['adopt'] / rounds:.3f}"),
        ("inner, seconds a worker-round", f"{seconds['inner'] / rounds:.3f}"),
        ("compress, seconds a worker-round", f"{seconds['compress'] / rounds:.3f}"),
        ("naming states, as a share of a worker-round without a second thread, at most", f"{naming:.1%}"),
        ("naming states, what is left beside training, share", f"{1 - segments / seconds['round']:.1%}"),
        ("worker-round without / with a second thread for naming, seconds",
         f"{seconds['round at once']:.3f} / {seconds['round'] / rounds:.3f}"),
        ("decode and aggregate, seconds a round", f"{seconds['aggregate'] / schedule.rounds:.3f}"),
        ("bytes uploaded a worker-round, and how many times fewer than under fp32 AllReduce",
         f"{uploaded:,.0f}, {allreduce / uploaded:,.1f}"),
        ("the first segment, twice here and in a second process", "equal" if len(set(digests)) == 1 else "DIFFERENT"),
    ]  # fmt: skip
    shape = (
        f"{spec.layout.parameters:,} parameters, {schedule.workers} workers in turn, "
        f"{schedule.rounds} rounds of {schedule.steps} steps of {schedule.batch} x {schedule.sequence_tokens} tokens, "
        f"{spec.inner.name}, {spec.codec.name}"
    )
    head = f"{shape}. {versions(device)}. {datetime.now(UTC):%Y-%m-%d}.\n\n| what | |\n|---|---|\n"
    return head + "".join(f"| {what} | {value} |\n" for what, value in rows)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="a small model, to see that it works")
    parser.add_argument("--device", default="auto", choices=NAMES)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--out", type=Path, help="also write the table here")
    parser.add_argument("--first-segment", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    given = arguments()
    device = choose_device(given.device)
    if given.first_segment is not None:
        prepared = reopen(RunFolder(given.first_segment))
        print(first_segment(Engine(prepared.spec, prepared.task, device), prepared).hex())
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = (TINY if given.tiny else LARGE).format(
            rounds=given.rounds, steps=given.steps, segment=max(1, given.steps // 2)
        )
        (folder / "RUN.toml").write_text(text)
        prepared = prepare(load_config(folder / "RUN.toml", given.overrides), RunFolder(folder))
        engine = Engine(prepared.spec, prepared.task, device)
        measured, _ = play(engine, prepared)
        digests = [first_segment(engine, prepared).hex() for _ in range(2)]
        page = table(prepared, device, measured, [*digests, elsewhere(folder, device)])
    print(page)
    if given.out is not None:
        given.out.write_text(page, encoding="utf-8")
    if "DIFFERENT" in page:
        raise SystemExit("the same segment gave other bits: this machine cannot be replayed exactly")


if __name__ == "__main__":
    main()

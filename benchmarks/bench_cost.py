"""What everything besides training costs a worker: compress, name states, receipt, derive the next checkpoint.

    python benchmarks/bench_cost.py [WIDTH LAYERS BATCH]      default: 384 13 16, a model of 10.5M parameters

One worker-round of ten steps through the parts that a run uses, for each algorithm at its own settings but for the
rounds' length. The next checkpoint follows from the updates of eight workers, this one's among them. Processor seconds
on one thread. "share" divides the sum of all parts by the training of the same row.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.digest import ZERO_DIGEST, Digest
from attestrain.record.keys import SigningKey
from attestrain.record.names import Branch, KeyEpoch, Round, Size, Tokens, Worker
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Receipt, sign
from attestrain.record.trace import Segment, Trace, state_root
from attestrain.rules.beacon import epoch_beacon, round_beacon
from attestrain.run.config import make_config
from attestrain.run.folder import RunFolder
from attestrain.run.preparation import Prepared, prepare
from attestrain.train.batches import RoundBatches
from attestrain.train.engine import Engine
from attestrain.train.naming import Names
from attestrain.train.state import State, genesis_state
from attestrain.update.checkpoint import advance, genesis
from attestrain.update.header import UpdateHeader

ALGORITHMS = ("sparse-muon", "ternary-shares", "ternary-muon", "sign-muon", "sparseloco", "diloco-int8", "dilocox")
DEFAULT = (384, 13, 16)
"""Width, layers, batch."""
WORKERS, STEPS = 8, 10
TRUNK, FIRST = Branch(0), Round(0)
PARTS = ("compress", "name states", "receipt", "next checkpoint")
T = TypeVar("T")


class Clock:
    """Processor seconds by part."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    def __call__(self, part: str, call: Callable[[], T]) -> T:
        """What ``call`` returns; its time is added to ``part``."""
        begin = time.process_time()
        value = call()
        self.spent[part] = self.spent.get(part, 0.0) + time.process_time() - begin
        return value


def prepared_for(algorithm: str, scratch: Path, width: int, layers: int, batch: int) -> Prepared:
    """A run by ``algorithm`` on the packaged text."""
    return prepare(
        make_config(
            {
                "algorithm": {"preset": algorithm},
                "task": {"config": {"width": width, "layers": layers, "heads": width // 64}},
                "dataset": {"source": "slice", "sequence_tokens": 128},
                "schedule": {"rounds": 2, "steps": STEPS, "segment_steps": STEPS, "batch": batch, "workers": WORKERS},
                "inner": {"warmup": 0},
            },
            algorithm,
        ),
        RunFolder(scratch),
    )


def worker_round(prepared: Prepared, clock: Clock) -> None:
    """One round of one worker, each part on the clock."""
    spec = prepared.spec
    engine, base = Engine(spec, prepared.task), genesis(spec)
    beacon = round_beacon(epoch_beacon(spec), FIRST, ZERO_DIGEST)
    batches = RoundBatches(spec, prepared.dataset.split("train"), beacon, Worker(0))(range(STEPS))
    rates = [spec.inner.rate_bits(step) for step in range(STEPS)]
    headers = [UpdateHeader(spec.run_id, TRUNK, FIRST, Worker(slot), base.record.digest) for slot in range(WORKERS)]

    fresh = genesis_state(spec)
    adopted = engine.adopt(fresh, base.params, FIRST)
    trained, records = clock("training", lambda: engine.inner(adopted, batches, rates))
    update, last = clock("compress", lambda: engine.compress(trained, base.params, headers[0]))
    names = clock("name states", lambda: named([fresh, adopted, trained, last]))
    segments = (Segment("adopt"), Segment("inner", tuple(records)), Segment("compress"))
    trace = Trace(spec.run_id, TRUNK, FIRST, Worker(0), tuple(names), segments, blob_ref(update))
    clock("receipt", lambda: signed_receipt(spec, trace, base.record.digest))

    updates = {Worker(0): update}
    for header in headers[1:]:
        updates[header.worker], _ = engine.compress(trained, base.params, header)
    step = clock("next checkpoint", lambda: advance(spec, base, updates))
    if len(step.members) != WORKERS:
        raise AssertionError(f"{len(step.members)} of {WORKERS} updates counted: {step.rejected}")


def named(states: list[State]) -> list[dict[str, BlobRef]]:
    """Content addresses of the states of a round; what two neighbours share is hashed once."""
    with Names(beside=False) as names:
        for state in states:
            names.add(state)
        return names.all()


def signed_receipt(spec: RunSpec, trace: Trace, base: Digest) -> bytes:
    """The statement that a worker commits with, over the trace's own document."""
    receipt = Receipt(
        run=spec.run_id,
        branch=trace.branch,
        round=trace.round,
        worker=trace.worker,
        key_epoch=KeyEpoch(0),
        base=base,
        first_state=state_root(trace.states[0]),
        last_state=state_root(trace.states[-1]),
        trace_root=trace.root,
        update_root=trace.update.root,
        update_size=Size(trace.update.size),
        environment=ZERO_DIGEST,
        tokens=Tokens(spec.schedule.round_tokens),
    )
    blob_ref(trace.to_bytes())
    return sign(receipt, SigningKey.generate()).to_bytes()


def main() -> None:
    """Print the table."""
    width, layers, batch = (int(value) for value in (*sys.argv[1:], *DEFAULT[len(sys.argv) - 1 :]))
    head = f"{'algorithm':<18}{'training s':>11}" + "".join(f"{part + ' ms':>20}" for part in PARTS)
    for number, algorithm in enumerate(ALGORITHMS):
        clock = Clock()
        with tempfile.TemporaryDirectory(prefix="attestrain-bench-") as scratch:
            prepared = prepared_for(algorithm, Path(scratch), width, layers, batch)
            worker_round(prepared, clock)
        if number == 0:
            tokens = prepared.spec.schedule.round_tokens
            print(
                f"{prepared.spec.layout.parameters:,} parameters, {STEPS} steps, {tokens:,} tokens, {WORKERS} workers\n"
            )
            print(f"{head}{'share':>9}")
        training = clock.spent["training"]
        rest = [clock.spent[part] for part in PARTS]
        cells = "".join(f"{1e3 * seconds:>13.0f} {seconds / training:>6.2%}" for seconds in rest)
        print(f"{algorithm:<18}{training:>11.1f}{cells}{sum(rest) / training:>9.2%}", flush=True)


if __name__ == "__main__":
    main()

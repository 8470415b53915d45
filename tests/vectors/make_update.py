"""Make vectors/update.json: `python tests/vectors/make_update.py` from the root of the repository.

Nothing in it comes from a library's random numbers: values are integers of SHA-256 times powers of two, so another
implementation can start from the inputs as printed.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from attestrain.record.digest import Digest, sha256
from attestrain.record.layout import Init, Layout, TensorSpec
from attestrain.record.names import Branch, Round, RunId, Worker
from attestrain.record.plan import Adaptive
from attestrain.record.spec import AGGREGATES, OUTERS, Inner, Merge, RunSpec, Schedule, TaskSpec
from attestrain.update.arrays import Float32s
from attestrain.update.checkpoint import Checkpoint, advance, genesis, stored_bytes
from attestrain.update.codec import decode, encode, memory_size
from attestrain.update.feedback import Kept, compress
from attestrain.update.header import HEADER_SIZE, UpdateHeader
from tests.algorithms import MEAN, PLAIN, make_aggregate, make_codec, make_outer

PATH = Path(__file__).parents[2] / "vectors" / "update.json"
CODECS = ("dense", "ternary", "two-bit")
ROUNDS = 3
WORKERS = 3

HEADER = UpdateHeader(RunId(sha256(b"run")), Branch(0), Round(1), Worker(2), Digest(bytes(range(32))))
"""Opens the single updates: a fixed run, so that they outlive changes of the run spec."""

SMALL = (
    TensorSpec("embed.weight", (5, 7), Init("uniform", 81, -12)),
    TensorSpec("norm.weight", (3,), Init("ones")),
    TensorSpec("head.weight", (4, 9), Init("uniform", 255, -13)),
    TensorSpec("head.bias", (2,), Init("zeros")),
)


def make_spec(
    codec: str = "ternary", *, block: int = 16, tensors: tuple[TensorSpec, ...] = SMALL, **changes: Any
) -> RunSpec:
    """A run spec over a small layout; ``changes`` replaces whole fields."""
    parameters = Layout(tensors).parameters
    values = {
        "name": "vectors",
        "seed": 2026,
        "code": sha256(b"code"),
        "task": TaskSpec("vectors", sha256(b"task"), {}),
        "layout": Layout(tensors),
        "state": {"params": 4 * parameters} | ({} if codec == "dense" else {"ef": 4 * parameters}),
        "dataset": sha256(b"dataset"),
        "schedule": Schedule(
            rounds=ROUNDS, steps=1, segment_steps=1, batch=1, accumulate=1, workers=WORKERS, sequence_tokens=8
        ),
        "inner": Inner("sgd", {}, "3a83126f" * ROUNDS),
        "overlap": PLAIN,
        "codec": make_codec(codec, block, "0.95"),
        "norm_clip": "1.5",
        "aggregate": MEAN,
        "outer": make_outer("nesterov", "0.8", rounds=ROUNDS, momentum="0.5"),
        "beacon_mode": "recorded",
        "beacon": sha256(b"beacon"),
        "audit_fraction": "0.25",
        "audit_votes": 1,
    }
    return RunSpec(**(values | changes))


def make_values(size: int, label: str, *, unit: int = -12) -> Float32s:
    """``size`` values: sums of four signed bytes of SHA-256(label, counter), bell-shaped, times 2^unit."""
    stream = b"".join(hashlib.sha256(f"{label} {i}".encode()).digest() for i in range(-(-size * 4 // 32)))
    integers = np.frombuffer(stream, dtype=np.int8)[: 4 * size].reshape(size, 4).sum(axis=1, dtype=np.int64)
    return (integers * math.ldexp(1.0, unit)).astype(np.float32)


def header_of(spec: RunSpec, checkpoint: Checkpoint, worker: int) -> UpdateHeader:
    """Header of the update of ``worker`` on ``checkpoint``."""
    record = checkpoint.record
    return UpdateHeader(spec.run_id, record.branch, record.round, Worker(worker), record.digest)


def _codec_case(codec: str, block: int, label: str) -> dict[str, Any]:
    spec = make_spec(codec, block=block)
    values = make_values(spec.layout.parameters, label)
    if label == "with-zeros":
        values[:20] = 0
    data = encode(spec, HEADER, values)
    decoded = decode(spec, data)
    norm = decoded.norm_squared()
    return {
        "codec": codec,
        "block": block,
        "label": label,
        "values": stored_bytes(values).hex(),
        "update": data.hex(),
        "decoded": stored_bytes(decoded.values()).hex(),
        "norm_squared": f"{norm.numerator}/{norm.denominator}",
    }


def run_rounds(spec: RunSpec, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """Checkpoints of a run whose workers' training is ``make_values``; the last worker's steps are four times as long.

    In round 1, worker 1 sends bytes that are not an update.
    """
    checkpoint, lossless = genesis(spec), spec.codec.name == "dense"
    memory = np.zeros(memory_size(spec.codec, spec.layout), dtype=np.float32)
    feedback = [Kept(None if lossless else np.zeros_like(checkpoint.params), memory) for _ in range(WORKERS)]
    steps = [_describe(checkpoint)]
    for number in range(rounds):
        updates = {}
        for worker in range(WORKERS):
            moved = make_values(
                spec.layout.parameters, f"{number}/{worker}", unit=-10 if worker == WORKERS - 1 else -12
            )
            header, trained = header_of(spec, checkpoint, worker), checkpoint.params + moved
            rank = checkpoint.record.rank_of(header.round)
            data, feedback[worker] = compress(spec, header, checkpoint.params - trained, feedback[worker], rank)
            updates[Worker(worker)] = b"noise" if (number, worker) == (1, 1) else data
        step = advance(spec, checkpoint, updates)
        checkpoint = step.checkpoint
        screened = {str(worker): [one.factor.hex(), one.reason] for worker, one in step.screened.items()}
        digests = {str(worker): sha256(data).hex() for worker, data in updates.items()}
        rejected = {str(worker): reason for worker, reason in step.rejected.items()}
        merged = {} if step.merged is None else {"merged": step.merged.hex()}
        steps.append(_describe(checkpoint) | merged | {"updates": digests, "screened": screened, "rejected": rejected})
    return steps


def _describe(checkpoint: Checkpoint) -> dict[str, Any]:
    return {"document": checkpoint.record.to_bytes().decode(), "digest": checkpoint.record.digest.hex()}


def _refused() -> list[dict[str, str]]:
    """Changes to the ternary update of label "plain" that every decoder must refuse."""
    spec = make_spec("ternary")
    data = encode(spec, HEADER, make_values(spec.layout.parameters, "plain"))
    changes = {
        "truncated": data[:-1],
        "extended": data + b"\0",
        "other format": b"attestrain.dev/update@v2\n" + data[25:],
        "unknown codec": data[:25] + b"\x09" + data[26:],
        "other codec": data[:25] + b"\x02" + data[26:],
        "more parameters": data[: HEADER_SIZE - 8] + (77).to_bytes(8, "little") + data[HEADER_SIZE:],
        "mantissa 63": data[:HEADER_SIZE] + b"\x3f" + data[HEADER_SIZE + 1 :],
        "mantissa 128": data[:HEADER_SIZE] + b"\x80" + data[HEADER_SIZE + 1 :],
        "exponent 101": data[: HEADER_SIZE + 1] + b"\x65" + data[HEADER_SIZE + 2 :],
        "scale without values": data[:HEADER_SIZE] + b"\0\0" + data[HEADER_SIZE + 2 :],
        "padding": data[:-1] + bytes([data[-1] | 1]),
    }
    return [{"name": name, "update": changed.hex()} for name, changed in changes.items()]


def rule_specs(**changes: Any) -> list[RunSpec]:
    """A run with each aggregation rule but the mean, with settings that show among three workers."""
    settings = {"trimmed": {"trim": "0.34"}, "multi-krum": {"faulty": "0"}}
    rules = [make_aggregate(name, **settings.get(name, {})) for name in AGGREGATES if name != "mean"]
    return [make_spec("dense", aggregate=rule, **changes) for rule in rules]


def outer_specs(**changes: Any) -> list[RunSpec]:
    """A run with each outer optimizer but Nesterov's."""
    settings = {"sgd": {"momentum": "0.9"}, "sign": {"weight_decay": "0.1"}}
    outers = [
        make_outer(name, "0.25", rounds=ROUNDS, **settings.get(name, {})) for name in OUTERS if name != "nesterov"
    ]
    return [make_spec("dense", outer=outer, **changes) for outer in outers]


def adaptive_spec(**changes: Any) -> RunSpec:
    """A run whose updates begin with rank 3, which has fallen to 1 after three rounds."""
    codec = make_codec("lowrank", 16, "0.95", rank="3")
    return replace(make_spec("lowrank", **changes), codec=codec, adaptive=Adaptive("0.6", 1, 1))


def build() -> dict[str, Any]:
    """The vectors."""
    cases = [_codec_case(codec, 16, label) for codec in CODECS for label in ("plain", "with-zeros")]
    merging = make_spec("ternary", merge=Merge("int4", 16, {}))
    specs = [*(make_spec(codec) for codec in CODECS), *rule_specs(), *outer_specs(), merging, adaptive_spec()]
    runs = [{"spec": spec.to_bytes().decode(), "checkpoints": run_rounds(spec)} for spec in specs]
    return {
        "format": "attestrain.dev/vectors@v1",
        "what": "updates and checkpoints (spec/update.md, spec/checkpoint.md)",
        "layout": make_spec().layout.to_json(),
        "header": {"run": HEADER.run.hex(), "branch": 0, "round": 1, "worker": 2, "base": HEADER.base.hex()},
        "updates": cases,
        "refused": _refused(),
        "runs": runs,
    }


def render() -> str:
    """The file's text."""
    return json.dumps(build(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(render(), encoding="utf-8")
    print(f"{PATH.name}: {PATH.stat().st_size} bytes", file=sys.stderr)

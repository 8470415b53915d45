"""Make vectors/trace.json: `python -m tests.vectors.make_trace` from the root of the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.digest import sha256
from attestrain.record.names import Branch, Round, RunId, Worker
from attestrain.record.trace import Segment, StepRecord, Trace, segment_leaf

TARGET = Path(__file__).parents[2] / "vectors/trace.json"
COMPONENTS = ("params", "opt.m", "ef", "cursor")


def component(name: str, state: int) -> BlobRef:
    """A component's address in one state."""
    return blob_ref(f"{name} in state {state}".encode())


def step(index: int) -> StepRecord:
    """A step: its loss is 4.0 less an eighth per step, its gradient norm 1.0, its rate 0.001."""
    loss = (0x40800000, 0x407E0000, 0x407C0000)[index]
    return StepRecord(sha256(f"batch {index}".encode()), loss, 0x3F800000, 0x3A83126F)


def make_trace() -> Trace:
    """A trace of three steps in two segments, of which each kind moves what it may move."""
    moves = [{"params"}, {"params", "opt.m", "cursor"}, {"params", "opt.m", "cursor"}, {"ef"}]
    states = [{name: component(name, 0) for name in COMPONENTS}]
    for index, moved in enumerate(moves, start=1):
        states.append({name: component(name, index) if name in moved else ref for name, ref in states[-1].items()})
    segments = (
        Segment("adopt"),
        Segment("inner", (step(0), step(1))),
        Segment("inner", (step(2),)),
        Segment("compress"),
    )
    where = (RunId(sha256(b"run")), Branch(0), Round(1), Worker(2))
    return Trace(*where, tuple(states), segments, blob_ref(b"the update"))


def make() -> dict[str, Any]:
    """Everything in the file."""
    trace = make_trace()
    roots = trace.state_roots()
    segments = [
        {
            "steps_root": segment.steps_root.hex(),
            "leaf": segment_leaf(index, segment, roots[index], roots[index + 1]).hex(),
            "result": trace.result(index).hex(),
        }
        for index, segment in enumerate(trace.segments)
    ]
    return {
        "document": trace.to_bytes().decode(),
        "state_roots": [root.hex() for root in roots],
        "segments": segments,
        "root": trace.root.hex(),
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1) + "\n")

"""The demonstrations: what `attestrain demo` trains, in full and quickly."""

from __future__ import annotations

from typing import Any

from attestrain.run.config import RunConfig, make_config


def demo_config(*, quick: bool) -> RunConfig:
    """The demonstration: four honest workers, one that skips half its steps, three auditors, the built-in corpus."""
    if quick:
        return make_config(_QUICK, "quick demo")
    return make_config(_DEMO, "demo")


_CHEAT = {"worker": 4, "kind": "skip-steps", "from_round": 3}
_DEMO: dict[str, Any] = {
    "run": {"name": "demo", "seed": 1},
    # Ahead of the default in a run as short as this, with a third fewer bytes (docs/benchmarks.md).
    "algorithm": {"preset": "ternary-shares"},
    "schedule": {"rounds": 30, "batch": 12, "workers": 5},
    "audit": {"auditors": 3},
    "trust": {"preset": "full"},
    "cheat": [_CHEAT],
    "local": {"device": "cpu", "solo": True},
}
_QUICK: dict[str, Any] = {
    "run": {"name": "quick", "seed": 1},
    # Sparser updates and shares need more rounds than these to catch up with one worker alone.
    "algorithm": {"preset": "ternary-muon"},
    "task": {"config": {"width": 32, "layers": 2, "heads": 2, "hidden": 88}},
    "dataset": {"source": "slice", "sequence_tokens": 64},
    "schedule": {"rounds": 8, "steps": 10, "segment_steps": 5, "batch": 4, "workers": 5},
    "inner": {"warmup": 10},
    "audit": {"fraction": 0.5, "auditors": 3},
    "trust": {"preset": "full"},
    "cheat": [_CHEAT],
    "local": {"device": "cpu", "solo": True, "keep_states_every": 4, "validation_sequences": 64},
}

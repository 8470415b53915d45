"""Every way to train runs through the normal path: committed, replayed in full, aggregated, verified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attestrain.errors import ExitCode
from tests.faults.chaos import Running, judged, slots, tiny_config

WAYS: dict[str, dict[str, Any]] = {
    "fragments-blended-int4": {
        "overlap": {"fragments": 2, "blend": 0.5},
        "codec": {"name": "int4", "block": 64},
    },
    "delayed": {"overlap": {"delay": 1}},
    "delayed-blended": {"overlap": {"delay": 1, "blend": 0.5}, "outer": {"rate": 0.4}},
    "delayed-fragments": {
        "overlap": {"delay": 1, "fragments": 2, "blend": 0.5},
        "codec": {"name": "int4", "block": 64},
    },
    "blended-sign": {"overlap": {"blend": 0.25}, "codec": {"name": "sign", "block": 64}},
    "shares": {"overlap": {"shares": 3}, "codec": {"name": "ternary", "block": 64}, "outer": {"rate": 0.7}},
    "int8-adamw": {"inner": {"name": "adamw", "rate": 0.006}, "codec": {"name": "int8", "block": 64}},
    "lowrank": {"inner": {"name": "adamw", "rate": 0.006}, "codec": {"name": "lowrank", "settings": {"rank": 4}}},
    "topk-contributors": {
        "codec": {"name": "topk", "block": 64, "feedback": 0.95, "settings": {"keep": 8}},
        "aggregate": {"name": "contributors"},
        "outer": {"name": "sgd", "rate": 1, "settings": {"momentum": 0}},
    },
    "allreduce": {
        "inner": {"name": "gradient"},
        "codec": {"name": "dense"},
        "outer": {"name": "adamw", "rate": 0.006, "final": 0.1},
    },
    "cosines-of-gradients": {
        "inner": {"name": "gradient"},
        "codec": {"name": "dct", "feedback": 0.99, "settings": {"side": 8, "keep": 8}},
        "outer": {"name": "sign", "rate": 0.001},
    },
    "merged": {"merge": {"name": "int4", "block": 64}},
    "merged-late-in-parts": {
        "overlap": {"delay": 1, "fragments": 2, "blend": 0.5},
        "codec": {"name": "int4", "block": 64},
        "merge": {"name": "int8", "block": 64},
    },
    "trimmed": {"aggregate": {"name": "trimmed", "settings": {"trim": 0.34}}},
    "krum": {"aggregate": {"name": "multi-krum"}},
    "centered": {"aggregate": {"name": "centered"}},
    "accumulated-sgd": {"inner": {"name": "sgd", "rate": 0.1}, "schedule": {"accumulate": 2}},
    "summed-gradients": {"inner": {"name": "gradient"}, "outer": {"name": "sgd", "rate": 0.1}},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_segment_replays_and_the_bundle_verifies(way: str, tmp_path: Path) -> None:
    config = tiny_config(audit={"fraction": 1, "auditors": 2}, **WAYS[way])
    with Running(tmp_path / "run", config) as run:
        assert run.wait() == 0, (tmp_path / "run" / "conductor.log").read_text()
    verdict = judged(tmp_path / "run")
    assert verdict.exit_code == ExitCode.DONE, verdict
    assert {"aggregated", "continuous", "replayed"} <= {item.name for item in verdict.achieved}
    assert len(slots(tmp_path / "run")) == config.schedule.workers * config.schedule.rounds
    expected = config.schedule.rounds * (2 + config.schedule.steps // config.schedule.segment_steps)
    for worker in verdict.workers:
        assert worker.replayed == expected
        assert sum(round_.exact for round_ in worker.rounds) == expected

"""Writes vectors/verify.json: a tiny bundle's manifest, its policy, its verdict, and what gives each lie about it away.

The bundle is the one round of one worker that tests/attacks/world.py plays; lies about a chain are told of the run
that tests/attacks/anchored_world.py plays. Run as a script:
python -m tests.vectors.make_verify
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attestrain.cli.lies import LIES, tell
from attestrain.record.bundle import MANIFEST
from attestrain.verify.verifier import verify
from tests.attacks.anchored_world import anchored_world
from tests.attacks.world import World, honest_world, tiny_spec

TARGET = Path(__file__).parents[2] / "vectors" / "verify.json"


def make() -> dict[str, Any]:
    """The vectors."""
    smallest = World(tiny_spec(rounds=1, workers=1)).play()
    files, policy = honest_world()
    anchored = anchored_world()
    told = {
        name: verify(tell(anchored[0], name), anchored[1]) if LIES[name].chain else verify(tell(files, name), policy)
        for name in sorted(LIES)
    }
    return {
        "manifest": smallest.files[MANIFEST].decode(),
        "policy": smallest.policy.to_toml(),
        "verdict": verify(smallest.files, smallest.policy).to_json(),
        "unpinned": str(verify(smallest.files).outcome),
        "lies": {
            name: {"verdict": str(verdict.outcome), "failed_claims": list(verdict.failed_claims)}
            for name, verdict in told.items()
        },
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1, sort_keys=True) + "\n")

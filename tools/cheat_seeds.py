"""Twenty seeds of a small run with a cheat aboard: caught every time, honest workers never.

    python tools/cheat_seeds.py [--seeds N] [--folder DIR]

One table row a seed: where the cheat was caught, findings of fault against honest workers, the verdict of `verify`
under the run's own policy. Exit 1 if any seed disappoints.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from attestrain.errors import ExitCode
from attestrain.rules.faults import Fault
from attestrain.run.config import RunConfig, make_config
from attestrain.run.events import Event
from attestrain.run.session import train
from attestrain.verify.policy import Policy
from attestrain.verify.verifier import verify_folder

CHEAT, FROM_ROUND = 2, 1
KINDS = ("skip-steps", "wrong-data", "doctor-feedback", "poison")


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one seed. ``accused`` counts findings of fault against honest workers."""

    seed: int
    kind: str
    caught: Fault | None
    accused: int
    verdict: str
    verified: bool

    @property
    def good(self) -> bool:
        """The cheat was caught, nobody else was accused, the bundle is verified."""
        return self.caught is not None and not self.accused and self.verified

    def __str__(self) -> str:
        caught = f"round {self.caught.round}, segment {self.caught.segment}" if self.caught else "never"
        return f"{self.seed:>4}  {self.kind:<16}  {caught:<20}  {self.accused:>13}  {self.verdict}"


def small_config(seed: int, kind: str) -> RunConfig:
    """Three workers on the packaged slice of the corpus; one of them cheats from its second round on."""
    settings = {
        "run": {"name": "seeds", "seed": seed},
        "task": {"config": {"width": 16, "layers": 1, "heads": 2, "hidden": 32}},
        "dataset": {"source": "slice", "sequence_tokens": 32},
        "schedule": {"rounds": 8, "steps": 4, "segment_steps": 2, "batch": 2, "workers": 3},
        "inner": {"warmup": 2},
        "audit": {"fraction": 0.75},
        "cheat": [{"worker": CHEAT, "kind": kind, "from_round": FROM_ROUND}],
        "local": {"validation_sequences": 4},
    }
    return make_config(settings, "small configuration")


def run_seed(seed: int, folder: Path) -> Row:
    """Train one seed in ``folder`` and judge its bundle."""
    events: list[Event] = []
    kind = KINDS[seed % len(KINDS)]
    outcome = train(small_config(seed, kind), folder, on_event=events.append)
    faults = [event.data["worker"] for event in events if event.kind == "finding" and event.data["outcome"] == "fault"]
    verdict = verify_folder(outcome.bundle, Policy.from_toml(outcome.policy.read_text("utf-8")))
    caught = next((fault for fault in outcome.caught if fault.worker == CHEAT), None)
    accused = sum(worker != CHEAT for worker in faults)
    return Row(seed, kind, caught, accused, str(verdict.outcome), verdict.exit_code == ExitCode.DONE)


def main() -> int:
    """Run all seeds; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many (default 20)")
    parser.add_argument("--folder", type=Path, help="keep the runs here")
    arguments = parser.parse_args()
    print(f"{'seed':>4}  {'cheat':<16}  {'caught in':<20}  {'honest faults':>13}  verdict", flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(arguments.seeds):
            rows.append(run_seed(seed, (arguments.folder or Path(temporary)) / f"seed-{seed}"))
            print(rows[-1], flush=True)
    good = sum(row.good for row in rows)
    print(f"{good} of {len(rows)} seeds: cheat caught, no honest worker accused, bundle verified")
    return 0 if good == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())

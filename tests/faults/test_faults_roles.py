"""A run with chain, evidence and stakes: any role is killed at any moment, also twice, and the run completes.

``ATTESTRAIN_KILLS`` sets how many random runs are tried (a dozen by default; a hundred take some twenty minutes).
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from attestrain.errors import AttestrainError, ExitCode
from attestrain.settle.anvil import find_anvil
from tests.faults.chaos import Running, entries, judged, slots, tiny_config, wait_for

KILLS = int(os.environ.get("ATTESTRAIN_KILLS", "12"))
WORKERS, AUDITORS = 3, 3
FULL = tiny_config(
    trust={"preset": "full"},
    # Three of four segments: one of the two inner ones, where this cheat shows, is always among them.
    audit={"fraction": 0.75, "auditors": AUDITORS},
    cheat=[{"worker": 2, "kind": "skip-steps", "from_round": 1}],
)
GUARANTEES = {"signed", "continuous", "assigned", "aggregated", "replayed", "attested", "anchored", "staked", "settled"}
VICTIMS = ("everything", "conductor", "worker", "auditor", "chain")


def missing_anvil() -> str:
    try:
        find_anvil()
    except AttestrainError as error:
        return str(error)
    return ""


MISSING = missing_anvil()
pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes through /proc"),
    pytest.mark.skipif(bool(MISSING), reason=f"no chain: {MISSING}"),
]


def chains(folder: Path) -> list[int]:
    """Processes of the chain that keeps its state in a run folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            name, log = (path / "comm").read_text().strip(), os.readlink(path / "fd" / "1")
        except OSError:
            continue
        if name == "anvil" and log.startswith(str(folder)):
            found.append(int(path.name))
    return found


def strike(run: Running, victim: str, chance: random.Random) -> None:
    """Kill -9 one role, or all."""
    roles = [pid for pid in run.children() if pid not in chains(run.folder)]
    first = {"worker": 0, "auditor": WORKERS}.get(victim)
    if victim == "everything":
        run.kill()
    elif victim == "conductor":
        os.kill(run.pid, signal.SIGKILL)
    elif victim == "chain":
        targets = chains(run.folder)
        if targets:
            os.kill(targets[0], signal.SIGKILL)
    elif first is not None and len(roles) >= WORKERS + AUDITORS:
        os.kill(roles[first + chance.randrange(3)], signal.SIGKILL)


def go_on(folder: Path) -> Running:
    return Running(folder, None if (folder / "run.toml").exists() else FULL)


def check(folder: Path, before: list[bytes]) -> None:
    assert entries(folder)[: len(before)] == before
    assert len(slots(folder)) == len(set(slots(folder)))
    verdict = judged(folder)
    assert verdict.exit_code == ExitCode.DONE, verdict
    assert {item.name for item in verdict.achieved} == GUARANTEES
    cheat = next(worker for worker in verdict.workers if worker.worker == 2)
    assert (cheat.case, cheat.owed, cheat.slashed > 0) == ("guilty", 0, True)


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(KILLS))
def test_any_role_is_killed_at_any_moment(tmp_path: Path, seed: int) -> None:
    folder, before, chance = tmp_path / "run", list[bytes](), random.Random(seed)
    strikes = [VICTIMS[seed % len(VICTIMS)], *chance.sample(VICTIMS, chance.randrange(2))]
    run = go_on(folder)
    for victim in strikes:
        time.sleep(chance.uniform(0.3, 6.0))
        strike(run, victim, chance)
        if victim in ("everything", "conductor") and not run.ended():
            run.wait()
        if run.ended() and run.status != 0:
            before = entries(folder)
            wait_for(lambda run=run: not run.members(), 20)
            run = go_on(folder)
    with run:
        assert run.wait() == 0, (folder / "conductor.log").read_text()
    check(folder, before)

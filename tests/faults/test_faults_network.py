"""Programs of a network are killed without warning, again and again, and started again by whoever runs them."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from attestrain.errors import ExitCode
from tests.faults.chaos import PATIENCE, entries, judged, slots
from tests.faults.programs import Net, Program, network

KILLS = 8


def start(net: Net, name: str) -> Program:
    return net.node("--wait", "30") if name == "node" else net.join(int(name))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(3))
def test_killed_programs_come_back_and_the_run_ends_well(tmp_path: Path, seed: int) -> None:
    moments = random.Random(seed)
    with network(tmp_path, rounds=10, steps=50, options=("--set", "schedule.workers=2")) as net:
        running = {name: start(net, name) for name in ("node", "0", "1")}
        before: list[bytes] = []
        for _ in range(KILLS):
            time.sleep(moments.uniform(0.2, 6.0))
            name = moments.choice(sorted(running))
            if running[name].process.poll() is None:
                running[name].kill()
                running[name].process.wait()
                running[name] = start(net, name)
            after = entries(net.run)
            assert after[: len(before)] == before
            before = after
        ended(running["node"])
        for name in ("0", "1"):
            # One that was just being started when the run ended finds nobody.
            running[name].kill()
            running[name].process.wait()
    assert entries(net.run)[: len(before)] == before
    assert len(slots(net.run)) == len(set(slots(net.run)))
    verdict = judged(net.run)
    assert verdict.exit_code == ExitCode.DONE, verdict


def ended(node: Program) -> None:
    end = time.monotonic() + 4 * PATIENCE
    while node.process.poll() is None:
        assert time.monotonic() < end, node.log.read_text()
        time.sleep(0.1)
    assert node.process.returncode == 0, node.log.read_text()

"""A network on a chain, of separate programs: participants stake, come late, die, leave, and are paid."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from attestrain.errors import AttestrainError, ExitCode
from attestrain.record.statements import Join, Leave
from attestrain.settle.anvil import find_anvil
from tests.e2e.test_run_network import network
from tests.faults.chaos import judged, statements

FULL = ("--set", "trust.preset=full", "--set", "audit.auditors=3")


@pytest.fixture(autouse=True)
def _chain() -> None:
    """Needs anvil."""
    try:
        find_anvil()
    except AttestrainError as error:
        pytest.skip(f"no embedded chain here: {error}")


@pytest.mark.slow
def test_whoever_worked_is_paid_the_late_the_killed_and_the_one_that_left(tmp_path: Path) -> None:
    with network(tmp_path, rounds=6, steps=100, options=FULL) as net:
        node = net.node("--wait", "1")
        first, second = net.join(0), net.join(1)
        node.until(lambda: net.events("aggregated", round=0))
        second.kill()
        second.wait()
        second = net.join(1)
        late = net.join(2)
        node.until(lambda: net.events("receipt", worker=2))
        late.kill(signal.SIGINT)
        assert late.wait() == ExitCode.INTERRUPTED
        for program in (first, second, node):
            assert program.wait() == 0, program.log.read_text()
    assert first.said("pay: ")
    assert second.said("pay: ")
    # The chain ends with the node, which claims for whoever is not there: the money goes to their account all the same.
    assert {event["worker"] for event in net.events("claimed")} == {0, 1, 2}
    assert [item.worker for item in statements(net.run) if isinstance(item, Leave)] == [2]
    joins = [item for item in statements(net.run) if isinstance(item, Join)]
    assert len({item.participant for item in joins}) == len(joins) == 6
    verdict = judged(net.run)
    assert verdict.exit_code == ExitCode.DONE, verdict

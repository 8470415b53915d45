"""A network of separate programs, as people start them: someone comes late, someone is killed, someone leaves."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from attestrain.errors import ExitCode
from attestrain.record.statements import Join, Leave, Receipt
from tests.faults.chaos import judged, slots, statements
from tests.faults.programs import network

ADAPTIVE = ("codec.name=lowrank", "codec.settings.rank=8", "adaptive.window=1", "adaptive.share=0.8")


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [("overlap.delay=0",), ("overlap.delay=1",), ("overlap.delay=1", *ADAPTIVE)],
    ids=["in step", "delayed", "adaptive"],
)
def test_late_killed_and_leaving_participants_and_a_node_that_is_killed_too(
    tmp_path: Path, settings: tuple[str, ...]
) -> None:
    options = [word for setting in settings for word in ("--set", setting)]
    # So many rounds that whoever comes back still finds some on a busy machine, where a program takes long to start.
    with network(tmp_path, rounds=30, steps=100, options=tuple(options)) as net:
        node = net.node("--wait", "1")
        first, second = net.join(0), net.join(1)
        node.until(lambda: net.events("aggregated", round=0))
        second.kill()
        second.wait()
        second = net.join(1)
        node.until(lambda: net.events("aggregated", round=2))
        late = net.join(2)
        node.until(lambda: net.events("receipt", worker=2))
        assert late.said("by its checkpoint")
        node.kill()
        node.wait()
        node = net.node("--wait", "1")
        node.until(lambda: net.events("aggregated", round=6))
        late.kill(signal.SIGINT)
        assert late.wait() == ExitCode.INTERRUPTED
        assert late.said("left as worker 2")
        back = net.join(2)
        for program in (node, first, second, back):
            assert program.wait() == 0, program.log.read_text()
    said = statements(net.run)
    assert [item.worker for item in said if isinstance(item, Leave)] == [2]
    assert [item.key_epoch for item in said if isinstance(item, Join) and item.worker == 2] == [0, 1]
    assert {item.key_epoch for item in said if isinstance(item, Receipt) and item.worker == 2} == {0, 1}
    assert len(slots(net.run)) == len(set(slots(net.run)))
    assert judged(net.run).exit_code == ExitCode.DONE, judged(net.run)


def test_two_join_and_anyone_can_watch(tmp_path: Path) -> None:
    with network(tmp_path, rounds=2, steps=20, options=("--set", "schedule.workers=2")) as net:
        node = net.node()
        workers = [net.join(slot) for slot in (0, 1)]
        node.until(lambda: net.events("chain") or net.events("join"))
        watcher = net.start("watcher", "watch", net.document["url"])
        for program in (node, *workers):
            assert program.wait() == 0, program.log.read_text()
        watcher.wait()
        assert watcher.said("round 0 done")
    assert {worker for _, worker in slots(net.run)} == {0, 1}
    assert judged(net.run).exit_code == ExitCode.DONE


@pytest.mark.slow
def test_an_auditor_joins_by_invitation(tmp_path: Path) -> None:
    with network(tmp_path, rounds=2, steps=20, options=("--set", "schedule.workers=1")) as net:
        programs = [net.node("--roles", "sequencer"), net.join(0), net.join(0, "auditor")]
        for program in programs:
            assert program.wait() == 0, program.log.read_text()
        assert net.events("finding")
    assert judged(net.run).exit_code == ExitCode.DONE


def test_a_slot_is_taken_once_and_a_wrong_fingerprint_stops_everything(tmp_path: Path) -> None:
    with network(tmp_path, rounds=40, steps=100) as net:
        node = net.node()
        first = net.join(0)
        node.until(lambda: net.events("join", role="worker"))
        invite = "net/invites/worker-0.json"
        thief = net.start("thief", "join", invite, "--folder", "thief")
        assert thief.wait() == ExitCode.USAGE
        assert thief.said("taken by another participant")
        misled = net.start("misled", "join", invite, "--folder", "misled", "--fingerprint", "00" * 16)
        assert misled.wait() == ExitCode.USAGE
        assert misled.said("another network")
        (tmp_path / invite).chmod(0o644)
        open_ = net.start("open", "join", invite, "--folder", "open")
        assert open_.wait() == ExitCode.USAGE
        first.kill(signal.SIGTERM)
        assert first.wait() == ExitCode.INTERRUPTED
        node.kill(signal.SIGINT)
        assert node.wait() == ExitCode.INTERRUPTED
        assert node.said("attestrain node --folder")
    assert not [item for item in statements(net.run) if isinstance(item, Leave)]

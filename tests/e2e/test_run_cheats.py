"""Every cheat is caught by what is meant to catch it; honest workers never are."""

from __future__ import annotations

from pathlib import Path

import pytest

from attestrain.errors import ExitCode, UsageError
from attestrain.run.events import Event
from attestrain.run.session import train
from tests.faults.chaos import judged, tiny_config

CHEAT, FROM_ROUND = 1, 1


def train_with(kind: str, folder: Path) -> list[Event]:
    events: list[Event] = []
    cheat = {"worker": CHEAT, "kind": kind, "from_round": FROM_ROUND}
    config = tiny_config(cheat=[cheat], audit={"fraction": 1}, inner={"name": "muon", "warmup": 2})
    train(config, folder, on_event=events.append)
    return events


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("skip-steps", "step 1: loss"),
        pytest.param("wrong-data", "step 1: loss", marks=pytest.mark.slow),
        pytest.param("doctor-feedback", "ef", marks=pytest.mark.slow),
        ("poison", "update"),
    ],
)
def test_replay_catches_what_happens_inside_a_round(tmp_path: Path, kind: str, detail: str) -> None:
    events = train_with(kind, tmp_path / "run")
    excluded = [event.data for event in events if event.kind == "excluded"]
    assert [(item["worker"], item["round"]) for item in excluded] == [(CHEAT, FROM_ROUND)]
    assert detail in excluded[0]["detail"]
    last = [event.data for event in events if event.kind == "aggregated"][-1]
    assert last["members"] == [0, 2]
    assert judged(tmp_path / "run").exit_code == ExitCode.DONE


@pytest.mark.parametrize(
    "kind", ["doctor-optimizer", "carry-optimizer", pytest.param("carry-feedback", marks=pytest.mark.slow)]
)
def test_continuity_refuses_what_happens_between_rounds(tmp_path: Path, kind: str) -> None:
    events = train_with(kind, tmp_path / "run")
    refused = [event.data for event in events if event.kind == "refused"]
    assert {item["worker"] for item in refused} == {CHEAT}
    expected = "changes opt." if kind == "doctor-optimizer" else "begins with another state"
    assert expected in refused[0]["detail"]
    later = (expected, "has not published an earlier round")
    assert all(any(reason in item["detail"] for reason in later) for item in refused)
    rounds = [event.data for event in events if event.kind == "aggregated"]
    assert [CHEAT in item["members"] for item in rounds] == [True, False, False, False]
    assert judged(tmp_path / "run").exit_code == ExitCode.DONE


def test_an_unknown_cheat_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no cheat is called"):
        train_with("charm", tmp_path / "run")
    assert not (tmp_path / "run" / "run.toml").exists()

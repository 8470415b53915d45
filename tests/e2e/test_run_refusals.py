"""What a run refuses: a second conductor, other code, another environment, a folder that is taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attestrain.errors import ExitCode, UsageError
from attestrain.record.spec import RunSpec
from attestrain.run.folder import RunFolder
from attestrain.run.preparation import prepare
from attestrain.run.session import resume, train
from attestrain.verify.policy import Policy
from tests.faults.chaos import Running, entries, tiny_config

CONFIG = tiny_config(schedule={"rounds": 2}, audit={"auditors": 0})


def go_on(folder: Path) -> None:
    resume(folder, on_event=lambda event: None)


def test_a_second_conductor_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Running(folder, CONFIG) as run:
        run.until(lambda: run.events("join"))
        for second in (Running(folder), Running(folder, CONFIG)):
            with second:
                assert second.wait() == ExitCode.USAGE
        assert run.wait() == 0
    assert "in use by another process" in (folder / "conductor.log").read_text()


def test_a_folder_with_a_run_is_not_trained_in_again(tmp_path: Path) -> None:
    with Running(tmp_path / "run", CONFIG) as run:
        assert run.wait() == 0
    before = entries(tmp_path / "run")
    with pytest.raises(UsageError, match="holds a run already") as refusal:
        train(CONFIG, tmp_path / "run", on_event=lambda event: None)
    assert f"--resume {tmp_path / 'run'}" in str(refusal.value.hint)
    assert entries(tmp_path / "run") == before


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        go_on(tmp_path)
    with pytest.raises(UsageError, match="holds no run"):
        go_on(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())


def interrupted(folder: Path) -> RunSpec:
    with Running(folder, CONFIG) as run:
        run.until(lambda: run.events("receipt"))
    return RunSpec.from_bytes((folder / "spec.json").read_bytes())


def test_other_code_is_refused(tmp_path: Path) -> None:
    spec = interrupted(tmp_path / "run")
    text = (tmp_path / "run" / "spec.json").read_text()
    (tmp_path / "run" / "spec.json").write_text(text.replace(spec.code.hex(), "00" * 32))
    with pytest.raises(UsageError, match="was started by other code"):
        go_on(tmp_path / "run")


def test_another_environment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(tmp_path / "run")
    # One of the variables that choose other kernels and are therefore part of the environment.
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    with pytest.raises(UsageError, match="begun in another environment"):
        go_on(tmp_path / "run")


def test_a_preparation_that_was_cut_short_is_taken_up_or_refused_by_name(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    prepare(CONFIG, folder)
    prepare(CONFIG, folder)
    other = CONFIG.model_copy(update={"dataset": CONFIG.dataset.model_copy(update={"sequence_tokens": 64})})
    with pytest.raises(UsageError, match="holds another dataset") as refusal:
        prepare(other, folder)
    assert "remove this one" in str(refusal.value.hint)


@pytest.mark.parametrize(
    ("sections", "message", "hint"),
    [
        ({}, "only low-rank updates that nobody merges", "adaptive.window to 0"),
        (
            {"codec": {"name": "lowrank"}, "merge": {"name": "int4"}},
            "only low-rank updates that nobody merges",
            "merge.name to none",
        ),
        (
            {"codec": {"name": "lowrank", "settings": {"rank": 4}}, "adaptive": {"window": 1, "min_rank": 5}},
            "min_rank 5 is above the rank",
            "raise codec.settings.rank",
        ),
    ],
)
def test_a_rank_that_cannot_be_adapted_is_refused(
    sections: dict[str, Any], message: str, hint: str, tmp_path: Path
) -> None:
    config = tiny_config(**{"adaptive": {"window": 1}, **sections})
    with pytest.raises(UsageError, match=message) as refusal:
        prepare(config, RunFolder(tmp_path))
    assert hint in str(refusal.value.hint)


def test_a_folder_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(UsageError, match="cannot use run folder") as refusal:
            train(CONFIG, folder, on_event=lambda event: None)
        assert refusal.value.hint == "choose another with --folder"


def test_a_model_beyond_all_memory_is_refused_and_nothing_of_it_left(tmp_path: Path) -> None:
    config = tiny_config(task={"config": {"width": 16, "layers": 1, "heads": 2, "hidden": 1 << 46}})
    (tmp_path / "mine").mkdir()
    for folder in (tmp_path / "run", tmp_path / "mine"):
        with pytest.raises(UsageError, match="the model cannot be built"):
            train(config, folder, on_event=lambda event: None)
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "mine").is_dir()


def test_a_run_that_nobody_replays_asks_for_no_replay(tmp_path: Path) -> None:
    train(CONFIG, tmp_path / "run", on_event=lambda event: None)
    policy = Policy.from_toml((tmp_path / "run" / "policy.toml").read_text())
    assert policy.guarantees == ("signed", "continuous", "assigned", "aggregated")

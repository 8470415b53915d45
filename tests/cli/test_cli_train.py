"""The commands that train, on a run of seconds: real processes, a real cheat, a real verdict."""

from __future__ import annotations

import json
import signal
import subprocess
import tomllib
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from attestrain.cli import running
from attestrain.cli.demo import shortfalls
from attestrain.cli.live import View
from attestrain.errors import ExitCode
from attestrain.report.reference import load_reference
from attestrain.report.story import Caught, Story
from tests.cli.conftest import PROGRAM, Call, Result, spawn

TINY = """
[run]
name = "tiny"
[task]
config = { width = 16, layers = 1, heads = 2, hidden = 32 }
[dataset]
source = "slice"
sequence_tokens = 512
[schedule]
rounds = 3
steps = 4
segment_steps = 2
batch = 2
workers = 2
[inner]
warmup = 2
[audit]
fraction = 1
[local]
validation_sequences = 8
[[cheat]]
worker = 1
from_round = 1
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "RUN.toml").write_text(TINY)
    run = folder / "run"
    return run, spawn(
        "train", folder / "RUN.toml", "--folder", run, "--set", "run.seed=3", "--json", OMP_NUM_THREADS="1"
    )


def test_train_ends_with_bundle_policy_and_figures(trained: tuple[Path, Result]) -> None:
    folder, result = trained
    assert result.code == ExitCode.DONE, result.err
    document = json.loads(result.out)
    assert (document["bundle"], document["policy"]) == (str(folder / "bundle"), str(folder / "policy.toml"))
    assert [(caught["worker"], caught["round"]) for caught in document["caught"]] == [(1, 1)]
    assert 0 < document["uploaded"] < document["allreduce"]
    assert tomllib.loads((folder / "run.toml").read_text())["run"] == {"name": "tiny", "seed": 3}
    assert "worker 1 caught in round 1" in result.err
    assert "Traceback" not in result.err


def test_a_run_folder_has_its_pictures(trained: tuple[Path, Result]) -> None:
    for name in ("loss.svg", "timeline.svg"):
        picture = (trained[0] / name).read_text()
        ElementTree.fromstring(picture)
        assert len(picture) < 60_000


def test_a_run_folder_has_its_report(trained: tuple[Path, Result]) -> None:
    folder, result = trained
    assert json.loads(result.out)["report"] == str(folder / "report.html")
    page = (folder / "report.html").read_text()
    assert 'id="verdict">VERIFIED<' in page
    assert "Worker 1 was caught in round 1" in page


def test_what_train_wrote_verifies_replays_and_can_be_inspected(call: Call, trained: tuple[Path, Result]) -> None:
    folder = trained[0]
    assert call("verify", folder / "bundle", "--policy", folder / "policy.toml").code == ExitCode.DONE
    assert json.loads(call("inspect", folder, "--json").out)["state"] == "finished"
    replayed = call("replay", folder / "bundle", "--fraction", "1", "--seed", "s", "--json")
    assert replayed.code == ExitCode.DONE, replayed.err
    document = json.loads(replayed.out)
    assert document["seed"] == "s"
    assert {row["worker"] for row in document["rows"] if row["outcome"] == "fault"} == {1}
    table = call("replay", folder / "bundle", "--fraction", "0.2", "--seed", "s")
    assert table.out.splitlines()[-1].startswith("AGREED  ")


def test_a_finished_folder_is_not_trained_again(call: Call, trained: tuple[Path, Result]) -> None:
    folder = trained[0]
    result = call("train", folder.parent / "RUN.toml", "--folder", folder)
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert "--resume" in result.err


def test_a_resumed_view_knows_what_went_before(trained: tuple[Path, Result]) -> None:
    seen: list[View] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "following", lambda quiet: nullcontext(seen.append(View()) or seen[-1]))
        finished = running.resume_run(trained[0], quiet=True)
    assert seen[0].story == finished.story


def test_a_fraction_out_of_range(call: Call, trained: tuple[Path, Result]) -> None:
    assert call("replay", trained[0] / "bundle", "--fraction", "2").code == ExitCode.USAGE


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_resume_goes_on(tmp_path: Path) -> None:
    (tmp_path / "RUN.toml").write_text(TINY)
    run = tmp_path / "run"
    command = [*PROGRAM, "train", str(tmp_path / "RUN.toml"), "--folder", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = []
        for line in process.stderr:
            told.append(line)
            if line.startswith("round 0 done"):
                process.send_signal(signal.SIGINT)
        assert process.wait(60) == ExitCode.INTERRUPTED, told
    assert told[-1].startswith("hint: ")
    assert (run / "loss.svg").is_file()
    resumed = spawn("train", "--resume", run, "--json", "-q")
    assert (resumed.code, resumed.err) == (ExitCode.DONE, "")
    assert spawn("verify", run / "bundle", "--policy", run / "policy.toml").code == ExitCode.DONE


def test_init_writes_what_train_reads_and_overwrites_nothing(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "RUN.toml"
    assert json.loads(call("init", path, "--json").out) == {"path": str(path)}
    assert "#" in path.read_text()
    assert tomllib.loads(path.read_text())["algorithm"]["preset"] in path.read_text()
    assert "# rounds = 60" in path.read_text()
    again = call("init", path)
    assert again.code == ExitCode.USAGE
    assert again.err.startswith(f"attestrain: {path} exists\nhint: ")
    assert call("init", "-").out == path.read_text()
    assert call("init", "-", "--json").code == ExitCode.USAGE


@pytest.mark.parametrize("override", ["schedule.rounds=0", "schedule.rouns=3", "rounds=3", "run.name=../x"])
def test_bad_settings_name_their_place(call: Call, tmp_path: Path, override: str) -> None:
    (tmp_path / "RUN.toml").write_text(TINY)
    result = call("train", tmp_path / "RUN.toml", "--set", override, "--folder", tmp_path / "run")
    assert (result.code, result.out) == (ExitCode.USAGE, "")
    assert override.partition("=")[0].rpartition(".")[2] in result.err
    assert not (tmp_path / "run").exists()


def test_doctor_finds_this_machine_fit(call: Call, tmp_path: Path) -> None:
    result = call("doctor", "--folder", tmp_path, "--json")
    found = {item["check"]: item["state"] for item in json.loads(result.out)}
    assert result.code == ExitCode.DONE
    assert found["store"] == found["processes"] == found["determinism"] == "ok"
    assert call("doctor", "--folder", tmp_path / "none", "-q").code == ExitCode.USAGE


def story_of(*caught: int) -> Story:
    return Story(caught=[Caught(worker, 3, 2, "step 6: loss", 4) for worker in caught])


@pytest.mark.parametrize(
    ("loss", "caught", "code", "expected"),
    [
        (2.0, (4,), ExitCode.DONE, []),
        (2.6, (4,), ExitCode.DONE, ["does not beat one worker alone"]),
        (None, (4,), ExitCode.DONE, ["does not beat one worker alone"]),
        (2.0, (), ExitCode.DONE, ["worker 4 cheated and was not caught"]),
        (2.0, (1, 4), ExitCode.DONE, ["worker 1 is honest and was excluded"]),
        (2.0, (4,), ExitCode.CONSISTENT, ["the verdict is"]),
    ],
)
def test_a_demo_falls_short_by_name(
    loss: float | None, caught: tuple[int, ...], code: ExitCode, expected: list[str]
) -> None:
    finished = SimpleNamespace(outcome=SimpleNamespace(loss=loss, solo_loss=2.5), story=story_of(*caught))
    verdict = SimpleNamespace(exit_code=code, outcome="X")
    found = shortfalls(finished, verdict, {4})  # type: ignore[arg-type]
    assert len(found) == len(expected)
    assert all(part in text for part, text in zip(expected, found, strict=True))


def test_the_packaged_reference_can_be_read() -> None:
    assert load_reference().workers == 4

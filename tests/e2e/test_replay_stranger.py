from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from attestrain.errors import FormatError, Refuted, Undecided, UsageError
from attestrain.record.bundle import MANIFEST, FolderFiles, make_manifest, trace_path
from attestrain.record.canonical import canonical, parse
from attestrain.record.names import Round, Worker
from attestrain.record.spec import RunSpec
from attestrain.replay.case import open_case
from attestrain.replay.lanes import state_path
from attestrain.replay.segment import reexecute
from attestrain.replay.stranger import ReplayReport, replay_bundle
from attestrain.run.config import make_config
from attestrain.run.session import train
from attestrain.train.batches import RoundBatches
from attestrain.train.state import genesis_state, state_refs, state_to_blobs
from attestrain.update.checkpoint import genesis

SEGMENTS = 4
CHEAT = Worker(2)

TINY: dict[str, Any] = {
    "run": {"name": "tiny", "seed": 3},
    "task": {"config": {"width": 16, "layers": 1, "heads": 2, "hidden": 32}},
    "dataset": {"source": "slice", "sequence_tokens": 32},
    "schedule": {"rounds": 4, "steps": 6, "segment_steps": 3, "batch": 2, "workers": 3},
    "inner": {"warmup": 4},
    "local": {"keep_states_every": 2, "validation_sequences": 8},
}


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = make_config({**TINY, "audit": {"fraction": 0.25}}, "test")
    return train(config, tmp_path_factory.mktemp("honest"), on_event=lambda event: None).bundle


def cheating(folder: Path, fraction: float) -> Path:
    cheat = [{"worker": CHEAT, "kind": "skip-steps", "from_round": 1}]
    config = make_config({**TINY, "cheat": cheat, "audit": {"fraction": fraction}}, "test")
    return train(config, folder, on_event=lambda event: None).bundle


def replay(bundle: Path, fraction: str, **options: Any) -> ReplayReport:
    return replay_bundle(bundle, fraction, **{"seed": "s", "on_event": lambda kind, data: None, **options})


def test_all_of_an_honest_run_is_exact(honest: Path) -> None:
    report = replay(honest, "1")
    assert report.segments == report.drawn == report.checked == len(report.rows) == 4 * 3 * SEGMENTS
    assert {row.outcome for row in report.rows} == {"exact"}
    assert report.other_class == ()
    assert report.mismatches == []


def test_a_seed_draws_the_same_again_and_fresh_ones_differ(honest: Path) -> None:
    first, again = (replay(honest, "0.1", seed="one") for _ in range(2))
    drawn = [(row.worker, row.round, row.segment) for row in first.rows if row.drawn]
    assert len(drawn) == first.drawn == 5
    assert drawn == [(row.worker, row.round, row.segment) for row in again.rows if row.drawn]
    assert len(replay(honest, "0.1", seed=None).seed) == 32


class Planned(Exception):  # not an error: it ends a replay before it begins
    pass


def planned(bundle: Path, seed: str) -> int:
    """How many segments a replay would execute."""

    def stop(kind: str, data: dict[str, Any]) -> None:
        raise Planned(data["planned"])

    with pytest.raises(Planned) as caught:
        replay(bundle, "0.05", seed=seed, on_event=stop)
    return int(caught.value.args[0])


@pytest.fixture(scope="module")
def bare(honest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The honest bundle without the states it keeps."""
    copy = shutil.copytree(honest, tmp_path_factory.mktemp("bare") / "bundle")
    shutil.rmtree(copy / "states")
    rewrite_manifest(copy)
    return copy


@pytest.fixture(scope="module")
def late(honest: Path, bare: Path) -> str:
    """A seed whose draw is reached from a kept state (what is drawn depends on the run's name, and so on our code)."""
    return next(seed for seed in map(str, range(100)) if planned(honest, seed) < planned(bare, seed))


def test_kept_states_shorten_the_way(honest: Path, bare: Path, late: str) -> None:
    short, long = (replay(bundle, "0.05", seed=late) for bundle in (honest, bare))
    drawn = [[(row.worker, row.round, row.segment) for row in report.rows if row.drawn] for report in (short, long)]
    assert drawn[0] == drawn[1]
    assert short.checked == long.checked == short.drawn
    assert len(short.rows) < len(long.rows)


def test_progress_is_told(honest: Path) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    report = replay(honest, "0.05", on_event=lambda kind, data: told.append((kind, data)))
    assert [kind for kind, _ in told] == ["replay", *["replayed"] * len(report.rows), "replay-end"]
    assert told[0][1]["planned"] == len(report.rows)
    json.dumps(told)


def rewrite_manifest(bundle: Path) -> None:
    spec = RunSpec.from_bytes((bundle / "spec.json").read_bytes())
    (bundle / MANIFEST).unlink()
    (bundle / MANIFEST).write_bytes(make_manifest(spec.run_id, FolderFiles(bundle)).to_bytes())


def test_a_caught_cheat_is_no_news(tmp_path: Path) -> None:
    report = replay(cheating(tmp_path, 1.0), "1")
    [mismatch] = report.mismatches
    assert (mismatch.worker, mismatch.round, mismatch.kind) == (CHEAT, 1, "inner")
    assert mismatch.detail.startswith("step 1: loss")
    assert mismatch.already_reported
    assert {row.outcome for row in report.rows if row.worker != CHEAT} == {"exact"}


def test_a_cheat_nobody_audited_is_found(tmp_path: Path) -> None:
    bundle = cheating(tmp_path, 0.0)
    report = replay(bundle, "1")
    [mismatch] = report.mismatches
    assert (mismatch.worker, mismatch.round, mismatch.segment) == (CHEAT, 1, 1)
    assert not mismatch.already_reported
    assert report.checked < report.drawn
    assert [row for row in report.rows if row.worker == CHEAT][-1] is mismatch


def test_the_data_may_lie_elsewhere(honest: Path, tmp_path: Path) -> None:
    bare = shutil.copytree(honest, tmp_path / "bare")
    data = Path(shutil.move(bare / "data", tmp_path / "data"))
    rewrite_manifest(bare)
    with pytest.raises(Undecided, match="needs the data") as caught:
        replay(bare, "0.05")
    assert "--data" in str(caught.value.hint)
    assert replay(bare, "0.05", data=data).mismatches == []


def test_other_data_is_refused(honest: Path, tmp_path: Path) -> None:
    data = shutil.copytree(honest / "data", tmp_path / "data")
    tokens = bytearray((data / "train.tokens").read_bytes())
    (data / "train.tokens").write_bytes(bytes(byte ^ 1 for byte in tokens))
    with pytest.raises(FormatError, match="does not match its leaf"):
        replay(honest, "1", data=data)


def test_an_edited_trace_is_refuted_before_anything_runs(honest: Path, tmp_path: Path) -> None:
    edited = shutil.copytree(honest, tmp_path / "edited")
    path = edited / trace_path(Round(1), Worker(1))
    document = parse(path.read_bytes())
    step = document["segments"][1]["steps"][0]
    document["segments"][1]["steps"][0] = ("0" if step[0] != "0" else "1") + step[1:]
    path.write_bytes(canonical(document))
    rewrite_manifest(edited)
    with pytest.raises(Refuted, match="not the published trace"):
        replay(edited, "0.05")


def test_an_edited_state_is_noticed(honest: Path, late: str, tmp_path: Path) -> None:
    edited = shutil.copytree(honest, tmp_path / "edited")
    for state in (edited / "states").iterdir():
        state.write_bytes(bytes(byte ^ 1 for byte in state.read_bytes()))
    with pytest.raises(FormatError, match="not the file that the manifest names"):
        replay(edited, "0.05", seed=late)


def test_a_state_under_another_name_starts_nothing(honest: Path, late: str, tmp_path: Path) -> None:
    """A forger may list any bytes in the manifest: what a lane starts from is held against the signed trace."""
    edited = shutil.copytree(honest, tmp_path / "edited")
    for state in (edited / "states").iterdir():
        state.write_bytes(bytes(byte ^ 1 for byte in state.read_bytes()))
    rewrite_manifest(edited)
    report = replay(edited, "0.05", seed=late)
    assert {row.outcome for row in report.rows} <= {"unknown", "exact"}
    assert report.checked < report.drawn


@pytest.mark.parametrize("fraction", ["0", "-0.1", "1.5", "5%", "nan", "1e-2", ""])
def test_fractions_are_decimals_up_to_one(honest: Path, fraction: str) -> None:
    with pytest.raises(UsageError, match="not a decimal"):
        replay(honest, fraction)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a bundle"):
        replay(tmp_path, "0.1")


ELSEWHERE = """
import sys
from pathlib import Path
from attestrain.replay.case import open_case
from attestrain.replay.lanes import state_path
from attestrain.replay.segment import reexecute
from attestrain.replay.stranger import replay_bundle
report = replay_bundle(Path(sys.argv[1]), "1", seed="s", on_event=lambda kind, data: None)
assert len(report.other_class) == 3
for row in report.rows:
    print(row.worker, row.round, row.segment, row.kind, row.outcome, row.detail, sep="|")
"""


def elsewhere(bundle: Path) -> list[list[str]]:
    """Rows of a replay in another environment class."""
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}
    command = [sys.executable, "-c", ELSEWHERE, str(bundle)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]


def keep_all_states(bundle: Path, worker: Worker) -> None:
    """Add every state of the first round of a worker to the bundle, as its worker could have."""
    case = open_case(bundle, None, lambda kind, data: None)
    checkpoint, state = genesis(case.spec), genesis_state(case.spec)
    batches = RoundBatches(case.spec, case.split, case.ledger.rounds[Round(0)].opened.statement.beacon, worker)
    for segment in range(SEGMENTS):
        refs, trace = state_refs(state), case.works[Round(0), worker].trace
        done = reexecute(case.engine, trace, segment, state, refs, checkpoint, batches)
        assert done.replayed.outcome == "exact"
        assert done.work is not None
        state = done.work.state
        for name, data in state_to_blobs(state).items():
            (bundle / state_path(done.refs[name])).write_bytes(data)
    rewrite_manifest(bundle)


def test_another_class_never_refutes_honest_work(honest: Path) -> None:
    """Adopting is exact anywhere; inner steps without the worker's own states tell nothing."""
    outcomes = {(kind, outcome) for _, _, _, kind, outcome, _ in elsewhere(honest)}
    assert outcomes >= {("adopt", "exact"), ("inner", "unknown")}
    assert not any(outcome == "fault" for _, outcome in outcomes)


def test_another_class_is_held_to_tolerance_where_states_are_kept(honest: Path, tmp_path: Path) -> None:
    kept = shutil.copytree(honest, tmp_path / "kept")
    keep_all_states(kept, Worker(0))
    first = [row for row in elsewhere(kept) if row[:2] == ["0", "0"]]
    assert [row[3:5] for row in first] == [
        ["adopt", "exact"],
        ["inner", "tolerance"],
        ["inner", "tolerance"],
        ["compress", "exact"],
    ]
    assert first[1][5].startswith("params.norm ")

"""A run whose updates shrink as it goes: DiLoCoX with an adaptive rank, one round late."""

from __future__ import annotations

from pathlib import Path

import pytest

from attestrain.errors import ExitCode
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Receipt, RunClose
from attestrain.replay.stranger import replay_bundle
from attestrain.report.artefacts import describe
from attestrain.report.events import read_events
from attestrain.report.html import write_report
from attestrain.report.story import tell_story
from tests.faults.chaos import Running, judged, statements, tiny_config

CONFIG = tiny_config(
    algorithm={"preset": "dilocox-adaptive"},
    schedule={"rounds": 5},
    codec={"block": 64, "settings": {"rank": 8}},
    adaptive={"window": 1, "share": 0.8, "min_rank": 2},
    audit={"fraction": 1, "auditors": 2},
)


@pytest.fixture(scope="module")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapted") / "run"
    with Running(folder, CONFIG) as run:
        assert run.wait() == 0, (folder / "conductor.log").read_text()
    return folder


def test_the_rank_falls_and_the_updates_with_it(adapted: Path) -> None:
    ranks = tell_story(read_events(adapted / "events.jsonl")).ranks
    assert [ranks[0], ranks[1]] == [8, 8]
    assert 2 <= ranks[4] < 8
    assert [ranks[number] for number in range(5)] == sorted(ranks.values(), reverse=True)
    sizes = {item.round: item.update_size for item in statements(adapted) if isinstance(item, Receipt)}
    for before, after in ((1, 2), (2, 3), (3, 4)):
        assert (sizes[after] < sizes[before]) == (ranks[after] < ranks[before])


def test_every_segment_replays_and_the_bundle_verifies(adapted: Path) -> None:
    verdict = judged(adapted)
    assert verdict.exit_code == ExitCode.DONE, verdict
    assert {"aggregated", "continuous", "replayed"} <= {item.name for item in verdict.achieved}
    assert [worker.aggregated for worker in verdict.workers] == [(0, 1, 2, 3, 4)] * 3


def test_a_stranger_replays_all_of_it_bit_for_bit(adapted: Path) -> None:
    report = replay_bundle(adapted / "bundle", "1", seed="s", on_event=lambda kind, data: None)
    assert report.checked == len(report.rows) == 5 * 3 * 4
    assert {row.outcome for row in report.rows} == {"exact"}


def test_report_and_inspect_show_the_rule_and_the_ranks(adapted: Path) -> None:
    page = write_report(adapted).path.read_text()
    assert "falls to the effective rank (energy 0.8, mean over 1 round), not below 2" in page
    assert '<th scope="col" class="n">rank</th>' in page
    bundle = adapted / "bundle"
    spec = RunSpec.from_bytes((bundle / "spec.json").read_bytes())
    assert spec.adaptive is not None
    assert describe(bundle / "spec.json")["adaptive"] == spec.adaptive.to_json()
    update = describe(next((bundle / "updates").glob("*/*.bin")))
    assert update["norm"] == "not known: the rank of this round stands in the checkpoint it starts from"


def test_a_run_killed_at_a_fallen_rank_goes_on_with_it(adapted: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Running(folder, CONFIG) as run:
        run.until(lambda: run.events("receipt", round=3))
    with Running(folder) as again:
        assert again.wait() == 0, (folder / "conductor.log").read_text()
    assert judged(folder).exit_code == ExitCode.DONE
    final = [next(item for item in statements(path) if isinstance(item, RunClose)) for path in (adapted, folder)]
    assert final[0].checkpoint == final[1].checkpoint

"""Rounds that overlap, end to end: each opens before the one before it is published, and everything still verifies."""

from __future__ import annotations

from pathlib import Path

import pytest

from attestrain.corpus.dataset import Dataset
from attestrain.errors import AttestrainError, ExitCode
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Aggregated, CommitClose, Published, Receipt, RoundOpen, Signed, Statement
from attestrain.replay.stranger import replay_bundle
from attestrain.report.events import read_events
from attestrain.report.html import write_report
from attestrain.report.story import tell_story
from attestrain.rules.ledger import Ledger
from attestrain.run.folder import RunFolder
from attestrain.run.follower import History
from attestrain.run.gate import Gate
from attestrain.run.keyring import Keyring
from attestrain.run.session import train
from attestrain.run.stage import local_stage
from attestrain.store.blobs import BlobStore
from attestrain.verify.checks import Contradiction
from tests.faults.chaos import entries, judged, statements, tiny_config

CONFIG = tiny_config(overlap={"delay": 1, "blend": 0.5}, audit={"fraction": 1})
FRAGMENTS = tiny_config(overlap={"delay": 1, "fragments": 2}, codec={"name": "int4", "block": 64})


@pytest.fixture(scope="module")
def delayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("delayed") / "run"
    train(CONFIG, folder, on_event=lambda event: None)
    return folder


def index(said: list[Statement], kind: type[Statement], **quantities: int) -> int:
    """Place of the first statement of a kind with these quantities."""
    wanted = quantities.items()
    return next(
        at
        for at, item in enumerate(said)
        if isinstance(item, kind) and all(getattr(item, name) == value for name, value in wanted)
    )


def test_a_round_opens_as_soon_as_the_one_before_is_closed_and_trains_while_that_is_aggregated(delayed: Path) -> None:
    said = statements(delayed)
    for number in range(3):
        opened = index(said, RoundOpen, round=number + 1)
        assert opened == index(said, CommitClose, round=number) + 1
        assert opened < index(said, Published, round=number) < index(said, Aggregated, round=number)
        assert index(said, Aggregated, round=number) < index(said, CommitClose, round=number + 1)


def test_every_round_starts_from_the_checkpoint_before_the_last(delayed: Path) -> None:
    said = statements(delayed)
    made = [item.checkpoint for item in said if isinstance(item, Aggregated)]
    bases = [item.base for item in said if isinstance(item, RoundOpen)]
    assert bases == [bases[0], bases[0], *made[:2]]
    assert judged(delayed).exit_code == ExitCode.DONE


@pytest.mark.parametrize("fragments", [1, 2])
def test_a_stranger_replays_all_of_it_bit_for_bit(delayed: Path, fragments: int, tmp_path: Path) -> None:
    bundle = delayed / "bundle"
    if fragments == 2:
        bundle = train(FRAGMENTS, tmp_path / "run", on_event=lambda event: None).bundle
    report = replay_bundle(bundle, "1", seed="s", on_event=lambda kind, data: None)
    assert report.checked == len(report.rows) == 4 * 3 * 4
    assert {row.outcome for row in report.rows} == {"exact"}


def test_the_run_says_how_much_was_hidden_behind_training(delayed: Path) -> None:
    hidden = tell_story(read_events(delayed / "events.jsonl")).hidden
    assert hidden is not None
    assert 0 < hidden.hidden <= hidden.seconds
    assert "Rounds overlap: " in write_report(delayed).path.read_text()


def before(folder: RunFolder, place: int) -> tuple[Ledger, Gate]:
    """Ledger and gate of a finished run as they were before entry ``place``."""
    spec = RunSpec.from_bytes(folder.spec.read_bytes())
    store, leaves = BlobStore(folder.store), Dataset.open(folder.dataset).split("train").leaves
    seats = local_stage(CONFIG, Keyring(folder.keys)).seats
    ledger = Ledger(spec)
    for entry in entries(folder.path)[:place]:
        ledger.file(Signed.from_bytes(entry))
    return ledger, Gate(store, History(spec, store), leaves, seats, folder.environments)


def test_a_worker_commits_to_a_round_only_after_the_one_before_is_published(delayed: Path) -> None:
    """Otherwise it could leave a gap between two rounds that no verifier can look into."""
    said = statements(delayed)
    place = index(said, Published, round=1)
    ledger, gate = before(RunFolder(delayed), place)
    assert ledger.last_round() == 2
    receipt = said[index(said, Receipt, round=2, worker=said[place].worker)]  # type: ignore[attr-defined]
    with pytest.raises(Contradiction, match="has not published an earlier round"):
        gate.check(ledger, receipt)
    ledger.file(Signed.from_bytes(entries(delayed)[place]))
    gate.check(ledger, receipt)


def test_a_publication_may_come_until_the_round_after_next_is_over(delayed: Path) -> None:
    said = statements(delayed)
    published = said[index(said, Published, round=0)]
    for latest, reason in ((2, "is not in the store"), (3, "publishes round 0 too late")):
        ledger, gate = before(RunFolder(delayed), index(said, RoundOpen, round=latest) + 1)
        with pytest.raises(AttestrainError, match=reason):  # the states that it needs are deleted by now
            gate.check(ledger, published)

"""A sequencer that merges otherwise than the updates say."""

from __future__ import annotations

from pathlib import Path

import pytest

from attestrain.errors import ExitCode, Refuted
from attestrain.record.names import Round
from attestrain.record.spec import RunSpec
from attestrain.record.statements import Signed
from attestrain.rules.ledger import Ledger
from attestrain.run.folder import RunFolder
from attestrain.run.follower import History
from attestrain.store.blobs import BlobStore
from tests.faults.chaos import Running, entries, judged, tiny_config


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunSpec, Ledger, dict[Round, bytes | None], Path]:
    """A finished run that merges: its ledger, and the merged updates that a worker would have been sent."""
    path = tmp_path_factory.mktemp("merged") / "run"
    with Running(path, tiny_config(merge={"name": "int4", "block": 64})) as run:
        assert run.wait() == 0, (path / "conductor.log").read_text()
    assert judged(path).exit_code == ExitCode.DONE
    folder = RunFolder(path)
    spec = RunSpec.from_bytes(folder.spec.read_bytes())
    ledger = Ledger(spec)
    for entry in entries(path):
        ledger.file(Signed.from_bytes(entry))
    served = History(spec, BlobStore(folder.store), serves=True)
    served.checkpoint(ledger, Round(spec.schedule.rounds))
    store = BlobStore(folder.store)
    merged = {round_: None if ref is None else store.get(ref) for round_, ref in served.merged.items()}
    return spec, ledger, merged, path


World = tuple[RunSpec, Ledger, dict[Round, bytes | None], Path]


def following(world: World, merged: dict[Round, bytes | None], tmp_path: Path) -> History:
    """The checkpoints of a worker that has no update at all, only what it is sent as merged ones."""
    return History(world[0], BlobStore(tmp_path / "nothing"), lambda round_, most: merged[round_])


def test_merged_updates_alone_lead_to_the_last_checkpoint(world: World, tmp_path: Path) -> None:
    spec, ledger, merged, _ = world
    last = Round(spec.schedule.rounds)
    found = following(world, merged, tmp_path).checkpoint(ledger, last)
    assert found.record.digest == ledger.checkpoint(last)


def test_a_merged_update_of_another_round_is_refused(world: World, tmp_path: Path) -> None:
    _, ledger, merged, _ = world
    lies = merged | {Round(1): merged[Round(0)]}
    with pytest.raises(Refuted, match="round 1 was merged wrongly"):
        following(world, lies, tmp_path).checkpoint(ledger, Round(2))


def test_merged_values_that_the_updates_do_not_give_are_found_by_the_digest(world: World, tmp_path: Path) -> None:
    _, ledger, merged, _ = world
    data = bytearray(merged[Round(0)] or b"")
    data[-1] ^= 0x10
    with pytest.raises(Refuted, match=r"merged wrongly|does not follow"):
        following(world, merged | {Round(0): bytes(data)}, tmp_path).checkpoint(ledger, Round(1))


def test_saying_that_nothing_was_merged_is_found_by_the_digest(world: World, tmp_path: Path) -> None:
    _, ledger, merged, _ = world
    with pytest.raises(Refuted, match="does not follow"):
        following(world, merged | {Round(0): None}, tmp_path).checkpoint(ledger, Round(1))

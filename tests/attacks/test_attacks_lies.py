"""Strangers who tamper with a finished bundle: every named lie is given away by the claim it is known for."""

from __future__ import annotations

from pathlib import Path

import pytest

from attestrain.cli.lies import LIES, tamper, tell
from attestrain.errors import ExitCode, UsageError
from attestrain.record.bundle import FolderFiles
from attestrain.verify.verdict import Outcome
from attestrain.verify.verifier import verify, verify_folder
from tests.attacks.anchored_world import anchored_world
from tests.attacks.world import World, honest_world, tiny_spec


def test_the_honest_world_is_verified() -> None:
    files, policy = honest_world()
    verdict = verify(files, policy)
    assert verdict.outcome is Outcome.VERIFIED
    assert verdict.exit_code == ExitCode.DONE


WORLDS = {"recorded": honest_world, "chain": anchored_world}
EVERYWHERE = [(where, name) for where in WORLDS for name in LIES if where == "chain" or not LIES[name].chain]


@pytest.mark.parametrize(("where", "name"), EVERYWHERE)
def test_a_lie_is_given_away_by_its_claim(where: str, name: str) -> None:
    files, policy = WORLDS[where]()
    verdict = verify(tell(files, name), policy)
    missing = {check.claim for check in verdict.checks if check.missing}
    assert verdict.outcome in (Outcome.REFUTED, Outcome.UNDECIDED)
    assert LIES[name].claim in {*verdict.failed_claims, *missing}


# A forged run takes a pin or a chain, hidden work leaves the verdict undecided.
QUIET = {("recorded", "forge-run"), ("recorded", "hide-update"), ("chain", "hide-update")}


@pytest.mark.parametrize(("where", "name"), sorted({*EVERYWHERE} - QUIET))
def test_without_pins_a_lie_still_contradicts_something(where: str, name: str) -> None:
    files, _ = WORLDS[where]()
    assert verify(tell(files, name)).outcome is Outcome.REFUTED


def test_only_pins_tell_a_forged_run_from_the_real_one() -> None:
    files, policy = honest_world()
    forged = tell(files, "forge-run")
    verdict = verify(forged)
    assert verdict.outcome is Outcome.CONSISTENT
    assert "replayed" in verdict.self_asserted
    assert verify(forged, policy).failed_claims == (2, 9)


def test_a_lie_leaves_the_honest_bundle_alone() -> None:
    files, _ = honest_world()
    before = dict(files)
    tell(files, "doctored-optimizer")
    assert files == before


def test_tamper_writes_a_new_folder(tmp_path: Path) -> None:
    files, policy = honest_world()
    for path, data in files.items():
        target = tmp_path / "bundle" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    assert verify_folder(tmp_path / "bundle", policy).outcome is Outcome.VERIFIED
    lie = tamper(tmp_path / "bundle", "poison-model", tmp_path / "lie")
    assert verify_folder(tmp_path / "lie", policy).failed_claims == (lie.claim,)
    assert sorted(FolderFiles(tmp_path / "lie").paths()) == sorted(files)
    with pytest.raises(UsageError, match="exists already"):
        tamper(tmp_path / "bundle", "poison-model", tmp_path / "lie")
    with pytest.raises(UsageError, match="is not a bundle"):
        tamper(tmp_path / "nowhere", "poison-model", tmp_path / "other")


def test_an_unknown_lie_and_a_lie_without_hold_are_usage_errors() -> None:
    files, _ = honest_world()
    with pytest.raises(UsageError, match="no lie is called"):
        tell(files, "white-lie")
    for name in (name for name, lie in LIES.items() if lie.chain):
        with pytest.raises(UsageError, match="this run has no"):
            tell(files, name)
    dense = World(tiny_spec(codec="dense")).play()
    with pytest.raises(UsageError, match="keep no component ef"):
        tell(dense.files, "doctored-feedback")

from __future__ import annotations

from typing import Any, cast

import pytest

from attestrain.record.bundle import MANIFEST, Bundle, MemoryFiles, make_manifest
from attestrain.record.names import Round, Worker
from attestrain.record.statements import Receipt
from attestrain.replay.lanes import Lane, plan, read_state, state_path
from attestrain.train.state import state_refs, state_to_blobs
from attestrain.verify.receipts import Work
from tests.unit.replay_world import WORKER, World, honest_world

UNREAD = cast(Receipt, None)
"""Planning looks at traces alone."""
SEGMENTS = 4


@pytest.fixture(scope="module")
def world() -> World:
    return honest_world("muon", rounds=3)


def bundle_of(world: World, **files: bytes) -> Bundle:
    found = MemoryFiles(files)
    found[MANIFEST] = make_manifest(world.spec.run_id, found).to_bytes()
    return Bundle(found)


def kept_states(world: World, round_: int, *, params: bool = False) -> dict[str, bytes]:
    state = world.rounds[round_].states[1]
    refs, blobs = state_refs(state), state_to_blobs(state)
    return {state_path(refs[name]): blobs[name] for name in state if params or name != "params"}


def planned(world: World, bundle: Bundle, drawn: set[Any], missing: tuple[int, ...] = ()) -> Lane:
    works = {
        (Round(round_), WORKER): Work(UNREAD, work.trace)
        for round_, work in enumerate(world.rounds)
        if round_ not in missing
    }
    lane = Lane(WORKER, [Round(0), Round(1), Round(2)], drawn=set(drawn))
    plan(bundle, world.spec, works, lane)
    return lane


def test_without_kept_states_everything_before_is_executed(world: World) -> None:
    lane = planned(world, bundle_of(world), {(1, 2)})
    assert lane.planned == {(0, segment) for segment in range(SEGMENTS)} | {(1, 0), (1, 1), (1, 2)}
    assert lane.starts == {(0, 0)}


def test_a_kept_state_is_where_execution_starts(world: World) -> None:
    lane = planned(world, bundle_of(world, **kept_states(world, 1)), {(1, 2), (2, 0)})
    assert lane.planned == {(1, 1), (1, 2), (1, 3), (2, 0)}


def test_adopt_is_before_the_kept_state_of_its_round(world: World) -> None:
    lane = planned(world, bundle_of(world, **kept_states(world, 1)), {(1, 0)})
    assert lane.planned == {(0, segment) for segment in range(SEGMENTS)} | {(1, 0)}


def test_a_state_kept_in_part_starts_nothing(world: World) -> None:
    files = kept_states(world, 1)
    files.popitem()
    assert (1, 1) not in planned(world, bundle_of(world, **files), {(1, 1)}).starts


def test_a_round_that_was_never_published_cannot_be_crossed(world: World) -> None:
    lane = planned(world, bundle_of(world), {(0, 3), (2, 1)}, missing=(1,))
    assert lane.planned == {(0, segment) for segment in range(SEGMENTS)}
    beyond = planned(world, bundle_of(world, **kept_states(world, 2)), {(2, 2)}, missing=(1,))
    assert beyond.planned == {(2, 1), (2, 2)}


def test_nothing_drawn_is_nothing_planned(world: World) -> None:
    assert planned(world, bundle_of(world, **kept_states(world, 1)), set()).planned == set()


def test_places_follow_each_other_across_missed_rounds() -> None:
    lane = Lane(Worker(0), [Round(0), Round(3)])
    assert lane.after((Round(0), 1), SEGMENTS) == (0, 2)
    assert lane.after((Round(0), 3), SEGMENTS) == (3, 0)
    assert lane.after((Round(3), 3), SEGMENTS) is None


def test_a_state_comes_from_the_bundle_and_the_checkpoint(world: World) -> None:
    bundle = bundle_of(world, **kept_states(world, 1))
    refs = world.rounds[1].trace.states[1]
    state = read_state(bundle, world.spec, refs, world.checkpoints[1])
    assert state is not None
    assert state_refs(state) == refs
    assert read_state(bundle, world.spec, refs, world.checkpoints[0]) is None


def test_stored_bytes_that_are_not_the_component_make_no_state(world: World) -> None:
    files = kept_states(world, 1)
    forged = {path: bytes(len(data)) for path, data in files.items()}
    refs = world.rounds[1].trace.states[1]
    assert read_state(bundle_of(world, **forged), world.spec, refs, world.checkpoints[1]) is None

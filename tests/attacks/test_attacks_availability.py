"""Keepers that lie, lose and forge, and a worker that codes falsely: one mutation each of an honest world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from attestrain.availability.dispersing import disperse
from attestrain.availability.keeping import accept, answer, own_shards
from attestrain.availability.retrieval import FalselyCoded, Retrieval, audit, repair
from attestrain.errors import FormatError, Unreachable
from attestrain.record.blob import CELL, blob_ref
from attestrain.record.certificate import Certificate, SignedBy, acknowledge
from attestrain.record.digest import sha256
from attestrain.record.dispersal import Commitment
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address, Round
from attestrain.rules.certificates import allot, tally
from attestrain.rules.coding import FalseCoding, proves
from tests.attacks.keepers_world import DATA, SLOT, World, falsely_coded, honest_keepers, keeper_keys

pytest.importorskip("pyeclib", reason="erasure coding needs pyeclib")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return honest_keepers(tmp_path)


@pytest.fixture
def seven(tmp_path: Path) -> World:
    return honest_keepers(tmp_path, keepers=7, parity=4)


def test_the_honest_world_is_certified_and_says_what_it_survives(world: World, seven: World) -> None:
    four = tally(world.dispersal, world.certificate(world.acknowledgements[:3]))
    assert (four.certified, four.needed, four.losses, four.liars, four.rejected) == (True, 3, 1, 1, ())
    many = tally(seven.dispersal, seven.certificate(seven.acknowledgements[2:]))
    assert (many.certified, many.needed, many.losses, many.liars) == (True, 5, 2, 2)


@pytest.mark.parametrize("harm", [World.wipe, World.spoil], ids=["gone", "lying"])
def test_any_f_of_the_acknowledging_keepers_may_fail(seven: World, harm: Callable[[World, Address], None]) -> None:
    acknowledged = list(seven.keys)[:5]
    assert tally(seven.dispersal, seven.certificate(seven.acknowledgements[:5])).certified
    for keeper in list(seven.keys)[5:]:
        seven.wipe(keeper)
    for failing in list(combinations(acknowledged, 2)):
        kept = {name: list(seven.depots[name].objects.list()) for name in failing}
        saved = {
            held.name: seven.depots[name].objects.read(held.name, 0, held.size)
            for name in failing
            for held in kept[name]
        }
        for keeper in failing:
            harm(seven, keeper)
        retrieval = seven.retrieval()
        assert retrieval.get() == DATA
        assert {item.keeper for item in retrieval.failures if item.keeper in acknowledged} <= set(failing)
        for name in failing:
            for held in kept[name]:
                seven.depots[name].objects.put(held.name, saved[held.name])


def test_the_liar_is_named_and_told_from_the_silent(world: World) -> None:
    first, second = world.dispersal.keepers[:2]
    world.spoil(first)
    world.wipe(second)
    retrieval = world.retrieval()
    assert retrieval.get() == DATA
    assert [(item.keeper, item.lied) for item in retrieval.failures] == [(first, True), (second, False)]


def test_with_one_loss_too_many_nothing_is_returned(world: World) -> None:
    for keeper in list(world.keys)[:3]:
        world.spoil(keeper)
    with pytest.raises(Unreachable, match="lacks 1 of the 2 shards"):
        world.retrieval().get()


def test_a_lost_shard_is_made_again(world: World) -> None:
    for shard in range(world.dispersal.shape.shards):
        made = bytearray()
        repair(world.retrieval(), [shard], lambda _, cell, made=made: made.extend(cell))
        assert bytes(made) == world.shards[shard]
        assert blob_ref(made) == world.dispersal.shard(shard)


@pytest.mark.parametrize("spare", [0, 1, 2])
def test_acknowledgements_do_not_count_twice(world: World, spare: int) -> None:
    twice = [*world.acknowledgements[:2], *world.acknowledgements[:spare]]
    counted = tally(world.dispersal, world.certificate(twice))
    assert (counted.certified, counted.shards) == (False, 2)


def forged(item: SignedBy) -> SignedBy:
    return replace(item, signature=bytes([item.signature[0] ^ 1]) + item.signature[1:])


def test_acknowledgements_that_do_not_count(world: World) -> None:
    stranger = SigningKey(sha256(b"a stranger"))
    other = replace(world.dispersal, until=Round(10))
    keys = list(world.keys.values())
    for third in (
        acknowledge(world.dispersal, stranger),
        acknowledge(other, keys[2]),
        forged(world.acknowledgements[2]),
        replace(world.acknowledgements[1], keeper=keys[2].address),
    ):
        counted = tally(world.dispersal, world.certificate([*world.acknowledgements[:2], third]))
        assert not counted.certified
        assert counted.rejected == (third.keeper,)


def test_a_certificate_of_another_dispersal(world: World) -> None:
    with pytest.raises(FormatError, match="another dispersal"):
        tally(replace(world.dispersal, round=Round(4)), world.certificate())


def test_a_large_keeper_counts_by_its_shards(tmp_path: Path) -> None:
    keys = list(keeper_keys(4).values())
    stakes = {key.address: stake for key, stake in zip(keys, (4, 1, 1, 1), strict=True)}
    commitment, _ = disperse(DATA, SLOT, 4, allot(stakes, 7))
    signed = tuple(acknowledge(commitment.dispersal, key) for key in keys[:2])
    counted = tally(commitment.dispersal, Certificate(commitment.dispersal.digest(), signed))
    assert (counted.certified, counted.shards, counted.losses, counted.liars) == (True, 5, 2, 0)


def test_a_keeper_signs_for_nothing_that_it_does_not_have(world: World) -> None:
    key = next(iter(world.keys.values()))
    (mine,) = own_shards(world.dispersal, key.address)
    spoiled = bytearray(world.shards[mine])
    spoiled[5] ^= 1
    for given in ({mine: bytes(spoiled)}, {}, {mine + 1: world.shards[mine + 1]}, {mine: world.shards[mine][:-1]}):
        with pytest.raises(FormatError):
            accept(world.depots[key.address], key, world.commitment, given)
    stranger = SigningKey(sha256(b"a stranger"))
    with pytest.raises(FormatError):
        accept(world.depots[key.address], stranger, world.commitment, {})


def test_a_commitment_whose_blob_is_not_its_shards_is_refused(world: World) -> None:
    dispersal = replace(world.dispersal, blob=blob_ref(bytes(len(DATA))))
    with pytest.raises(FormatError, match="blob's root"):
        Commitment.from_bytes(dispersal, world.commitment.to_bytes())
    moved = world.dispersal.roots[::-1]
    with pytest.raises(FormatError, match="do not lead"):
        Commitment.from_bytes(replace(world.dispersal, roots=moved), world.commitment.to_bytes())


def test_a_sample_is_answered_with_the_committed_cell_or_not_at_all(world: World) -> None:
    keeper = world.dispersal.keepers[1]
    proof = answer(world.depots[keeper], world.commitment, 1, 2)
    assert proof.holds(world.dispersal)
    assert proof.cell == world.shards[1][2 * CELL : 3 * CELL]
    for wrong in (
        replace(proof, stripe=1),
        replace(proof, shard=0),
        replace(proof, shard=9),
        replace(proof, stripe=99),
        replace(proof, cell=proof.cell[:-1]),
        replace(proof, cell=bytes(CELL)),
        replace(proof, path=proof.path[:-1]),
        replace(proof, path=(*proof.path, proof.path[0])),
    ):
        assert not wrong.holds(world.dispersal)
    world.spoil(keeper)
    with pytest.raises(FormatError):
        answer(world.depots[keeper], world.commitment, 1, 2)
    world.wipe(keeper)
    with pytest.raises(Unreachable):
        answer(world.depots[keeper], world.commitment, 1, 2)


@pytest.mark.parametrize("shard", [2, 3])
@pytest.mark.parametrize("at", [0, CELL + 7, -1])
def test_false_parity_is_caught_and_proved_without_the_codec(world: World, shard: int, at: int) -> None:
    lie, shards = falsely_coded(world.shards, world.commitment, shard, at)

    def read(index: int, start: int, length: int) -> bytes:
        return shards[index][start : start + length]

    def from_parity(index: int, start: int, length: int) -> bytes:
        if index < 2:
            raise Unreachable("gone")
        return read(index, start, length)

    for find in (lambda: audit(Retrieval(lie, read)), lambda: Retrieval(lie, from_parity).get()):
        with pytest.raises(FalselyCoded) as caught:
            find()
        proof = FalseCoding.from_bytes(caught.value.proof.to_bytes())
        assert proves(lie.dispersal, proof)
        with pytest.raises(FormatError, match="another dispersal"):
            proves(world.dispersal, proof)


def test_no_fraud_proof_convicts_an_honest_worker(world: World) -> None:
    retrieval = world.retrieval()
    audit(retrieval)
    cells = {shard: world.shards[shard][CELL : 2 * CELL] for shard in (0, 3)}
    honest = retrieval.accuse(1, dict(cells), 2)
    assert not proves(world.dispersal, honest)
    assert not proves(world.dispersal, retrieval.accuse(1, dict(cells), 1))
    last = world.dispersal.shape.stripes - 1
    ends = {shard: world.shards[shard][last * CELL :] for shard in (0, 2)}
    assert not proves(world.dispersal, retrieval.accuse(last, dict(ends), 1))
    first = honest.cells[0]
    for wrong in (
        replace(honest, cells=honest.cells[:1]),
        replace(honest, cells=(first, first)),
        replace(honest, cells=()),
        replace(honest, cells=(first, replace(honest.cells[1], stripe=0))),
        replace(honest, cells=(first, replace(honest.cells[1], cell=bytes(CELL)))),
        replace(honest, shard=0),
        replace(honest, shard=60),
        replace(honest, leaf=sha256(b"another")),
        replace(honest, path=honest.path[::-1]),
    ):
        with pytest.raises(FormatError):
            proves(world.dispersal, wrong)


def test_a_short_last_cell_hides_no_lie(tmp_path: Path) -> None:
    """Parity over bytes beyond the end of the blob: data that decodes to more than the blob has."""
    world = honest_keepers(tmp_path, data=DATA[: CELL + 100])
    lie, shards = falsely_coded(world.shards, world.commitment, 2, CELL - 1)

    def read(index: int, start: int, length: int) -> bytes:
        if index in (1, 3):
            raise Unreachable("gone")
        return shards[index][start : start + length]

    with pytest.raises(FalselyCoded) as caught:
        Retrieval(lie, read).get()
    assert proves(lie.dispersal, caught.value.proof)

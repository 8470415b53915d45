from __future__ import annotations

import hashlib
from fractions import Fraction
from itertools import combinations, pairwise
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attestrain.availability.codec import decode, encode
from attestrain.availability.dispersing import disperse, disperse_stream
from attestrain.availability.retrieval import Retrieval
from attestrain.errors import FormatError, Unreachable
from attestrain.record.blob import CELL, blob_ref
from attestrain.record.cells import CellProof, prove_cell
from attestrain.record.certificate import Certificate, acknowledge
from attestrain.record.digest import Digest, sha256
from attestrain.record.dispersal import Commitment, Dispersal
from attestrain.record.keys import SigningKey
from attestrain.record.names import Address
from attestrain.record.shape import MAX_DISPERSED, Shape
from attestrain.rules.certificates import allot
from attestrain.rules.coding import FalseCoding
from attestrain.rules.galois import code_row, invert, multiply, recompute, weights
from attestrain.rules.sampling import draw_cells, miss_probability
from tests.attacks.keepers_world import SLOT

pytest.importorskip("pyeclib", reason="erasure coding needs pyeclib")

SOURCE = hashlib.shake_256(b"source").digest(40 * CELL)
KEY = SigningKey(sha256(b"keeper"))
SIZES = st.builds(lambda cells, extra: cells * CELL + extra, st.integers(0, 9), st.sampled_from([1, 2, 4097, CELL - 1]))
SHAPES = st.builds(Shape, st.integers(1, 1 << 23), st.integers(1, 32), st.integers(2, 32))


def dispersed(data: bytes, k: int, m: int) -> tuple[Commitment, list[bytes]]:
    return disperse(data, SLOT, m, tuple(Address(f"0x{index:040x}") for index in range(k + m)))


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_the_field_is_a_field(a: int, b: int, c: int) -> None:
    assert multiply(a, b) == multiply(b, a)
    assert multiply(a, multiply(b, c)) == multiply(multiply(a, b), c)
    assert multiply(a, b ^ c) == multiply(a, b) ^ multiply(a, c)
    assert multiply(a, 1) == a
    if a:
        assert multiply(a, invert(a)) == 1


def test_zero_has_no_inverse() -> None:
    with pytest.raises(ZeroDivisionError):
        invert(0)


@settings(max_examples=60)
@given(st.integers(1, 32), st.integers(2, 32), st.integers(1, 300), st.data())
def test_our_rows_are_the_codecs(k: int, m: int, width: int, data: st.DataObject) -> None:
    cells = [SOURCE[index * 301 : index * 301 + width] for index in range(k)]
    cells[-1] = cells[-1][: data.draw(st.integers(0, width))]
    coded = [*cells, *map(bytes, encode(cells, m, width))]
    known = dict(data.draw(st.permutations(list(enumerate(coded))))[:k])
    decoded = decode(known, k, m, width)
    assert [bytes(cell) for cell in decoded] == [cell.ljust(width, b"\0") for cell in cells]
    for wanted in range(k + m):
        assert recompute(k, known, wanted, width) == coded[wanted].ljust(width, b"\0")


def test_the_codec_refuses_more_shards_than_it_has() -> None:
    with pytest.raises(FormatError, match="64 shards"):
        encode([b"x"] * 33, 32, 1)


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(2, 12), st.data())
def test_weights_of_any_rows_give_any_other(k: int, m: int, data: st.DataObject) -> None:
    known = data.draw(st.permutations(range(k + m)))[:k]
    wanted = data.draw(st.integers(0, k + m - 1))
    total = [0] * k
    for factor, shard in zip(weights(k, known, wanted), known, strict=True):
        total = [value ^ multiply(factor, entry) for value, entry in zip(total, code_row(k, shard), strict=True)]
    assert total == code_row(k, wanted)


@given(SHAPES)
def test_the_parts_of_a_shape_add_up(shape: Shape) -> None:
    data = range(shape.data)
    assert sum(shape.shard_size(shard) for shard in data) == shape.size
    assert sum(shape.shard_cells(shard) for shard in data) == shape.cells
    assert sum(shape.shard_cells(shard) for shard in range(shape.shards)) == shape.all_cells
    for shard in range(shape.shards):
        sizes = [shape.cell_size(shard, stripe) for stripe in range(shape.stripes)]
        assert sum(sizes) == shape.shard_size(shard)
        assert sum(size > 0 for size in sizes) == shape.shard_cells(shard)
        assert all(size == CELL for size in sizes[: shape.shard_cells(shard) - 1])
    last = shape.stripes - 1
    assert [shard for shard in data if not shape.cell_size(shard, last)] == list(shape.empty(last))
    assert shape.quorum - shape.losses == shape.data
    assert shape.quorum + shape.losses <= shape.shards


@pytest.mark.parametrize(
    ("size", "data", "parity"),
    [(0, 2, 2), (1, 0, 2), (1, 2, 1), (1, 33, 32), (MAX_DISPERSED + 1, 2, 2), (MAX_DISPERSED, 2, 3)],
)
def test_shapes_that_are_none(size: int, data: int, parity: int) -> None:
    with pytest.raises(FormatError):
        Shape(size, data, parity)


@settings(max_examples=30)
@given(SIZES, st.integers(1, 5), st.integers(2, 5), st.data())
def test_any_k_shards_give_the_blob_back(size: int, k: int, m: int, data: st.DataObject) -> None:
    blob = SOURCE[:size]
    commitment, shards = dispersed(blob, k, m)
    assert commitment.dispersal.blob == blob_ref(blob)
    assert [commitment.dispersal.shard(index) for index in range(k + m)] == [blob_ref(shard) for shard in shards]
    left = set(data.draw(st.permutations(range(k + m)))[:k])

    def read(shard: int, start: int, length: int) -> bytes:
        if shard not in left:
            raise Unreachable("gone")
        return shards[shard][start : start + length]

    assert Retrieval(commitment, read).get() == blob


def test_every_pair_of_losses_of_a_blob_of_many_batches() -> None:
    blob = SOURCE + SOURCE[:77]
    commitment, shards = dispersed(blob, 2, 2)
    for left in combinations(range(4), 2):

        def read(shard: int, start: int, length: int, left: tuple[int, ...] = left) -> bytes:
            if shard not in left:
                raise Unreachable("gone")
            return shards[shard][start : start + length]

        assert Retrieval(commitment, read).get() == blob


@settings(max_examples=20)
@given(st.lists(st.integers(0, 5 * CELL), max_size=4), st.integers(1, 3))
def test_pieces_of_any_size_are_dispersed_alike(cuts: list[int], k: int) -> None:
    bounds = sorted({0, 5 * CELL, *cuts})
    pieces = [SOURCE[start:end] for start, end in pairwise(bounds)]
    whole, _ = dispersed(SOURCE[: 5 * CELL], k, 2)
    keepers = whole.dispersal.keepers
    assert disperse_stream(pieces, whole.dispersal.shape, SLOT, keepers, lambda shard, cell: None) == whole
    for wrong in (pieces[:-1], [*pieces, b"x"]):
        with pytest.raises(FormatError, match="announced"):
            disperse_stream(wrong, whole.dispersal.shape, SLOT, keepers, lambda shard, cell: None)


COMMITMENT, SHARDS = dispersed(SOURCE[: 5 * CELL + 99], 2, 2)
DISPERSAL = COMMITMENT.dispersal
CERTIFICATE = Certificate(DISPERSAL.digest(), (acknowledge(DISPERSAL, KEY),) * 2)
FRAUD = Retrieval(COMMITMENT, lambda *_: b"").accuse(2, {0: SHARDS[0][2 * CELL :], 2: SHARDS[2][2 * CELL :]}, 1)


def test_documents_come_back_as_they_were_written() -> None:
    assert Dispersal.from_bytes(DISPERSAL.to_bytes()) == DISPERSAL
    assert Commitment.from_bytes(DISPERSAL, COMMITMENT.to_bytes()) == COMMITMENT
    assert Certificate.from_bytes(CERTIFICATE.to_bytes()) == CERTIFICATE
    assert FalseCoding.from_bytes(FRAUD.to_bytes()) == FRAUD
    proof = prove_cell(COMMITMENT, 1, 1, SHARDS[1][CELL : 2 * CELL])
    assert CellProof.from_json(proof.to_json()) == proof


@settings(max_examples=200)
@given(st.sampled_from([Dispersal, Certificate]), st.data())
def test_a_changed_document_is_another_one_or_a_format_error(
    kind: type[Dispersal] | type[Certificate], data: st.DataObject
) -> None:
    original = (DISPERSAL if kind is Dispersal else CERTIFICATE).to_bytes()
    changed = bytearray(original)
    changed[data.draw(st.integers(0, len(original) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = kind.from_bytes(bytes(changed))
    except FormatError:
        return
    assert read.to_bytes() == bytes(changed)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_format_error(data: bytes) -> None:
    for read in (Dispersal.from_bytes, Certificate.from_bytes, FalseCoding.from_bytes):
        with pytest.raises(FormatError):
            read(data)
    with pytest.raises(FormatError):
        Commitment.from_bytes(DISPERSAL, data)


@settings(max_examples=50)
@given(st.integers(0, 8 * len(COMMITMENT.to_bytes()) - 1))
def test_no_bit_of_the_leaves_can_change(bit: int) -> None:
    data = bytearray(COMMITMENT.to_bytes())
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        Commitment.from_bytes(DISPERSAL, data)


@given(st.dictionaries(st.integers(0, 9), st.integers(0, 10**24), min_size=1), st.integers(1, 64))
def test_shards_are_allotted_by_stake(numbers: dict[int, int], shards: int) -> None:
    stakes = {Address(f"0x{number:040x}"): stake for number, stake in numbers.items()}
    if not sum(stakes.values()):
        with pytest.raises(FormatError):
            allot(stakes, shards)
        return
    allotment = allot(stakes, shards)
    assert len(allotment) == shards
    for keeper, stake in stakes.items():
        assert abs(Fraction(shards * stake, sum(stakes.values())) - allotment.count(keeper)) < 1


def test_a_negative_stake_is_refused() -> None:
    with pytest.raises(FormatError):
        allot({Address("0xa"): 3, Address("0xb"): -1}, 4)


@settings(max_examples=40)
@given(SHAPES, st.binary(min_size=32, max_size=32), st.integers(1, 40))
def test_a_sample_is_of_different_cells_that_exist(shape: Shape, seed: bytes, samples: int) -> None:
    drawn = draw_cells(shape, Digest(seed), samples)
    assert len(set(drawn)) == len(drawn) == min(samples, shape.all_cells)
    assert all(shape.cell_size(shard, stripe) for shard, stripe in drawn)


def test_all_cells_are_drawn_once_when_all_are_asked_for() -> None:
    shape = DISPERSAL.shape
    every = {(shard, stripe) for shard in range(shape.shards) for stripe in range(shape.shard_cells(shard))}
    assert set(draw_cells(shape, sha256(b"seed"), 1000)) == every


@given(st.integers(1, 60), st.data())
def test_the_miss_probability_counts_the_samples_that_miss(cells: int, data: st.DataObject) -> None:
    missing = data.draw(st.integers(0, cells))
    samples = data.draw(st.integers(0, cells))
    expected = Fraction(comb(cells - missing, samples), comb(cells, samples))
    assert miss_probability(cells, missing, samples) == expected

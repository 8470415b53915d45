"""RLP refuses what the reference library refuses; a storage's proofs, and what becomes of spoilt ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rlp
from hypothesis import given
from hypothesis import strategies as st
from rlp.exceptions import RLPException

from attestrain.errors import FormatError
from attestrain.rules.rlp import MAX_DEPTH, MAX_ITEMS, decode, encode, encode_integer, integer
from attestrain.rules.trie import lookup, read_slot
from tests.state import Trie, storage_trie

ITEMS = st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=4), max_leaves=20)
KEYS = st.binary(max_size=8)
TRIES = st.dictionaries(KEYS, st.binary(min_size=1, max_size=60), max_size=40)


def depth(item: Any) -> int:
    return 0 if isinstance(item, bytes) else 1 + max(map(depth, item), default=0)


@given(st.integers(0, 2**256 - 1))
def test_integers_agree_with_the_reference_library(value: int) -> None:
    data = rlp.encode(value)
    assert encode_integer(value) == data
    assert integer(decode(data), 32) == value


def small(item: Any) -> bool:
    return isinstance(item, bytes) or (len(item) <= MAX_ITEMS and all(map(small, item)))


@given(st.binary(max_size=80) | ITEMS.map(rlp.encode).flatmap(lambda data: st.permutations(data).map(bytes)))
def test_what_the_reference_library_refuses_is_refused_and_nothing_else(data: bytes) -> None:
    try:
        expected = rlp.decode(data)
    except RLPException:
        expected = None
    try:
        found = decode(data)
    except FormatError:
        assert expected is None or depth(expected) > MAX_DEPTH or not small(expected)
    else:
        assert found == expected
        assert encode(found) == data


@given(st.dictionaries(st.integers(0, 2**16), st.integers(0, 2**256 - 1), max_size=30), st.integers(0, 2**16))
def test_every_slot_is_read_as_it_was_written(slots: dict[int, int], slot: int) -> None:
    trie = storage_trie(slots)
    for place in (*slots, slot):
        key = place.to_bytes(32, "big")
        assert int.from_bytes(read_slot(trie.root, key, trie.proof(key)), "big") == slots.get(place, 0)


@st.composite
def spoilt(draw: st.DrawFn, proof: Sequence[bytes], foreign: Sequence[bytes]) -> tuple[bytes, ...]:
    """A proof with a bit flipped, or a node dropped, doubled, taken from elsewhere, cut short or exchanged."""
    nodes = list(proof)
    place = draw(st.integers(0, len(nodes) - 1))
    kind = draw(st.sampled_from(["flip", "drop", "double", "foreign", "cut", "exchange", "replace"]))
    if kind == "flip":
        bit = draw(st.integers(0, 8 * len(nodes[place]) - 1))
        nodes[place] = (int.from_bytes(nodes[place], "big") ^ 1 << bit).to_bytes(len(nodes[place]), "big")
    elif kind == "drop":
        del nodes[place]
    elif kind == "double":
        nodes.insert(place, nodes[place])
    elif kind == "foreign":
        nodes.insert(draw(st.integers(0, len(nodes))), draw(st.sampled_from(foreign)))
    elif kind == "cut":
        nodes[place] = nodes[place][: draw(st.integers(0, len(nodes[place]) - 1))]
    elif kind == "exchange":
        other = draw(st.integers(0, len(nodes) - 1))
        nodes[place], nodes[other] = nodes[other], nodes[place]
    else:
        nodes[place] = draw(st.sampled_from(foreign))
    return tuple(nodes)


@given(TRIES.filter(bool), TRIES.filter(bool), KEYS, st.data())
def test_a_spoilt_proof_proves_nothing(
    items: dict[bytes, bytes], others: dict[bytes, bytes], key: bytes, data: st.DataObject
) -> None:
    trie, other = Trie(items), Trie(others)
    name = data.draw(st.sampled_from([*items, key]))
    proof = trie.proof(name)
    foreign = [node for held in (trie, other) for node in held.proof(data.draw(st.sampled_from([*others, *items])))]
    changed = data.draw(spoilt(proof, foreign))
    try:
        found = lookup(trie.root, name, changed)
    except FormatError:
        assert changed != proof
    else:
        assert (changed, found) == (proof, items.get(name))

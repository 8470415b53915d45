"""RLP, tries, headers and chain facts against other people's libraries, and against anything at all."""

from __future__ import annotations

import contextlib
from functools import cache

import pytest
import rlp
from eth_utils.crypto import keccak
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.chain import ChainFacts
from attestrain.record.digest import sha256
from attestrain.rules.header import read_header
from attestrain.rules.rlp import decode, encode
from attestrain.rules.trie import lookup, read_account, read_slot
from tests.contracts import Contracts
from tests.state import Trie, header

EXAMPLES = settings(max_examples=60)
ITEMS = st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=5), max_leaves=12)


def depth(item: object) -> int:
    return 1 + max(map(depth, item), default=0) if isinstance(item, list) else 0


@given(ITEMS)
def test_rlp_is_that_of_the_reference_library(item: bytes | list[object]) -> None:
    assert encode(item) == rlp.encode(item)
    assume(depth(item) <= 4)
    assert decode(rlp.encode(item)) == item


@given(st.binary(max_size=120))
def test_any_bytes_are_one_rlp_item_or_malformed(data: bytes) -> None:
    try:
        item = decode(data)
    except FormatError:
        return
    assert rlp.encode(item) == data


KEYS = st.binary(min_size=1, max_size=3)
CONTENTS = st.dictionaries(KEYS, st.binary(min_size=1, max_size=40), max_size=24)


@EXAMPLES
@given(CONTENTS, st.lists(KEYS, max_size=8))
def test_everything_there_is_proved_and_everything_else_absent(contents: dict[bytes, bytes], more: list[bytes]) -> None:
    trie = Trie(contents)
    for key in {*contents, *more}:
        assert lookup(trie.root, key, trie.proof(key)) == contents.get(key)


BIG = {bytes([number]): sha256(bytes([number])) for number in range(60)}


@cache
def big() -> Trie:
    return Trie(BIG)


@EXAMPLES
@given(st.integers(0, 90), st.integers(0), st.integers(0, 7))
def test_a_proof_with_any_bit_flipped_is_malformed(key: int, place: int, bit: int) -> None:
    proof = list(big().proof(bytes([key])))
    index = place % len(proof)
    node = bytearray(proof[index])
    node[place % len(node)] ^= 1 << bit
    proof[index] = bytes(node)
    with pytest.raises(FormatError):
        lookup(big().root, bytes([key]), proof)


@EXAMPLES
@given(st.integers(0, 90), st.integers(0, 90), st.integers(0), st.sampled_from(["drop", "add", "swap", "cut"]))
def test_a_proof_of_other_nodes_is_malformed(key: int, other: int, place: int, how: str) -> None:
    proof = list(big().proof(bytes([key])))
    honest, at = list(proof), place % len(proof)
    if how == "drop":
        del proof[at]
    elif how == "add":
        proof.insert(at, big().proof(bytes([other]))[-1])
    elif how == "swap":
        proof[at], proof[-1] = proof[-1], proof[at]
    else:
        proof[at] = proof[at][: place % len(proof[at])]
    assume(proof != honest)
    with pytest.raises(FormatError):
        lookup(big().root, bytes([key]), proof)


@given(st.integers(0, 90), st.integers(0, 90))
def test_a_proof_of_another_key_says_nothing_false(key: int, other: int) -> None:
    proof = big().proof(bytes([other]))
    try:
        found = lookup(big().root, bytes([key]), proof)
    except FormatError:
        return
    assert found == BIG.get(bytes([key]))


@given(st.binary(min_size=1, max_size=32), st.lists(st.binary(max_size=120), max_size=4))
def test_any_nodes_are_a_proof_or_malformed(key: bytes, proof: list[bytes]) -> None:
    for read in (lookup, read_account, read_slot):
        with pytest.raises(FormatError):
            read(big().root, key, proof)


NODES = st.lists(ITEMS, min_size=2, max_size=17)


@given(NODES)
def test_any_single_node_under_its_own_hash_is_read_or_malformed(node: list[object]) -> None:
    data = rlp.encode(node)
    for read in (lookup, read_account, read_slot):
        try:
            read(keccak(data), b"key", (data,))  # type: ignore[arg-type]
        except FormatError:
            continue


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.binary(min_size=32, max_size=32))
def test_headers_are_read_back(number: int, timestamp: int, root: bytes) -> None:
    for kind in ("london", "cancun", "prague"):
        found = read_header(header(number, timestamp, root, kind))
        assert (found.number, found.timestamp, found.state_root) == (number, timestamp, root)


@given(st.integers(0), st.integers(0, 7), st.integers(0, 3))
def test_a_changed_header_is_malformed_or_of_another_hash(place: int, bit: int, cut: int) -> None:
    honest = header(17, 1_800_000_000, bytes(32))
    data = bytearray(honest)
    data[place % len(data)] ^= 1 << bit
    changed = bytes(data[: len(data) - cut])
    with contextlib.suppress(FormatError):
        assert read_header(changed).hash != read_header(honest).hash


@cache
def facts() -> bytes:
    there = Contracts()
    run = sha256(b"run")
    there.open(run, there.addresses["cases"], 1, 1)
    there.write_run(run)
    return there.facts((), (there.case(run, (1, 2, 3), there.addresses["vault"], 1),)).to_bytes()


@EXAMPLES
@given(st.integers(0), st.binary(max_size=6), st.integers(0, 6))
def test_changed_facts_are_read_back_or_malformed(place: int, inserted: bytes, cut: int) -> None:
    data = facts()
    at = place % (len(data) + 1)
    changed = data[:at] + inserted + data[at + cut :]
    with contextlib.suppress(FormatError):
        assert ChainFacts.from_bytes(changed).to_bytes() == changed

from __future__ import annotations

import pytest
import rlp
from eth_utils.crypto import keccak

from attestrain.errors import FormatError
from attestrain.record.digest import Digest
from attestrain.rules.trie import EMPTY_CODE, EMPTY_TRIE, MAX_NODE, MAX_NODES, lookup, read_account, read_slot
from tests.state import Trie, digits, prefixed, state_trie, storage_trie

KEYS = [bytes([number]) for number in range(40)]
LARGE = Trie({key: b"value of " + key for key in KEYS})


def test_an_empty_trie_holds_nothing() -> None:
    assert Trie({}).root == EMPTY_TRIE
    assert lookup(EMPTY_TRIE, b"any", ()) is None
    with pytest.raises(FormatError, match="beside the way"):
        lookup(EMPTY_TRIE, b"any", (b"\x80",))


@pytest.mark.parametrize("key", KEYS)
def test_what_is_there_is_proved(key: bytes) -> None:
    assert lookup(LARGE.root, key, LARGE.proof(key)) == b"value of " + key


@pytest.mark.parametrize("key", [b"", b"absent", *(bytes([number, 0]) for number in range(20))])
def test_what_is_not_there_is_proved_absent(key: bytes) -> None:
    assert lookup(LARGE.root, key, LARGE.proof(key)) is None


def test_an_account_is_read() -> None:
    trie = state_trie(
        {KEYS[1]: (3, 10**20, bytes(EMPTY_TRIE), bytes(EMPTY_CODE)), KEYS[2]: (0, 0, bytes(32), b"c" * 32)}
    )
    assert read_account(trie.root, KEYS[1], trie.proof(KEYS[1])) == (3, 10**20, EMPTY_TRIE, EMPTY_CODE)
    assert read_account(trie.root, KEYS[3], trie.proof(KEYS[3])) is None


@pytest.mark.parametrize(
    "fields", [[b"", b"", bytes(32)], [b"", b"", b"short", bytes(32)], [b"\x00", b"", bytes(32), bytes(32)]]
)
def test_a_malformed_account_is_refused(fields: list[bytes]) -> None:
    trie = Trie({b"a": rlp.encode(fields)})
    with pytest.raises(FormatError):
        read_account(trie.root, b"a", trie.proof(b"a"))


def test_slots_are_read_as_words_and_zero_where_nothing_is() -> None:
    trie = storage_trie({1: 5, 2: 2**256 - 1, 77: 0})
    for slot, value in ((1, 5), (2, 2**256 - 1), (77, 0), (3, 0)):
        key = slot.to_bytes(32, "big")
        assert int.from_bytes(read_slot(trie.root, key, trie.proof(key)), "big") == value


@pytest.mark.parametrize("value", [rlp.encode(b""), rlp.encode(bytes(33)), rlp.encode([]), b"\x81\x01", b""])
def test_a_malformed_word_is_refused(value: bytes) -> None:
    trie = Trie({b"s": value})
    with pytest.raises(FormatError):
        read_slot(trie.root, b"s", trie.proof(b"s"))


def single(*node: object) -> tuple[Digest, tuple[bytes, ...]]:
    """A proof of one node of one's own making."""
    data = rlp.encode(list(node))
    return Digest(keccak(data)), (data,)


PATH = digits(keccak(b"key"))


@pytest.mark.parametrize(
    "node",
    [
        (prefixed(PATH, leaf=True),),
        (prefixed(PATH, leaf=True), b"value", b"more"),
        (b"", b"value"),
        (b"\x40" + keccak(b"key"), b"value"),
        (b"\x21" + keccak(b"key"), b"value"),  # not filled up with zero
        (prefixed((), leaf=False), bytes(32)),  # an extension by nothing
        ([b"\x20"], b"value"),
        (prefixed(PATH, leaf=True), [b"a", b"b"]),
        (prefixed(PATH[:1], leaf=False), b"not a digest"),
        (prefixed(PATH[:1], leaf=False), [b"\x20", bytes(40)]),  # 32 bytes or more, and inside another
        (prefixed(PATH[:1], leaf=False), []),
        [[b"a"]] * 17,
        [b"x"] * 16,
    ],
)
def test_a_malformed_node_is_refused(node: tuple[object, ...]) -> None:
    root, proof = single(*node)
    with pytest.raises(FormatError):
        lookup(root, b"key", proof)


def test_small_nodes_stand_inside_others() -> None:
    leaf = [prefixed(PATH[1:], leaf=True), b"v"]
    short = [prefixed(PATH[1:3], leaf=True), b"v"]
    branch: list[object] = [b""] * 17
    branch[PATH[0]] = short
    assert len(rlp.encode(short)) < 32 <= len(rlp.encode(leaf))
    root, proof = single(*branch)
    assert lookup(root, b"key", proof) is None
    branch[PATH[0]] = leaf
    with pytest.raises(FormatError, match="stands inside another"):
        lookup(single(*branch)[0], b"key", single(*branch)[1])


@pytest.mark.parametrize("proof", [(b"x",) * (MAX_NODES + 1), (bytes(MAX_NODE + 1),)])
def test_proofs_are_bounded(proof: tuple[bytes, ...]) -> None:
    with pytest.raises(FormatError, match="longer than any key"):
        lookup(LARGE.root, b"key", proof)


def test_extensions_that_nest_for_ever_end_with_the_key() -> None:
    inner: list[object] = [prefixed(PATH[3:4], leaf=False), []]
    for digit in PATH[2:0:-1]:
        inner = [prefixed((digit,), leaf=False), inner]
    with pytest.raises(FormatError):
        lookup(*_triple(single(prefixed(PATH[:1], leaf=False), inner)))


def _triple(made: tuple[Digest, tuple[bytes, ...]]) -> tuple[Digest, bytes, tuple[bytes, ...]]:
    return made[0], b"key", made[1]

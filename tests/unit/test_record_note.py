from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestrain.errors import FormatError
from attestrain.record.digest import Digest
from attestrain.record.note import (
    MAX_NOTE,
    MAX_SIGNATURES,
    Checkpoint,
    LogKey,
    VerifierKey,
    decode_base64,
    open_checkpoint,
    parse_vkey,
    sign_checkpoint,
    verify_note,
)

# The example of golang.org/x/mod/sumdb/note, the implementation the C2SP format was taken from.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SEED = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_NOTE = (
    GO_TEXT + "\n\N{EM DASH} PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

KEY = LogKey("example.com/log", bytes(32))
OTHER = LogKey("example.com/log", bytes(31) + b"\x01")
CHECKPOINT = Checkpoint("example.com/log", 7, Digest(bytes(range(32))))
NOTE = sign_checkpoint(CHECKPOINT, KEY)


def signature_line(key: LogKey, text: str) -> bytes:
    return key.sign(text).removeprefix(text.encode() + b"\n")


def test_the_reference_example_signs_and_verifies_byte_for_byte():
    key = LogKey("PeterNeumann", GO_SEED)
    assert key.vkey == GO_VKEY
    assert key.sign(GO_TEXT) == GO_NOTE
    assert verify_note(GO_NOTE, [parse_vkey(GO_VKEY)]) == GO_TEXT


def test_verifier_key_reads_back():
    assert parse_vkey(KEY.vkey) == KEY.verifier
    assert str(parse_vkey(KEY.vkey)) == KEY.vkey


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "x",
        "a+b",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        GO_VKEY.replace("c74f20a3", "c74f20a4"),
        GO_VKEY.replace("c74f20a3", "C74F20A3"),
        GO_VKEY.replace("PeterNeumann", "PeterNeuman"),
        GO_VKEY.replace("PeterNeumann", "Peter Neumann"),
        GO_VKEY + "AA==",
        GO_VKEY[:-4],
        GO_VKEY.replace("+ARpc", "+Ahpc"),
        GO_VKEY + "\n",
    ],
)
def test_malformed_verifier_keys_are_refused(vkey):
    with pytest.raises(FormatError):
        parse_vkey(vkey)


@pytest.mark.parametrize("name", ["", "a b", "a+b", " a", "a\u2003b", "a\n", "x" * 257])
def test_names_that_cannot_stand_in_a_note_are_refused(name):
    with pytest.raises(FormatError):
        VerifierKey(name, bytes(32))


def test_unknown_signatures_are_ignored_and_known_ones_must_be_right():
    text = CHECKPOINT.to_text()
    both = NOTE + signature_line(OTHER, text)
    assert verify_note(both, [KEY.verifier]) == verify_note(both, [OTHER.verifier]) == text
    assert verify_note(both, [KEY.verifier, OTHER.verifier]) == text
    spoiled = NOTE + signature_line(OTHER, text + "more\n")
    assert verify_note(spoiled, [KEY.verifier]) == text
    with pytest.raises(FormatError, match="is wrong"):
        verify_note(spoiled, [KEY.verifier, OTHER.verifier])
    with pytest.raises(FormatError, match="not signed by a known key"):
        verify_note(NOTE, [OTHER.verifier])


def test_text_may_hold_blank_lines_and_the_last_one_separates():
    text = "first\n\nsecond\n\n"
    assert verify_note(KEY.sign(text), [KEY.verifier]) == text


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n",
        CHECKPOINT.to_text().encode(),
        NOTE[:-1],
        NOTE + b"\n",
        NOTE.replace(b"\n\n", b"\n"),
        NOTE.replace(b"\n", b"\r\n"),
        NOTE.replace("\N{EM DASH}".encode(), b"-"),
        NOTE + b"text\n",
        NOTE + "\N{EM DASH} name\n".encode(),
        NOTE + "\N{EM DASH} name AAAA\n".encode(),
        NOTE + "\N{EM DASH} name AAAAAAAB=\n".encode(),
        NOTE + "\N{EM DASH} a+b AAAAAAAA\n".encode(),
        NOTE + "\N{EM DASH}  AAAAAAAA\n".encode(),
        NOTE.replace(b"7", b"7\t"),
        b"\xff" + NOTE,
        NOTE + "\N{EM DASH} name AAAAAAAA\n".encode() * MAX_SIGNATURES,
        NOTE + b"x" * MAX_NOTE,
    ],
)
def test_malformed_notes_are_refused(note):
    with pytest.raises(FormatError):
        verify_note(note, [KEY.verifier])


def test_readers_accept_at_least_sixteen_signatures_of_five_kilobytes():
    line = ("\N{EM DASH} witness.example " + base64.b64encode(bytes(4999)).decode() + "\n").encode()
    assert verify_note(NOTE + line * 15, [KEY.verifier]) == CHECKPOINT.to_text()


@given(st.integers(0, len(NOTE) * 8 - 1))
def test_no_single_bit_of_a_note_can_change(bit):
    flipped = bytearray(NOTE)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FormatError):
        verify_note(bytes(flipped), [KEY.verifier])


def test_checkpoint_reads_back():
    assert open_checkpoint(NOTE, KEY.verifier) == CHECKPOINT


@pytest.mark.parametrize(
    "text",
    [
        "example.com/other\n7\n" + CHECKPOINT.to_text().split("\n")[2] + "\n",
        CHECKPOINT.to_text() + "extension\n",
        CHECKPOINT.to_text().replace("\n7\n", "\n07\n"),
        CHECKPOINT.to_text().replace("\n7\n", "\n+7\n"),
        CHECKPOINT.to_text().replace("\n7\n", "\n-7\n"),
        CHECKPOINT.to_text().replace("\n7\n", "\n7 \n"),
        CHECKPOINT.to_text().replace("\n7\n", "\n\N{FULLWIDTH DIGIT SEVEN}\n"),
        CHECKPOINT.to_text().replace("\n7\n", "\n9007199254740992\n"),
        CHECKPOINT.to_text().replace("\n7\n", "\n99999999999999999999\n"),
        "example.com/log\n7\nAAAA\n",
        "example.com/log\n7\n\n",
        "example.com/log\n7\n",
        "\n",
    ],
)
def test_well_signed_texts_that_are_no_checkpoints_are_refused(text):
    with pytest.raises(FormatError):
        open_checkpoint(KEY.sign(text), KEY.verifier)


def test_a_key_signs_only_for_its_own_log():
    with pytest.raises(FormatError, match="does not speak for"):
        sign_checkpoint(Checkpoint("example.com/other", 0, CHECKPOINT.root), KEY)


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "nul\0\n"])
def test_unsignable_texts(text):
    with pytest.raises(FormatError):
        KEY.sign(text)


def test_seeds_are_checked_and_never_printed():
    with pytest.raises(FormatError):
        LogKey("a", bytes(31))
    key = LogKey.generate("a")
    assert key.to_bytes().hex() not in repr(key)
    assert LogKey.from_seed("a", key.to_bytes()).vkey == key.vkey


@pytest.mark.parametrize("text", ["A", "AA", "AAA", "AA=A", "AB==", "A A=", "-_==", "é", "AAAA\n"])
def test_base64_has_one_spelling(text):
    with pytest.raises(FormatError):
        decode_base64(text)

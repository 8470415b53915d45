from __future__ import annotations

import pytest

from attestrain.errors import FormatError
from attestrain.record.digest import Digest
from attestrain.record.merkle import verify_consistency
from attestrain.record.note import Checkpoint, LogKey, open_checkpoint, sign_checkpoint
from attestrain.record.proof import make_proof, verify_proof
from attestrain.record.tiles import MAX_ENTRY, tiles_of
from attestrain.record.transcript import CHECKPOINT_PATH, Log, read_log

KEY = LogKey("example.com/log", bytes(32))
ENTRIES = [b"entry %d" % i for i in range(300)]


def files_of(log: Log) -> dict[str, bytes]:
    return log.files(log.checkpoint(KEY))


def test_append_counts_and_keeps_the_root_of_every_prefix():
    log, roots = Log(), []
    for index, entry in enumerate(ENTRIES):
        assert log.append(entry) == index
        roots.append(log.root())
    assert [log.root(size) for size in range(1, 301)] == roots
    assert len(set(roots)) == 300
    assert (len(log), log[7], list(log.entries(298))) == (300, ENTRIES[7], ENTRIES[298:])
    for old in (1, 2, 255, 256, 257, 299, 300):
        assert verify_consistency(old, 300, roots[old - 1], roots[-1], log.consistency(old))


def test_oversized_entries_are_refused_and_nothing_changes():
    log = Log(ENTRIES)
    before = log.root()
    with pytest.raises(FormatError, match="longer than"):
        log.append(b"x" * (MAX_ENTRY + 1))
    assert (len(log), log.root()) == (300, before)


def test_a_log_reads_back_from_its_files():
    for count in (0, 1, 255, 256, 300):
        log = Log(ENTRIES[:count])
        read, checkpoint = read_log(files_of(log).get, KEY.verifier)
        assert list(read.entries()) == ENTRIES[:count]
        assert checkpoint == Checkpoint("example.com/log", count, log.root())


def test_a_log_with_other_files_is_refused():
    log = Log(ENTRIES)
    files = files_of(log)
    other = {**tiles_of([*ENTRIES[:-1], b"entry X"]), CHECKPOINT_PATH: files[CHECKPOINT_PATH]}
    with pytest.raises(FormatError, match="do not have the root"):
        read_log(other.get, KEY.verifier)
    with pytest.raises(FormatError, match="no checkpoint"):
        read_log(tiles_of(ENTRIES).get, KEY.verifier)
    with pytest.raises(FormatError, match="not signed by a known key"):
        read_log(files.get, LogKey.generate("example.com/log").verifier)
    with pytest.raises(FormatError, match=r"hash tile tile/1/000\.p/1 is missing"):
        read_log({**files, "tile/1/000.p/1": None}.get, KEY.verifier)
    lie = sign_checkpoint(Checkpoint("example.com/log", 2**40, Digest(bytes(32))), KEY)
    with pytest.raises(FormatError, match="larger than"):
        read_log({**files, CHECKPOINT_PATH: lie}.get, KEY.verifier)


def test_checkpoint_is_the_head():
    log = Log(ENTRIES)
    assert open_checkpoint(log.checkpoint(KEY), KEY.verifier) == Checkpoint("example.com/log", 300, log.root())


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 300])
def test_proofs_verify_for_their_entry_only(size):
    log = Log(ENTRIES[:size])
    note = log.checkpoint(KEY)
    for index in {0, size // 2, size - 1}:
        proof = make_proof(log, index, note)
        assert verify_proof(proof, ENTRIES[index], KEY.verifier) == (index, open_checkpoint(note, KEY.verifier))
        with pytest.raises(FormatError, match="does not show"):
            verify_proof(proof, b"other", KEY.verifier)
        with pytest.raises(FormatError, match="not signed"):
            verify_proof(proof, ENTRIES[index], LogKey.generate("example.com/log").verifier)


def test_no_byte_of_a_proof_can_change():
    log = Log(ENTRIES[:5])
    proof = make_proof(log, 3, log.checkpoint(KEY))
    for at in range(len(proof)):
        for value in (proof[at] ^ 1, proof[at] ^ 32, 10):
            if value != proof[at]:
                with pytest.raises(FormatError):
                    verify_proof(proof[:at] + bytes([value]) + proof[at + 1 :], ENTRIES[3], KEY.verifier)
        with pytest.raises(FormatError):
            verify_proof(proof[:at], ENTRIES[3], KEY.verifier)


def test_malformed_proofs_are_refused():
    log = Log(ENTRIES[:5])
    proof = make_proof(log, 3, log.checkpoint(KEY)).decode()
    first = proof.split("\n")[2]
    for text in (
        "",
        proof.replace("@v1", "@v2"),
        proof.replace("index 3", "index 03"),
        proof.replace("index 3", "index -3"),
        proof.replace("index 3", "index 99999999999999999"),
        proof.replace("index 3\n", ""),
        proof.replace("index 3", "extra AAAA\nindex 3"),
        proof.replace(first, first[:-4]),
        proof.replace(first, f"{first}\n" * 65 + first),
        proof.replace("\n", "\r\n"),
        proof + "x" * 200_000,
    ):
        with pytest.raises(FormatError):
            verify_proof(text.encode(), ENTRIES[3], KEY.verifier)

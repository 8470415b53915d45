"""Offline proofs that one entry is in a log: C2SP tlog-proof@v1 (c2sp.org/tlog-proof).

A proof is text: the entry's index, its audit path and the log's signed checkpoint. Whoever has the entry's bytes and
the log's key needs nothing else.
"""

from __future__ import annotations

import re

from attestrain.errors import FormatError
from attestrain.record.digest import DIGEST_SIZE, Digest
from attestrain.record.merkle import MAX_PROOF, leaf_hash, verify_inclusion
from attestrain.record.note import MAX_NOTE, Checkpoint, VerifierKey, decode_base64, encode_base64, open_checkpoint
from attestrain.record.transcript import Log

FORMAT = "c2sp.org/tlog-proof@v1"
MAX_TEXT = MAX_NOTE + 8192
"""Longest proof read, in bytes: a checkpoint note, 64 hashes and a short head."""

_INDEX = re.compile(r"index (0|[1-9][0-9]{0,15})\Z")


def make_proof(log: Log, index: int, checkpoint: bytes) -> bytes:
    """Proof that entry ``index`` of ``log`` is in the tree of ``checkpoint``, a signed note over the log as it stands.

    Raises:
        IndexError: there is no such entry.
    """
    path = "".join(f"{encode_base64(digest)}\n" for digest in log.inclusion(index))
    return f"{FORMAT}\nindex {index}\n{path}\n".encode() + checkpoint


def verify_proof(proof: bytes, entry: bytes, key: VerifierKey) -> tuple[int, Checkpoint]:
    """Check that ``entry`` is in the log that ``key`` speaks for.

    Returns:
        The entry's index and the verified checkpoint.

    Raises:
        FormatError: the proof is malformed or too large, carries extra data (ours have none), its checkpoint is not
            signed by ``key``, or it does not lead from ``entry`` to the signed root.
    """
    index, path, note = _parse(proof)
    checkpoint = open_checkpoint(note, key)
    if not verify_inclusion(leaf_hash(entry), index, checkpoint.size, path, checkpoint.root):
        raise FormatError(f"proof does not show this entry at index {index} of the log")
    return index, checkpoint


def _parse(proof: bytes) -> tuple[int, list[Digest], bytes]:
    if len(proof) > MAX_TEXT:
        raise FormatError(f"proof of {len(proof)} bytes is larger than {MAX_TEXT}")
    head, blank, note = proof.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError("proof's head is not ASCII") from error
    match = _INDEX.match(lines[1]) if len(lines) > 1 else None
    if lines[0] != FORMAT or match is None or not blank:
        raise FormatError(f"proof does not begin with {FORMAT} and an index, or has no checkpoint")
    path = [Digest(decode_base64(line)) for line in lines[2 : 3 + MAX_PROOF]]
    if len(lines) > 2 + MAX_PROOF or any(len(digest) != DIGEST_SIZE for digest in path):
        raise FormatError(f"proof's path is not at most {MAX_PROOF} hashes of 32 bytes")
    return int(match[1]), path, note

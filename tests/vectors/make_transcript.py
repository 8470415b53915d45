"""Make vectors/note.json, vectors/transcript.json and vectors/blob.json: run it as a script to write them anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attestrain.record.blob import CELL, blob_ref
from attestrain.record.digest import sha256
from attestrain.record.note import Checkpoint, LogKey, sign_checkpoint
from attestrain.record.proof import make_proof
from attestrain.record.tiles import entries_path, tile_path
from attestrain.record.transcript import Log

FOLDER = Path(__file__).parents[2] / "vectors"

KEY = LogKey("attestrain.dev/runs/vector", b"attestrain test vector, a log k.")
SIZES = [1, 2, 3, 5, 255, 256, 257, 600]


def entry(index: int) -> bytes:
    """Entry ``index`` of every log in the vectors."""
    return b"entry %d" % index


def note() -> dict[str, Any]:
    """Notes: a key, a checkpoint, and notes that must be refused."""
    head = Log([entry(i) for i in range(5)])
    good = head.checkpoint(KEY)
    text = Checkpoint(KEY.name, 5, head.root()).to_text()
    other = LogKey(KEY.name, bytes(32))
    elsewhere = LogKey("attestrain.dev/runs/other", KEY.to_bytes())
    refused = {
        "signed by another key of the same name": other.sign(text),
        "signed for another log": sign_checkpoint(Checkpoint(elsewhere.name, 5, head.root()), elsewhere),
        "text changed after signing": good.replace(b"\n5\n", b"\n6\n"),
        "leading zero": KEY.sign(text.replace("\n5\n", "\n05\n")),
        "extension line": KEY.sign(text + "more\n"),
        "no signature": text.encode() + b"\n",
        "no blank line": good.replace(b"\n\n", b"\n"),
        "carriage returns": good.replace(b"\n", b"\r\n"),
        "bytes after the last newline": good + b"x",
        "base64 with leftover bits": good[:-3] + bytes([good[-3] + 1]) + good[-2:],
    }
    return {
        "seed": KEY.to_bytes().hex(),
        "vkey": KEY.vkey,
        "checkpoint": good.decode(),
        "also_signed_by_a_stranger": (good + other.sign(text).removeprefix(text.encode() + b"\n")).decode(),
        "refused": [{"why": why, "note": data.decode()} for why, data in refused.items()],
    }


def tree(size: int) -> dict[str, Any]:
    """One log of ``size`` entries: root, proofs, files."""
    log = Log([entry(i) for i in range(size)])
    note_ = log.checkpoint(KEY)
    picked = sorted({0, size // 2, size - 1})
    return {
        "size": size,
        "root": log.root().hex(),
        "inclusion": {str(i): [digest.hex() for digest in log.inclusion(i)] for i in picked},
        "consistency": {str(i + 1): [digest.hex() for digest in log.consistency(i + 1)] for i in picked},
        "files": {path: sha256(data).hex() for path, data in sorted(log.files(note_).items())},
        "proof": make_proof(log, picked[-1], note_).decode(),
    }


def transcript() -> dict[str, Any]:
    """Logs of several sizes, and paths."""
    numbers = [0, 999, 1000, 1_234_067]
    return {
        "vkey": KEY.vkey,
        "entries": "entry i is the ASCII text 'entry ' and i in decimal",
        "trees": [tree(size) for size in SIZES],
        "paths": [{"index": i, "full": tile_path(1, i), "partial": entries_path(i, 17)} for i in numbers],
    }


def blob() -> dict[str, Any]:
    """Blob references: byte i of the data is i modulo 251."""
    sizes = [0, 1, CELL - 1, CELL, CELL + 1, 3 * CELL, 5 * CELL + 7]
    return {
        "data": "byte i is i modulo 251",
        "references": [blob_ref(bytes(i % 251 for i in range(size))).to_json() for size in sizes],
    }


MAKERS = {"note": note, "transcript": transcript, "blob": blob}

if __name__ == "__main__":
    for name, make in MAKERS.items():
        (FOLDER / f"{name}.json").write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n")

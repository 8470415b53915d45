"""Make vectors/dispersal.json: `python -m tests.vectors.make_dispersal` from the root of the repository."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from attestrain.availability.dispersing import Slot, disperse
from attestrain.availability.retrieval import Retrieval
from attestrain.record.blob import CELL
from attestrain.record.certificate import Certificate, acknowledge, acknowledgement
from attestrain.record.digest import sha256
from attestrain.record.dispersal import Commitment
from attestrain.record.keys import SigningKey
from attestrain.record.merkle import leaf_hash, root_of_hashes
from attestrain.record.names import Branch, Round, RunId, Worker
from attestrain.rules.certificates import allot, tally
from attestrain.rules.coding import FalseCoding
from attestrain.rules.sampling import draw_cells

TARGET = Path(__file__).parents[2] / "vectors/dispersal.json"
SIZE = 2 * CELL + 7
SLOT = Slot(RunId(sha256(b"attestrain vectors")), Branch(0), Round(3), Worker(1), Round(9))
STAKES = (400, 300, 200, 100)
SHARDS = 7


def make_data() -> bytes:
    """Byte i is i modulo 251."""
    return (bytes(range(251)) * (SIZE // 251 + 1))[:SIZE]


def keys() -> list[SigningKey]:
    return [SigningKey(sha256(f"keeper {index}".encode())) for index in range(len(STAKES))]


def falsely_coded(commitment: Commitment, shards: list[bytes]) -> tuple[Commitment, FalseCoding]:
    """The first bit of the last shard flipped and committed to, and the proof of it."""
    spoiled = bytes([shards[-1][0] ^ 0x80]) + shards[-1][1:]
    leaves = (*commitment.leaves[:-1], (leaf_hash(spoiled),))
    lie = Commitment(replace(commitment.dispersal, roots=tuple(map(root_of_hashes, leaves))), leaves)
    known: dict[int, Any] = {index: shards[index] for index in (1, 2, 3)}
    return lie, Retrieval(lie, lambda *_: b"").accuse(0, known, SHARDS - 1)


def make() -> dict[str, Any]:
    stakes = {key.address: stake for key, stake in zip(keys(), STAKES, strict=True)}
    commitment, shards = disperse(make_data(), SLOT, 4, allot(stakes, SHARDS))
    dispersal = commitment.dispersal
    certificate = Certificate(dispersal.digest(), tuple(acknowledge(dispersal, key) for key in keys()[:2]))
    counted = tally(dispersal, certificate)
    lie, proof = falsely_coded(commitment, shards)
    return {
        "data": "byte i is i modulo 251",
        "stakes": stakes,
        "dispersal": dispersal.to_bytes().decode(),
        "digest": dispersal.digest().hex(),
        "shards": [sha256(shard).hex() for shard in shards],
        "leaves": commitment.to_bytes().hex(),
        "signing_digests": [acknowledgement(dispersal, key.address).signing_digest().hex() for key in keys()[:2]],
        "certificate": certificate.to_bytes().decode(),
        "tally": {
            "shards": counted.shards,
            "needed": counted.needed,
            "losses": counted.losses,
            "liars": counted.liars,
            "certified": counted.certified,
        },
        "sample": {"seed": dispersal.digest().hex(), "cells": draw_cells(dispersal.shape, dispersal.digest(), 4)},
        "false": {"dispersal": lie.dispersal.to_bytes().decode(), "proof": sha256(proof.to_bytes()).hex()},
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1) + "\n")

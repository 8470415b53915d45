"""Make vectors/dataset.json: run it as a script to write the file anew."""

from __future__ import annotations

import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from attestrain.corpus.build import build_dataset, build_from_documents
from attestrain.corpus.config import CorpusConfig
from attestrain.corpus.dataset import Dataset
from attestrain.corpus.sources import Document
from attestrain.record.dataset import (
    PUBLIC_SALT,
    batch_digest,
    derive_leaves,
    leaves_root,
    sequence_leaf,
    sequence_salt,
    split_leaves,
)

TARGET = Path(__file__).parents[2] / "vectors/dataset.json"

SECRET = bytes(range(32))
TEXT = b"The quick brown fox jumps over the lazy dog."


def sequences() -> list[dict[str, Any]]:
    """Leaves of single sequences."""
    cases = [
        (PUBLIC_SALT, "train", 0, TEXT[:9]),
        (PUBLIC_SALT, "train", 1, TEXT[:9]),
        (PUBLIC_SALT, "validation", 0, TEXT[:9]),
        (SECRET, "train", 0, TEXT[:9]),
        (SECRET, "test", 2**40, b"\x01\x00\xff\xff"),
    ]
    return [
        {
            "dataset_salt": salt.hex(),
            "split": split,
            "index": index,
            "tokens": tokens.hex(),
            "salt": sequence_salt(salt, split, index).hex(),
            "leaf": sequence_leaf(sequence_salt(salt, split, index), tokens).hex(),
        }
        for salt, split, index, tokens in cases
    ]


def splits() -> list[dict[str, Any]]:
    """Whole splits: token file to leaves and root, and one batch."""
    out = []
    for width, length, batch in [(1, 8, [4, 0, 2]), (2, 4, [1, 1]), (1, 43, [0]), (1, 44, [])]:
        leaves = derive_leaves(SECRET, "train", TEXT, token_bytes=width, sequence_tokens=length)
        digests = split_leaves(leaves)
        out.append(
            {
                "dataset_salt": SECRET.hex(),
                "split": "train",
                "tokens": TEXT.hex(),
                "token_bytes": width,
                "sequence_tokens": length,
                "leaves": [leaf.hex() for leaf in digests],
                "root": leaves_root(leaves).hex(),
                "batch": batch,
                "batch_digest": batch_digest([digests[i] for i in batch]).hex(),
            }
        )
    return out


def manifests(folder: Path) -> list[dict[str, Any]]:
    """Manifests with their digests: three tiny documents, and the packaged slice under default settings."""
    config = CorpusConfig(sequence_tokens=8, salt=SECRET.hex(), validation=Decimal("0.3"), name="three lines")
    documents = [Document(f"{name}.txt", TEXT[at : at + 20]) for at, name in enumerate("abc")]
    tiny = build_from_documents(documents, config, folder / "tiny")
    sliced = build_dataset(CorpusConfig(source="slice"), folder / "slice")
    return [{"digest": manifest.digest.hex(), "manifest": manifest.to_json()} for manifest in (tiny, sliced)]


def make() -> dict[str, Any]:
    """Everything in the file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        document = {"sequences": sequences(), "splits": splits(), "manifests": manifests(folder)}
        train = Dataset.open(folder / "slice").split("train")
        document["slice_batch"] = {
            "indices": [0, 6612, 3],
            "digest": train.batch([0, 6612, 3]).digest.hex(),
        }
    return document


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1) + "\n")

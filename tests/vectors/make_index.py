"""Make vectors/index.json: `python -m tests.vectors.make_index` from the root of the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attestrain.record.blob import CELL, blob_ref
from attestrain.record.digest import sha256
from attestrain.store.index import PART, Layout, leaves_of, make_index

TARGET = Path(__file__).parents[2] / "vectors/index.json"
SIZE = PART + CELL + 7


def make_data() -> bytes:
    """Byte i is i modulo 251."""
    return (bytes(range(251)) * (SIZE // 251 + 1))[:SIZE]


def make() -> dict[str, Any]:
    data = make_data()
    parts = [data[:PART], data[PART:]]
    index = make_index(
        SIZE, [blob_ref(part).root for part in parts], b"".join(leaf for part in parts for leaf in leaves_of(part))
    )
    return {
        "data": "byte i is i modulo 251",
        "reference": blob_ref(data).to_json(),
        "index_size": len(index),
        "head": index[: Layout(SIZE).head].hex(),
        "sha256": sha256(index).hex(),
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(make(), indent=1) + "\n")

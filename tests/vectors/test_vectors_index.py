from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.vectors.make_index import TARGET, make, make_data

STORED = json.loads(TARGET.read_text())
PAGE = Path(__file__).parents[2] / "spec/index.md"


def tree(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 over leaf hashes, as it is written there."""
    if len(leaves) == 1:
        return leaves[0]
    split = max(2**k for k in range(16) if 2**k < len(leaves))
    return hashlib.sha256(b"\1" + tree(leaves[:split]) + tree(leaves[split:])).digest()


def test_our_code_still_makes_the_stored_index() -> None:
    assert make() == STORED


def test_the_index_follows_from_the_written_layout_alone() -> None:
    data = make_data()
    leaves = [hashlib.sha256(b"\0" + data[at : at + 65_536]).digest() for at in range(0, len(data), 65_536)]
    assert tree(leaves).hex() == STORED["reference"]["root"]
    roots = [tree(leaves[:256]), tree(leaves[256:])]
    head = b"attestrain.dev/index@v1\n" + len(data).to_bytes(8, "big") + b"".join(roots)
    assert head.hex() == STORED["head"]
    assert hashlib.sha256(head + b"".join(leaves)).hexdigest() == STORED["sha256"]


def test_the_page_shows_the_stored_example() -> None:
    assert STORED["head"] in PAGE.read_text()

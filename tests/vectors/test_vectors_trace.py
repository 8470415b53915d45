from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

from attestrain.record.trace import Trace
from tests.vectors.make_trace import TARGET, make

STORED = json.loads(TARGET.read_text())
PAGE = Path(__file__).parents[2] / "spec/trace.md"


def tree(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 as it is written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    split = max(2**k for k in range(16) if 2**k < len(leaves))
    return hashlib.sha256(b"\1" + tree(leaves[:split]) + tree(leaves[split:])).digest()


def test_our_code_still_makes_the_stored_vectors():
    assert make() == STORED


def test_the_roots_follow_from_the_written_layout_alone():
    document = json.loads(STORED["document"])
    roots = []
    for state in document["states"]:
        leaves = []
        for name, ref in sorted(state.items()):
            head = struct.pack(">H", len(name)) + name.encode() + struct.pack(">Q", ref["size"])
            leaves.append(head + bytes.fromhex(ref["root"]))
        roots.append(tree(leaves))
    assert [root.hex() for root in roots] == STORED["state_roots"]
    leaves = []
    for index, segment in enumerate(document["segments"]):
        head = struct.pack(">BI", ["adopt", "inner", "compress"].index(segment["kind"]), index)
        steps = tree([bytes.fromhex(item) for item in segment["steps"]])
        leaves.append(head + roots[index] + roots[index + 1] + steps)
        assert steps.hex() == STORED["segments"][index]["steps_root"]
    assert [leaf.hex() for leaf in leaves] == [item["leaf"] for item in STORED["segments"]]
    assert tree(leaves).hex() == STORED["root"]


def test_a_result_follows_from_the_written_layout_alone():
    document, tag = json.loads(STORED["document"]), b"attestrain.dev/segment-result@v1"
    update = bytes.fromhex(document["update"]["root"]) + struct.pack(">Q", document["update"]["size"])
    for index, segment in enumerate(document["segments"]):
        roots = (STORED["state_roots"][index + 1], STORED["segments"][index]["steps_root"])
        parts = [segment["kind"].encode(), *map(bytes.fromhex, roots), update if index == 3 else b""]
        data = struct.pack(">I", len(tag)) + tag + b"".join(struct.pack(">Q", len(part)) + part for part in parts)
        assert hashlib.sha256(data).hexdigest() == STORED["segments"][index]["result"]


def test_the_trace_page_shows_the_stored_trace_verbatim():
    page = PAGE.read_text()
    assert f"```json\n{STORED['document']}\n```" in page
    assert STORED["root"] in page
    assert Trace.from_bytes(STORED["document"].encode()).to_bytes().decode() == STORED["document"]

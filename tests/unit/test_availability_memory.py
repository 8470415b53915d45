from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("pyeclib", reason="erasure coding needs pyeclib")

MEMORY = 300 << 20
"""Most resident memory of a process that disperses and fetches a blob of any size, in bytes."""

PROGRAM = """
import resource, sys
from attestrain.availability.dispersing import Slot, disperse_stream
from attestrain.availability.retrieval import Retrieval
from attestrain.record.digest import sha256
from attestrain.record.shape import Shape

size, piece = 4 << 30, bytes(1 << 24)
keepers = tuple(f"0x{index:040x}" for index in range(32))
pieces = (piece for _ in range(size // len(piece)))
commitment = disperse_stream(pieces, Shape(size, 16, 16), Slot(sha256(b"run"), 0, 0, 0, 0), keepers, lambda *_: None)
fetched = sum(map(len, Retrieval(commitment, lambda shard, start, length: bytes(length)).stream()))
unit = 1 if sys.platform == "darwin" else 1024
print(fetched, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


@pytest.mark.slow
def test_four_gibibytes_are_dispersed_and_fetched_in_bounded_memory() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    fetched, memory = map(int, done.stdout.split())
    assert fetched == 4 << 30
    assert memory < MEMORY

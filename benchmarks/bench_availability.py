"""What stands between bytes and their availability, next to what its engines alone can do, in one run on one thread.

    python benchmarks/bench_availability.py [MEBIBYTES] [FOLDER]      default: 64, a temporary folder

Best of three, of eight for files. MB/s count payload: a coding of 16 + 16 shards hashes and writes twice as much, so
that SHA-256 alone bounds it at half of its speed; "of both" is the share of codec and SHA-256 one after the other.
Lines of the store end with their share of what bounds them, the slower of SHA-256 and a plain file, written with one
fsync or read. Coding uses processor time, since other programs on the machine must not count; files use the clock.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from attestrain.availability import codec
from attestrain.availability.dispersing import Slot, disperse, disperse_stream
from attestrain.availability.retrieval import Retrieval
from attestrain.errors import Unreachable
from attestrain.record.blob import CELL
from attestrain.record.digest import sha256
from attestrain.record.names import Address, Branch, Round, RunId, Worker
from attestrain.record.shape import Shape
from attestrain.rules.sampling import miss_probability
from attestrain.store.depot import Depot
from attestrain.store.objects import FolderObjects

REPEATS = 3
TURNS = 8
WARM = 24 << 20
CODINGS = ((2, 2), (8, 8), (16, 16), (32, 32))
SLOT = Slot(RunId(sha256(b"bench")), Branch(0), Round(0), Worker(0), Round(0))


def best(call: Callable[[], object], clock: Callable[[], float]) -> float:
    """Seconds of the fastest of some calls."""
    times = []
    for _ in range(REPEATS):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def rate(data: bytes, call: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Payload in MB/s."""
    return len(data) / 1e6 / best(call, clock)


def encode_only(data: bytes, k: int, m: int) -> None:
    for at in range(0, len(data), k * CELL):
        codec.encode_joined(data[at : at + k * CELL], k, m, CELL)


def coding_row(data: bytes, k: int, m: int, sha: float) -> None:
    data = data[: len(data) // (k * CELL) * (k * CELL)]
    keepers = tuple(Address(f"0x{index:040x}") for index in range(k + m))
    shape = Shape(len(data), k, m)
    alone = rate(data, lambda: encode_only(data, k, m))
    whole = rate(data, lambda: disperse_stream([data], shape, SLOT, keepers, lambda shard, cell: None))
    commitment, shards = disperse(data, SLOT, m, keepers)

    def parity_only(shard: int, start: int, length: int) -> bytes:
        if shard < k:
            raise Unreachable("lost")
        return shards[shard][start : start + length]

    lost = rate(data, lambda: [None for _ in Retrieval(commitment, parity_only).stream()])
    both = 1 / (1 / alone + shape.shards / k / sha)
    shares = f"{whole / alone:>10.0%}{whole / both:>10.0%}"
    print(f"{f'{k} + {m}':<10}{alone:>12.0f}{whole:>16.0f}{shares}{lost:>22.0f}{shape.losses:>6}")


def write_file(path: Path, data: bytes) -> None:
    with path.open("wb", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())


def store_rows(data: bytes, folder: Path, sha: float) -> None:
    """Ours and the plain file in turn, so that the weather of the disk is the same for both.

    The store is one that has been in use: all its 256 folders exist. Every turn puts other bytes.
    """
    for number in range(256):
        (folder / f"kept/{number:02x}").mkdir(parents=True)
    depot = Depot(FolderObjects(folder / "kept"))
    ref = depot.put(data)
    turned = [data[turn + 1 :] + data[: turn + 1] for turn in range(TURNS)]
    kinds: dict[str, Callable[[int], object]] = {
        "write": lambda turn: write_file(folder / f"raw{turn}", turned[turn]),
        "put": lambda turn: depot.put(turned[turn]),
        "read": lambda turn: (folder / f"raw{turn}").read_bytes(),
        "get": lambda turn: [None for _ in depot.stream(ref)],
    }
    seconds = dict.fromkeys(kinds, float("inf"))
    for turn in range(TURNS):
        for kind, call in kinds.items():
            start = time.perf_counter()
            call(turn)
            seconds[kind] = min(seconds[kind], time.perf_counter() - start)
    rates = {kind: len(data) / 1e6 / value for kind, value in seconds.items()}
    for ours, plain in (("put", "write"), ("get", "read")):
        share = rates[ours] / min(rates[plain], sha)
        print(f"store {ours}: {rates[ours]:.0f} MB/s, a plain {plain} {rates[plain]:.0f}: {share:.0%} of its bound")


def main(mebibytes: int, folder: Path | None) -> None:
    # glibc gives large blocks back to the system until it has seen one freed; then all rows allocate alike.
    bytes(WARM)
    data = hashlib.shake_256(b"availability").digest(mebibytes << 20)
    sha = rate(data, lambda: hashlib.sha256(data).digest())
    print(f"{mebibytes} MiB; SHA-256 {sha:.0f} MB/s")
    shares = f"{'of codec':>10}{'of both':>10}"
    print(f"{'shards':<10}{'codec alone':>12}{'encode+commit':>16}{shares}{'decode, data lost':>22}{'f':>6}")
    for k, m in CODINGS:
        coding_row(data, k, m, sha)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        store_rows(data, Path(place), sha)
    missed = miss_probability(32 * 64, 32 * 64 // 4, 64)
    print(f"64 samples of 2048 cells, a quarter of them gone: missed with probability {float(missed):.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 64, Path(sys.argv[2]) if len(sys.argv) > 2 else None)

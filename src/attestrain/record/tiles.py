"""A finished log as static files: C2SP tlog-tiles (c2sp.org/tlog-tiles), hash tiles and entry bundles by path.

Pure: paths and bytes only. A tile holds up to 256 hashes of one level, a bundle up to 256 entries; only the last of
each kind may hold fewer and says so in its path. Everything a reader needs to recompute the root is in the bundles; the
hash tiles let others prove single entries without reading them all.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from attestrain.errors import FormatError
from attestrain.record.digest import Digest
from attestrain.record.merkle import leaf_hash, root_of_hashes

WIDTH = 256
"""Hashes in a full tile and entries in a full bundle."""
MAX_ENTRY = 65_535
"""Largest entry, in bytes: its length is a uint16."""
MAX_ENTRIES = 1 << 26
"""Most entries read: a run of a thousand workers and ten thousand rounds has about four statements per worker-round."""
MAX_BUNDLE = WIDTH * (2 + MAX_ENTRY)
"""Largest entry bundle, in bytes."""

Get = Callable[[str], bytes | None]
"""Fetches the file at a path of the log, or None where there is none."""


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """Path of a hash tile, such as ``tile/0/x001/234`` or, partial, ``tile/0/x001/234.p/17``."""
    return f"tile/{level}/{_numbered(index, width)}"


def entries_path(index: int, width: int = WIDTH) -> str:
    """Path of an entry bundle, such as ``tile/entries/000.p/3``."""
    return f"tile/entries/{_numbered(index, width)}"


def _numbered(index: int, width: int) -> str:
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    path = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    return path if width == WIDTH else f"{path}.p/{width}"


def tiles_of(entries: Sequence[bytes]) -> dict[str, bytes]:
    """Every tile and entry bundle of the log of ``entries``, by path.

    Raises:
        FormatError: an entry is longer than `MAX_ENTRY`.
    """
    bundles = {
        entries_path(at // WIDTH, len(entries[at : at + WIDTH])): encode_bundle(entries[at : at + WIDTH])
        for at in range(0, len(entries), WIDTH)
    }
    return {**_hash_tiles(entries), **bundles}


def _hash_tiles(entries: Sequence[bytes]) -> dict[str, bytes]:
    tiles: dict[str, bytes] = {}
    hashes: list[Digest] = [leaf_hash(entry) for entry in entries]
    level = 0
    while hashes:
        rows = [hashes[at : at + WIDTH] for at in range(0, len(hashes), WIDTH)]
        tiles.update((tile_path(level, index, len(row)), b"".join(row)) for index, row in enumerate(rows))
        hashes = [root_of_hashes(row) for row in rows if len(row) == WIDTH]
        level += 1
    return tiles


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries in one byte string, each behind its length as a big-endian uint16.

    Raises:
        FormatError: an entry is longer than `MAX_ENTRY`.
    """
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise FormatError(f"log entry of {len(entry)} bytes is longer than {MAX_ENTRY}")
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The ``width`` entries of a bundle.

    Raises:
        FormatError: an entry is cut off, or there are more or fewer.
    """
    entries: list[bytes] = []
    at = 0
    for _ in range(width):
        size = int.from_bytes(data[at : at + 2], "big")
        if at + 2 + size > len(data):
            raise FormatError(f"entry bundle ends before its entry {len(entries)}")
        entries.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    if at != len(data):
        raise FormatError(f"entry bundle holds more than {width} entries")
    return entries


def read_entries(get: Get, size: int) -> list[bytes]:
    """The ``size`` entries of a log, from its bundles. Compare their root with a signed checkpoint before use.

    Raises:
        FormatError: a bundle is missing, malformed or holds another number of entries, or ``size`` is out of bounds.
    """
    if not 0 <= size <= MAX_ENTRIES:
        raise FormatError(f"log of {size} entries is larger than {MAX_ENTRIES}")
    entries: list[bytes] = []
    while len(entries) < size:
        width = min(WIDTH, size - len(entries))
        path = entries_path(len(entries) // WIDTH, width)
        data = get(path)
        if data is None:
            raise FormatError(f"entry bundle {path} is missing")
        if len(data) > MAX_BUNDLE:
            raise FormatError(f"entry bundle {path} is larger than {MAX_BUNDLE} bytes")
        entries += decode_bundle(data, width)
    return entries


def check_tiles(get: Get, entries: Sequence[bytes]) -> None:
    """Check that the stored hash tiles are those of ``entries``: readers of single tiles must see the same log.

    Raises:
        FormatError: a tile is missing or differs.
    """
    for path, expected in _hash_tiles(entries).items():
        found = get(path)
        if found != expected:
            raise FormatError(f"hash tile {path} {'is missing' if found is None else 'does not follow from the log'}")

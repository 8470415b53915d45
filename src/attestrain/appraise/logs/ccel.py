"""CCEL: the crypto-agile event log that firmware and boot loader keep of a confidential guest.

Layout: TCG PC Client Platform Firmware Profile Specification, section "Event Logging" (TCG_PCR_EVENT for the header,
TCG_PCR_EVENT2 for the rest), where UEFI's Confidential Computing extension (UEFI Specification 2.10, section 38, "CC
event log") puts measurement register indices in place of PCR numbers: index 1 is RTMR0.
"""

from __future__ import annotations

from attestrain.appraise.cursor import Cursor
from attestrain.appraise.logs.entry import REGISTERS, Entry, EventLog
from attestrain.appraise.refused import require

FORMAT = "ccel"
MAX_LOG = 1 << 20
"""Largest log, in bytes: firmware reserves 64 or 256 KiB."""
MAX_ENTRIES = 4096
"""Most entries: a long boot with GRUB has about fifty."""
MAX_ALGORITHMS = 8
"""Most hash algorithms of a header: CCEL has one."""
SIGNATURE = b"Spec ID Event03\0"
NO_ACTION = 3
"""EV_NO_ACTION: an entry that informs and measures nothing."""
SHA384 = 0x000C
"""TPM_ALG_SHA384 (TCG Algorithm Registry): what extends RTMRs."""
SHA384_SIZE = 48
SHA1_SIZE = 20
"""The header has one digest of that size, all zeros, so that old readers can skip it."""
NEVER = 0xFFFFFFFF
"""No register has this index: behind the last entry the log is as firmware erased it."""
INDEX_AND_KIND = 8
"""Bytes of an entry's register index and type."""
_HEADER = (1).to_bytes(4, "little") + NO_ACTION.to_bytes(4, "little") + bytes(SHA1_SIZE)


def is_ccel(data: bytes) -> bool:
    """Whether ``data`` begin like a CCEL: its header, for register index 1, with the signature of the format."""
    start = len(_HEADER) + 4
    return data.startswith(_HEADER) and data[start : start + len(SIGNATURE)] == SIGNATURE


def read_ccel(data: bytes) -> EventLog:
    """Read a log as the firmware's table has it, the erased rest included.

    Raises:
        Refused: it is none, or malformed, cut short or too large.
    """
    require(len(data) <= MAX_LOG, f"the event log has {len(data)} bytes, more than {MAX_LOG}")
    require(is_ccel(data), "the event log does not begin with the header of a CCEL")
    cursor = Cursor(data, "the event log", "little")
    cursor.take(len(_HEADER))
    sizes = _read_header(cursor.sized(4))
    entries: list[Entry] = []
    for _ in range(MAX_ENTRIES):
        if _erased(cursor):
            return EventLog(FORMAT, tuple(entries))
        entries += _read_entry(cursor, sizes)
    require(_erased(cursor), f"the event log has more than {MAX_ENTRIES} entries")
    return EventLog(FORMAT, tuple(entries))


def _read_header(data: bytes) -> dict[int, int]:
    """TCG_EfiSpecIdEvent: sizes of the digests that each entry has, by algorithm."""
    cursor = Cursor(data, "the event log's header", "little")
    cursor.take(len(SIGNATURE))
    cursor.take(8)  # platform class, version of the profile, size of a pointer
    count = cursor.number(4)
    require(count <= MAX_ALGORITHMS, f"the event log has {count} hash algorithms, more than {MAX_ALGORITHMS}")
    sizes = {cursor.number(2): cursor.number(2) for _ in range(count)}
    require(len(sizes) == count, "the event log's header names a hash algorithm twice")
    require(sizes.get(SHA384) == SHA384_SIZE, "the event log has no SHA-384 digests of 48 bytes")
    cursor.sized(1)  # the vendor's own
    cursor.end()
    return sizes


def _erased(cursor: Cursor) -> bool:
    """Whether there is no further entry: erased memory reads as all ones, a fresh buffer as zeros.

    The rest is looked at once only: what begins as if erased and is not, is refused as an entry.
    """
    blank = next((byte for byte in (b"\xff", b"\0") if not cursor.peek(INDEX_AND_KIND).strip(byte)), None)
    return blank is not None and not cursor.peek(cursor.left).strip(blank)


def _read_entry(cursor: Cursor, sizes: dict[int, int]) -> list[Entry]:
    """TCG_PCR_EVENT2: the next entry; none if it measures nothing."""
    index, kind = cursor.number(4), cursor.number(4)
    require(index != NEVER, "the event log holds something behind its end")
    count = cursor.number(4)
    require(count == len(sizes), f"an entry of the event log has {count} digests, not {len(sizes)}")
    digests = {}
    for _ in range(count):
        algorithm = cursor.number(2)
        require(algorithm in sizes, f"an entry of the event log has a digest by unknown algorithm {algorithm:#06x}")
        digests[algorithm] = cursor.take(sizes[algorithm])
    require(len(digests) == count, "an entry of the event log has two digests by one algorithm")
    data = cursor.sized(4)
    if kind == NO_ACTION:
        return []
    require(1 <= index <= REGISTERS, f"an entry of the event log is for register index {index}, not 1 to {REGISTERS}")
    return [Entry(index - 1, kind, digests[SHA384], data)]

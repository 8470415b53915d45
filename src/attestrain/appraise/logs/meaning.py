"""What a boot event's digest covers, by its type, where the log carries those bytes.

Source: TCG PC Client Platform Firmware Profile Specification, table "Events" of section "Event Descriptions"; for GRUB,
its manual, section "Measured Boot"; for Linux, drivers/firmware/efi/libstub. A digest covers neither an entry's type
nor the words that describe it: whoever keeps a log can call one measured text by another's label.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from attestrain.appraise.cursor import Cursor
from attestrain.appraise.logs.entry import Entry
from attestrain.appraise.refused import Refused, require

SEPARATOR = 0x00000004
ACTION = 0x00000005
EVENT_TAG = 0x00000006
CRTM_VERSION = 0x00000008
IPL = 0x0000000D
VARIABLE_CONFIG = 0x80000001
VARIABLE_BOOT = 0x80000002
EFI_ACTION = 0x80000007
VARIABLE_BOOT2 = 0x8000000C
VARIABLE_AUTHORITY = 0x800000E0

WHOLE = frozenset({SEPARATOR, ACTION, CRTM_VERSION, VARIABLE_CONFIG, EFI_ACTION, VARIABLE_BOOT2, VARIABLE_AUTHORITY})
"""Types whose digest is the hash of all the event's data."""
VARIABLES = frozenset({VARIABLE_CONFIG, VARIABLE_BOOT, VARIABLE_BOOT2, VARIABLE_AUTHORITY})
"""Types whose data are a UEFI variable: UEFI_VARIABLE_DATA."""
COMMAND, COMMAND_LINE = b"grub_cmd: ", b"kernel_cmdline: "
"""What GRUB writes before a text that it measured, a zero byte behind it."""
MAX_VARIABLE_NAME = 128
"""Longest name of a UEFI variable, in characters: those that firmware measures have at most fourteen."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A UEFI variable as measured: its vendor's GUID (bytes as they lie), its name and its value."""

    vendor: bytes
    name: str
    value: bytes


def read_variable(data: bytes) -> Variable:
    """Read UEFI_VARIABLE_DATA.

    Raises:
        Refused: it is malformed.
    """
    cursor = Cursor(data, "a measured variable", "little")
    vendor, length, size = cursor.take(16), cursor.number(8), cursor.number(8)
    require(length <= MAX_VARIABLE_NAME, f"a measured variable has a name of {length} characters")
    try:
        name = cursor.take(2 * length).decode("utf-16-le")
    except UnicodeDecodeError as error:
        raise Refused("a measured variable has a name that is not UTF-16") from error
    require(name.isascii() and name.isprintable(), f"a measured variable has the name {name!r}")
    value = cursor.take(size)
    cursor.end()
    return Variable(vendor, name, value)


def grub_text(entry: Entry) -> bytes | None:
    """What GRUB says it measured with ``entry``: a command or the kernel's command line. None of other entries."""
    if entry.kind != IPL or not entry.data.startswith((COMMAND, COMMAND_LINE)):
        return None
    return entry.data.split(b": ", 1)[1].removesuffix(b"\0")


def check_meaning(entry: Entry) -> bool:
    """Hold an entry's digest against its data; False if its type does not say what was hashed.

    Raises:
        Refused: the digest is of something else, or the data are malformed.
    """
    hashed = _hashed(entry)
    if hashed is None:
        return False
    expected = hashlib.sha384(hashed).digest()
    same = entry.digest == expected
    require(same, f"an event of type {entry.kind:#x} extends {entry.digest.hex()}, but its data give {expected.hex()}")
    return True


def _hashed(entry: Entry) -> bytes | None:
    variable = read_variable(entry.data) if entry.kind in VARIABLES else None
    if entry.kind == VARIABLE_BOOT and variable is not None:
        return variable.value
    return entry.data if entry.kind in WHOLE else grub_text(entry)

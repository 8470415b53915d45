"""Measurement registers of a TDX guest, as Linux shows them: reading gives the value, writing extends it.

Source: Linux, Documentation/ABI/testing/sysfs-devices-virtual-misc-tdx_guest (6.16 and later).
"""

from __future__ import annotations

from pathlib import Path

from attestrain.errors import Unreachable, UsageError
from attestrain.record.evidence import REGISTER_SIZE

ROOT = Path("/sys/devices/virtual/misc/tdx_guest/measurements")
"""Where the kernel shows the registers."""
OURS = (2, 3)
"""Registers that a running guest may extend: firmware and loader have RTMR0 and RTMR1."""


def read_register(number: int, root: Path = ROOT) -> bytes:
    """The 48 bytes that RTMR ``number`` holds.

    Raises:
        UsageError: this is no TDX guest, or its kernel is older.
        Unreachable: the kernel gives something else.
    """
    path = _path(number, root)
    try:
        with path.open("rb") as file:
            value = file.read(REGISTER_SIZE + 1)
    except OSError as error:
        raise _missing(path, error) from error
    if len(value) != REGISTER_SIZE:
        raise Unreachable(f"RTMR{number} reads as {len(value)} bytes, not {REGISTER_SIZE}")
    return value


def extend_register(number: int, digest: bytes, root: Path = ROOT) -> None:
    """Extend RTMR ``number``: it holds SHA-384(its value, ``digest``) afterwards, and nothing takes that back.

    Args:
        number: 2 or 3.
        digest: 48 bytes.
        root: the folder of the registers.

    Raises:
        UsageError: another register or size, no TDX guest, or its kernel is older.
    """
    if number not in OURS:
        raise UsageError(f"a running guest does not extend RTMR{number}")
    if len(digest) != REGISTER_SIZE:
        raise UsageError(f"RTMR{number} is extended by {REGISTER_SIZE} bytes, not {len(digest)}")
    path = _path(number, root)
    try:
        # One unbuffered write of all bytes at offset 0: the kernel takes nothing else.
        with path.open("r+b", buffering=0) as file:
            file.write(digest)
    except OSError as error:
        raise _missing(path, error) from error


def _path(number: int, root: Path) -> Path:
    return root / f"rtmr{number}:sha384"


def _missing(path: Path, error: OSError) -> UsageError:
    hint = "a TDX guest of Linux 6.16 or later has it, and root may write to it"
    return UsageError(f"cannot use {path}: {error.strerror}", hint=hint)

"""What a relying party asks of NVIDIA's evidence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from attestrain.errors import FormatError
from attestrain.record.digest import Digest, parse_digest

DEVICE_ROOT = Digest(bytes.fromhex("102bf659d5419614c9d8e6aecebc80454eb26b1df6a769ac720b9a690b167b48"))
"""SHA-256 of "NVIDIA Device Identity CA" (DER): the root of all genuine devices, which NVIDIA/nvtrust ships too."""
REFERENCE_ROOT = Digest(bytes.fromhex("12977b5115acb0381179279fffeb5a8c4d264971ebb32298023a465fa41df5d1"))
"""SHA-256 of "NVIDIA CoRIM signing Root CA" (DER): the root of reference values, which NVIDIA/nvtrust ships too."""
MAX_LISTED = 4_096
"""Most entries of a list in a policy: the devices of a large site, and no more than anybody reads."""
VERSION = re.compile(r"[0-9a-f]{1,8}(\.[0-9a-f]{1,8}){0,7}\Z")
"""Versions as this package spells them: numbers between dots, those of a VBIOS hexadecimal in lower case."""
SERIAL = re.compile(r"[0-9a-f]{2,40}\Z")
"""Serial numbers of device certificates: at most 20 bytes (RFC 5280, section 4.1.2.2), hexadecimal in lower case."""


@dataclass(frozen=True, slots=True)
class NvidiaPolicy:
    """What evidence must be.

    Attributes:
        roots: SHA-256 of development roots, of devices and of reference values alike. What hangs from them reads
            ``simulated``; NVIDIA's roots need no pin and read ``hardware``.
        hardware: whether evidence under NVIDIA's root is taken.
        nonce_required: whether evidence is refused when nobody says which nonce it has to carry. A report without one
            may be years old.
        rim_required: whether evidence is refused without reference values of both driver and VBIOS.
        least_driver, least_vbios: oldest versions taken; empty sets no bound.
        drivers, vbioses: versions taken; empty takes all.
        devices: serial numbers of device certificates taken, hexadecimal; empty takes all.
    """

    roots: tuple[Digest, ...] = ()
    hardware: bool = True
    nonce_required: bool = True
    rim_required: bool = False
    least_driver: str = ""
    least_vbios: str = ""
    drivers: tuple[str, ...] = ()
    vbioses: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()

    @classmethod
    def read(cls, table: Mapping[str, object]) -> NvidiaPolicy:
        """Read a table of a policy file strictly: its keys are this class's attributes, and what is absent is default.

        Raises:
            FormatError: an unknown key, or a value that is not what it has to be.
        """
        if unknown := sorted(str(key) for key in table.keys() - _READERS.keys()):
            raise FormatError(f"nvidia policy has unknown fields: {', '.join(unknown)[:200]}")
        return cls(**{key: _READERS[key](key, value) for key, value in table.items()})


def _wrong(key: str, what: str, value: object) -> FormatError:
    return FormatError(f"nvidia policy {key} is not {what}: {str(value)[:80]!r}")


def _flag(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(key, "true or false", value)
    return value


def _version(key: str, value: object) -> str:
    if not isinstance(value, str) or not VERSION.match(value):
        raise _wrong(key, "a version in lower case", value)
    return value


def _serial(key: str, value: object) -> str:
    if not isinstance(value, str) or not SERIAL.match(value):
        raise _wrong(key, "a serial number in lower-case hexadecimal", value)
    return value


def _root(key: str, value: object) -> Digest:
    try:
        return parse_digest(value)
    except ValueError as error:
        raise _wrong(key, "a SHA-256 digest", value) from error


def _list(key: str, value: object) -> list[object]:
    if not isinstance(value, list | tuple) or len(value) > MAX_LISTED:
        raise _wrong(key, f"a list of at most {MAX_LISTED}", value)
    return list(value)


_READERS: dict[str, Callable[[str, object], Any]] = {
    "roots": lambda key, value: tuple(_root(key, item) for item in _list(key, value)),
    "hardware": _flag,
    "nonce_required": _flag,
    "rim_required": _flag,
    "least_driver": _version,
    "least_vbios": _version,
    "drivers": lambda key, value: tuple(_version(key, item) for item in _list(key, value)),
    "vbioses": lambda key, value: tuple(_version(key, item) for item in _list(key, value)),
    "devices": lambda key, value: tuple(_serial(key, item) for item in _list(key, value)),
}

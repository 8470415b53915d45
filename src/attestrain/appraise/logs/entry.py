"""An event log, whatever its format: entries that each extended a runtime measurement register (RTMR)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from attestrain.record.evidence import REGISTER_SIZE, extend

REGISTERS = 4
"""A TD has RTMR0 to RTMR3 (Intel TDX Module Base Architecture Specification, "Measurement registers")."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One measurement.

    Attributes:
        register: number of the RTMR that it extended.
        kind: event type: of TCG's PC Client Platform Firmware Profile, or dstack's own.
        digest: the 48 bytes that extended the register. Nothing else in an entry is measured by itself.
        data: what the log says was measured, or about it; `logs.meaning` knows what of it the digest covers.
        name: of a dstack event, which its digest covers; empty elsewhere.
    """

    register: int
    kind: int
    digest: bytes
    data: bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class EventLog:
    """A log as read.

    Attributes:
        format: ``ccel`` or ``dstack-event-log``.
        entries: all measurements, in order.
    """

    format: str
    entries: tuple[Entry, ...]


def replay(entries: Iterable[Entry]) -> tuple[bytes, ...]:
    """What RTMR0 to RTMR3 hold after ``entries``, beginning with zeros."""
    registers = [bytes(REGISTER_SIZE)] * REGISTERS
    for entry in entries:
        registers[entry.register] = extend(registers[entry.register], entry.digest)
    return tuple(registers)

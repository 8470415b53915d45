"""Judge an event log: it has to give the registers of a quote, and what is hashed in it has to be what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attestrain.appraise.logs.entry import Entry, EventLog, replay
from attestrain.appraise.logs.meaning import (
    COMMAND_LINE,
    EVENT_TAG,
    VARIABLES,
    check_meaning,
    grub_text,
    read_variable,
)
from attestrain.appraise.refused import Refused, require

KERNEL_COMMAND_LINE = "boot:kernel-command-line"
TAGS = {0x8F3B22ED: "boot:load-options-digest", 0x8F3B22EC: "boot:initrd-digest"}
"""Linux's EFI stub tags what it measured; the log has the digest alone (drivers/firmware/efi/libstub/efistub.h)."""


@dataclass(frozen=True, slots=True)
class LogFindings:
    """What a log shows.

    Attributes:
        format: of the log.
        named: values by name, in order of measurement, from registers that agree. Names are ``variable:NAME`` for UEFI
            variables, ``boot:kernel-command-line`` (GRUB), ``boot:load-options-digest`` and ``boot:initrd-digest``
            (Linux), and those of dstack's events, such as ``app-id`` and ``compose-hash``, which hold no colon.
        proven: what was checked, in words.
        unchecked: what was not, in words.
    """

    format: str
    named: Mapping[str, tuple[bytes, ...]]
    proven: tuple[str, ...]
    unchecked: tuple[str, ...]

    def value(self, name: str) -> bytes:
        """The value of what was measured once.

        A program in the guest may measure a second event by any name, so two values are none.

        Raises:
            Refused: it was not measured, or more than once.
        """
        values = self.named.get(name, ())
        if len(values) != 1:
            raise Refused(f"{name} was measured {len(values)} times, not once")
        return values[0]


def appraise_log(log: EventLog, registers: Mapping[int, bytes]) -> LogFindings:
    """Judge ``log`` by the registers that a quote states; whether the quote is genuine is another question.

    Args:
        log: as read.
        registers: 48 bytes by the RTMR's number. Leave out those that were extended after the log ends: a CCEL knows
            nothing of what the guest measured later.

    Raises:
        Refused: a register holds something else, an event's digest is not of its data, or data are malformed.
    """
    require(bool(registers), "no register is given to compare the event log with")
    for number, replayed in enumerate(replay(log.entries)):
        stated = registers.get(number, replayed)
        require(stated == replayed, f"RTMR{number} is {stated.hex()}, but the events give {replayed.hex()}")
    held = [entry for entry in log.entries if entry.register in registers]
    explained = sum(_explained(entry) for entry in held)
    names = ", ".join(f"RTMR{number}" for number in sorted(registers))
    proven = f"{len(held)} events give {names}; the digests of {explained} of them are of their data"
    return LogFindings(log.format, _named(held), (proven,), tuple(_unchecked(log, registers, len(held) - explained)))


def _explained(entry: Entry) -> bool:
    """Whether the digest is of the entry's data. Logs that were made shorter have boot entries without any."""
    return bool(entry.name) or (bool(entry.data) and check_meaning(entry))


def _unchecked(log: EventLog, registers: Mapping[int, bytes], opaque: int) -> list[str]:
    others = sorted({entry.register for entry in log.entries} - registers.keys())
    notes = [f"events of RTMR{number} not checked: the register was not given" for number in others]
    if opaque:
        notes.append(f"{opaque} events are known by their digest alone: the log does not carry what was hashed")
    notes.append("types and labels of boot events are not measured: the log alone says them")
    return notes


def _named(entries: list[Entry]) -> dict[str, tuple[bytes, ...]]:
    named: dict[str, tuple[bytes, ...]] = {}
    for entry in entries:
        if (item := _name(entry)) is not None:
            name, value = item
            named[name] = (*named.get(name, ()), value)
    return named


def _name(entry: Entry) -> tuple[str, bytes] | None:
    if entry.name:
        return entry.name, entry.data
    if entry.kind in VARIABLES and entry.data:
        variable = read_variable(entry.data)
        return f"variable:{variable.name}", variable.value
    if entry.kind == EVENT_TAG and (tag := TAGS.get(int.from_bytes(entry.data[:4], "little"))):
        return tag, entry.digest
    text = grub_text(entry)
    return (KERNEL_COMMAND_LINE, text) if text is not None and entry.data.startswith(COMMAND_LINE) else None

"""Whoever keeps an event log changes it: each change is refused for its own reason."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from attestrain.appraise.logs.ccel import read_ccel
from attestrain.appraise.logs.dstack import RUNTIME, read_dstack, runtime_digest
from attestrain.appraise.logs.entry import Entry, EventLog, replay
from attestrain.appraise.logs.findings import KERNEL_COMMAND_LINE, appraise_log
from attestrain.appraise.refused import Refused
from tests.unit.logs_world import registers, sample

COS = read_ccel(sample("cos.ccel"))
DSTACK = read_dstack(sample("dstack-log.json"))
Change = Callable[[list[Entry]], None]


def judge(log: EventLog, change: Change) -> None:
    entries = list(log.entries)
    change(entries)
    appraise_log(replace(log, entries=tuple(entries)), registers("cos-quote.bin" if log is COS else "dstack-quote.bin"))


def edit(at: int, data: bytes) -> Change:
    return lambda all_: all_.__setitem__(at, replace(all_[at], data=data))


def find(log: EventLog, start: bytes) -> int:
    return next(at for at, entry in enumerate(log.entries) if entry.data.startswith(start))


COMMAND_LINE = find(COS, b"kernel_cmdline: ")
ATTACKS: dict[str, tuple[EventLog, Change, str]] = {
    "an event removed": (COS, lambda all_: all_.pop(5), "RTMR0 is 3fa2.*, but the events give"),
    "the last event removed": (DSTACK, lambda all_: all_.pop(), "RTMR3 is .*, but the events give"),
    "an event repeated": (COS, lambda all_: all_.append(all_[-1]), "RTMR1 is f62d.*, but the events give"),
    "events reordered": (COS, lambda all_: all_.insert(2, all_.pop(3)), "RTMR0 is .*, but the events give"),
    "an event moved to another register": (
        COS,
        lambda all_: all_.__setitem__(0, replace(all_[0], register=1)),
        "RTMR0 is .*, but the events give",
    ),
    "an event invented": (
        DSTACK,
        lambda all_: all_.append(Entry(3, RUNTIME, runtime_digest("app-id", b"", 1), b"", "app-id")),
        "RTMR3 is .*, but the events give",
    ),
    "an empty log": (COS, lambda all_: all_.clear(), "RTMR0 is .*, but the events give 0000"),
    "the log of another machine": (
        COS,
        lambda all_: all_.__setitem__(slice(None), DSTACK.entries),
        "RTMR0 is 3fa2.*, but the events give",
    ),
    "another kernel command line": (COS, edit(COMMAND_LINE, b"kernel_cmdline: init=/bin/sh\0"), "type 0xd extends"),
    "secure boot said to be on": (
        DSTACK,
        edit(2, DSTACK.entries[2].data[:24] + struct.pack("<Q", 1) + DSTACK.entries[2].data[32:] + b"\1"),
        "type 0x80000001 extends",
    ),
    "another order of boot": (COS, edit(11, COS.entries[11].data[:-4] + bytes(4)), "type 0x80000002 extends"),
    "a variable cut short": (COS, edit(2, COS.entries[2].data[:-1]), "a measured variable ends at byte 52"),
    "a variable of 4 GiB": (
        COS,
        edit(2, COS.entries[2].data[:16] + struct.pack("<QQ", 10, 1 << 32)),
        "a measured variable ends at byte 32",
    ),
    "another action": (COS, edit(len(COS.entries) - 1, b"Exit Boot Services Failed"), "type 0x80000007 extends"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_one_change_to_a_genuine_log_is_refused_for_its_own_reason(name: str) -> None:
    log, change, reason = ATTACKS[name]
    with pytest.raises(Refused, match=reason):
        judge(log, change)


@pytest.mark.parametrize("log", [COS, DSTACK], ids=["cos", "dstack"])
def test_the_genuine_log_is_taken(log: EventLog) -> None:
    judge(log, lambda all_: None)


def test_another_payload_of_a_dstack_event_is_refused() -> None:
    text = sample("dstack-log.json").replace(b'3763bc34552cf3a27ff71ad5f7a90471562a1a2d"', b'00"', 1)
    with pytest.raises(Refused, match="event 'app-id' extends"):
        read_dstack(text)


def test_a_second_event_by_the_same_name_leaves_the_name_without_a_value() -> None:
    again = Entry(3, RUNTIME, runtime_digest("compose-hash", b"mine", 1), b"mine", "compose-hash")
    log = replace(DSTACK, entries=(*DSTACK.entries, again))
    findings = appraise_log(log, dict(enumerate(replay(log.entries))))
    with pytest.raises(Refused, match="compose-hash was measured 2 times, not once"):
        findings.value("compose-hash")


def test_relabelling_a_command_as_the_command_line_leaves_none() -> None:
    """The label is not measured, so it can be forged; what GRUB really passed is in the log as well."""
    command = find(COS, b"grub_cmd: set default")
    entries = list(COS.entries)
    entries[command] = replace(entries[command], data=entries[command].data.replace(b"grub_cmd", b"kernel_cmdline"))
    findings = appraise_log(replace(COS, entries=tuple(entries)), registers("cos-quote.bin"))
    with pytest.raises(Refused, match="measured 2 times"):
        findings.value(KERNEL_COMMAND_LINE)


def test_a_log_compared_with_nothing_is_refused() -> None:
    with pytest.raises(Refused, match="no register is given"):
        appraise_log(COS, {})


CCEL = sample("cos.ccel")
FIRST = 65
"""Where the first entry begins: header of 32 bytes, its data of 33."""
FORMS: dict[str, tuple[bytes, str]] = {
    "no bytes": (b"", "does not begin with the header"),
    "a log too large": (CCEL.ljust((1 << 20) + 1, b"\xff"), "more than 1048576"),
    "a header that lies about its size": (CCEL[:28] + b"\xff\xff\0\0" + CCEL[32:], "within 65535 bytes at 32"),
    "no hash algorithm": (CCEL[:56] + bytes(4) + CCEL[60:], "no SHA-384 digests"),
    "too many hash algorithms": (CCEL[:56] + b"\xff" * 4 + CCEL[60:], "4294967295 hash algorithms, more than 8"),
    "SHA-256 alone": (CCEL[:60] + b"\x0b\0\x20\0" + CCEL[64:], "no SHA-384 digests"),
    "a register that does not exist": (CCEL[:FIRST] + b"\5" + CCEL[FIRST + 1 :], "register index 5, not 1 to 4"),
    "the firmware's own register": (CCEL[:FIRST] + b"\0" + CCEL[FIRST + 1 :], "register index 0, not 1 to 4"),
    "an entry without digests": (CCEL[: FIRST + 8] + b"\0" + CCEL[FIRST + 9 :], "0 digests, not 1"),
    "an entry of 4 GiB": (CCEL[: FIRST + 62] + b"\xff" * 4 + CCEL[FIRST + 66 :], "within 4294967295 bytes"),
    "zeros with something behind": (CCEL.rstrip(b"\xff") + bytes(20) + b"\1", "0 digests, not 1"),
    "something behind the end": (CCEL + b"\1", "something behind its end"),
    "a log cut short": (CCEL[:1000], "the event log ends at byte 1000"),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_malformed_log_is_refused_for_its_own_reason(name: str) -> None:
    data, reason = FORMS[name]
    with pytest.raises(Refused, match=reason):
        read_ccel(data)


def test_more_entries_than_there_can_be_are_refused() -> None:
    entry = struct.pack("<IIIH", 1, 4, 1, 12) + bytes(48) + struct.pack("<I", 0)
    with pytest.raises(Refused, match="more than 4096 entries"):
        read_ccel(CCEL[:FIRST] + entry * 4097)


def test_a_log_of_as_many_entries_as_there_can_be_is_read_in_one_pass() -> None:
    """Quadratic work here took twenty seconds; now it takes some hundredths of one."""
    entry = struct.pack("<IIIH", 1, 4, 1, 12) + bytes(48) + struct.pack("<I", 0)
    data = (CCEL[:FIRST] + entry * 4096).ljust(1 << 20, b"\xff")
    begin = time.process_time()
    assert len(read_ccel(data).entries) == 4096
    assert time.process_time() - begin < 2

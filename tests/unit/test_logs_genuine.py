"""Event logs of genuine guests, which others published with their quotes."""

from __future__ import annotations

import pytest

from attestrain.appraise.logs.ccel import is_ccel, read_ccel
from attestrain.appraise.logs.dstack import read_dstack
from attestrain.appraise.logs.entry import replay
from attestrain.appraise.logs.findings import KERNEL_COMMAND_LINE, appraise_log
from attestrain.appraise.refused import Refused
from tests.unit.logs_world import registers, sample


def test_a_google_guests_log_gives_the_registers_of_its_quote() -> None:
    findings = appraise_log(read_ccel(sample("cos.ccel")), registers("cos-quote.bin"))
    assert findings.proven == (
        "43 events give RTMR0, RTMR1, RTMR2, RTMR3; the digests of 30 of them are of their data",
    )
    assert findings.value("variable:SecureBoot") == b"\x00"
    assert findings.value("variable:BootOrder") == bytes.fromhex("01000000")
    assert findings.value(KERNEL_COMMAND_LINE).startswith(b"/syslinux/vmlinuz.A init=/usr/lib/systemd/systemd")


def test_a_dstack_guests_log_gives_the_registers_of_its_quote() -> None:
    log = read_dstack(sample("dstack-log.json"))
    findings = appraise_log(log, registers("dstack-quote.bin"))
    assert len(log.entries) == 28
    assert findings.value("app-id").hex() == "3763bc34552cf3a27ff71ad5f7a90471562a1a2d"
    assert findings.value("compose-hash")[:20] == findings.value("app-id")
    assert findings.value("boot:initrd-digest").hex().startswith("63e06e29")
    assert findings.value("variable:SecureBoot") == b""


@pytest.mark.parametrize(("name", "entries"), [("dstack.ccel", 18), ("ovmf.ccel", 20)])
def test_a_log_without_its_quote_can_be_read(name: str, entries: int) -> None:
    log = read_ccel(sample(name))
    assert len(log.entries) == entries
    assert appraise_log(log, dict(enumerate(replay(log.entries)))).value("variable:Boot0000")


def test_a_register_that_is_not_compared_names_nothing_and_is_listed() -> None:
    given = registers("dstack-quote.bin")
    del given[3]
    findings = appraise_log(read_dstack(sample("dstack-log.json")), given)
    assert "app-id" not in findings.named
    assert "events of RTMR3 not checked: the register was not given" in findings.unchecked


def test_only_a_ccel_is_recognised() -> None:
    assert is_ccel(sample("cos.ccel"))
    assert not is_ccel(sample("dstack-log.json"))
    assert not is_ccel(sample("cos.ccel")[1:])


def test_what_was_not_measured_has_no_value() -> None:
    findings = appraise_log(read_ccel(sample("cos.ccel")), registers("cos-quote.bin"))
    with pytest.raises(Refused, match="compose-hash was measured 0 times"):
        findings.value("compose-hash")

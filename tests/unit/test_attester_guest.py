from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from attestrain.appraise.refused import Refused
from attestrain.attester.agent import Agent
from attestrain.attester.configfs import SNP, TDX, request_report
from attestrain.attester.guest import TdxGuest
from attestrain.attester.registers import extend_register, read_register
from attestrain.attester.simulator import SimulatedMachine
from attestrain.errors import FormatError, Unreachable, UsageError
from attestrain.record.evidence import Event, replay
from tests.unit.evidence_world import events_of, honest_binding, honest_measured, honest_world, pki, platform, world_of
from tests.unit.guest_world import FakeConfigfs, FakeRegisters, agent
from tests.unit.logs_world import sample

DATA = bytes(range(64))


def echo(inblob: bytes) -> bytes:
    return b"quote of " + inblob


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeConfigfs:
    root = tmp_path / "report"
    root.mkdir()
    made = FakeConfigfs(root, echo)
    made.install(monkeypatch)
    return made


@pytest.fixture
def measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRegisters:
    root = tmp_path / "measurements"
    root.mkdir()
    made = FakeRegisters(root)
    made.install(monkeypatch)
    return made


def test_a_report_binds_what_was_asked_and_its_request_is_gone(kernel: FakeConfigfs) -> None:
    report = request_report(DATA, TDX, kernel.root)
    assert (report.outblob, report.auxblob, report.provider) == (b"quote of " + DATA, b"", "tdx_guest")
    assert len(kernel.made) == 1
    assert list(kernel.root.iterdir()) == []


def test_every_request_has_a_folder_of_its_own(kernel: FakeConfigfs) -> None:
    for _ in range(3):
        request_report(DATA, TDX, kernel.root)
    assert len(set(kernel.made)) == 3


def test_the_hosts_certificates_come_with_an_snp_report(kernel: FakeConfigfs) -> None:
    kernel.provider, kernel.auxblob = "sev_guest", b"table"
    assert request_report(DATA, SNP, kernel.root).auxblob == b"table"


@pytest.mark.parametrize("strangers", [1, 2])
def test_a_request_that_somebody_else_wrote_into_gives_no_report(kernel: FakeConfigfs, strangers: int) -> None:
    kernel.strangers = strangers
    with pytest.raises(Unreachable, match=f"of {1 + strangers} writes, not of ours alone"):
        request_report(DATA, TDX, kernel.root)
    assert list(kernel.root.iterdir()) == []


def test_a_tdx_report_of_more_than_8_kib_is_a_dice_token(kernel: FakeConfigfs) -> None:
    kernel.answer = lambda _: bytes(8193)
    with pytest.raises(UsageError, match="8193 bytes is a DICE token and no quote"):
        request_report(DATA, TDX, kernel.root)
    kernel.answer = lambda _: bytes(8192)
    assert len(request_report(DATA, TDX, kernel.root).outblob) == 8192


def test_an_endless_report_is_not_read_to_its_end(kernel: FakeConfigfs) -> None:
    kernel.answer = lambda _: bytes((1 << 16) + 1)
    with pytest.raises(Unreachable, match="outblob has more than 65536 bytes"):
        request_report(DATA, TDX, kernel.root)


def test_an_empty_report_is_none(kernel: FakeConfigfs) -> None:
    kernel.answer = lambda _: b""
    with pytest.raises(Unreachable, match="an empty report"):
        request_report(DATA, TDX, kernel.root)


def test_another_kind_of_guest_is_named(kernel: FakeConfigfs) -> None:
    with pytest.raises(UsageError, match="come from 'tdx_guest', not 'sev_guest'"):
        request_report(DATA, SNP, kernel.root)


def test_report_data_of_another_size_are_refused(kernel: FakeConfigfs) -> None:
    with pytest.raises(UsageError, match="63 bytes are not 64"):
        request_report(DATA[1:], TDX, kernel.root)


def test_a_machine_that_is_no_guest_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no .*nowhere on this machine"):
        request_report(DATA, TDX, tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"cannot use .*rtmr3:sha384"):
        read_register(3, tmp_path)
    with pytest.raises(UsageError, match=r"cannot use .*rtmr3:sha384"):
        extend_register(3, bytes(48), tmp_path)
    with pytest.raises(UsageError, match="no dstack agent at"):
        Agent(tmp_path / "nothing.sock").info()


def test_a_register_is_extended_and_read(measurements: FakeRegisters) -> None:
    event = Event("package", "1")
    extend_register(3, event.digest, measurements.root)
    assert read_register(3, measurements.root) == replay([event])
    assert read_register(2, measurements.root) == bytes(48)


@pytest.mark.parametrize(
    ("number", "size", "reason"), [(0, 48, "not extend RTMR0"), (1, 48, "RTMR1"), (3, 47, "not 47")]
)
def test_other_registers_and_sizes_are_refused(
    measurements: FakeRegisters, number: int, size: int, reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        extend_register(number, bytes(size), measurements.root)


def guest(kernel: FakeConfigfs, measurements: FakeRegisters) -> TdxGuest:
    """A guest whose kernel quotes as a simulated machine that holds the same in RTMR3."""

    def quote(inblob: bytes) -> bytes:
        machine = SimulatedMachine(platform())
        machine._register = read_register(3, measurements.root)
        return machine._quote(inblob)

    kernel.answer = quote
    return TdxGuest(honest_world().evidence.collateral, kernel.root, measurements.root)


def test_what_a_guest_gives_passes_the_appraisal(kernel: FakeConfigfs, measurements: FakeRegisters) -> None:
    binding, events = honest_binding(), events_of(honest_measured())
    made = guest(kernel, measurements).evidence(binding.report_data, events, binding.block_number, binding.block_hash)
    world = replace(world_of(SimulatedMachine(platform()), pki().root_digest), evidence=made)
    assert world.judge().assurance == "simulated"


def test_a_process_started_again_goes_on_from_what_is_measured(
    kernel: FakeConfigfs, measurements: FakeRegisters
) -> None:
    binding, events = honest_binding(), events_of(honest_measured())
    for event in events[:2]:
        extend_register(3, event.digest, measurements.root)
    for _ in range(2):
        made = guest(kernel, measurements).evidence(binding.report_data, events, 0, binding.block_hash)
        assert made.events == events
    assert read_register(3, measurements.root) == replay(events)


def test_a_guest_that_measured_something_else_gives_no_evidence(
    kernel: FakeConfigfs, measurements: FakeRegisters
) -> None:
    extend_register(3, bytes(48), measurements.root)
    with pytest.raises(UsageError, match="RTMR3 holds something else"):
        guest(kernel, measurements).evidence(DATA, events_of(honest_measured()), 0, honest_binding().block_hash)
    assert kernel.made == []


def test_evidence_is_not_given_when_something_else_measures_in_between(
    kernel: FakeConfigfs, measurements: FakeRegisters
) -> None:
    made = guest(kernel, measurements)
    quote = kernel.answer

    def meddling(inblob: bytes) -> bytes:
        measurements.extend(3, bytes(48))
        return quote(inblob)

    kernel.answer = meddling
    with pytest.raises(UsageError, match="something extended RTMR3 between"):
        made.evidence(DATA, events_of(honest_measured()), 0, honest_binding().block_hash)


def test_a_quote_of_other_report_data_is_not_passed_on(kernel: FakeConfigfs, measurements: FakeRegisters) -> None:
    made = guest(kernel, measurements)
    quote = kernel.answer
    kernel.answer = lambda inblob: quote(bytes(64))
    with pytest.raises(UsageError, match="not of the report data"):
        made.evidence(DATA, events_of(honest_measured()), 0, honest_binding().block_hash)


QUOTE = json.dumps({"quote": "0xabcd", "event_log": sample("dstack-log.json").decode(), "report_data": ""}).encode()


def test_the_agent_gives_a_quote_and_its_log(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with agent(path, {"/GetQuote": (200, QUOTE), "/Info": (200, b'{"app_id":"1"}')}) as asked:
        made = Agent(path).quote(DATA)
        assert Agent(path).info() == {"app_id": "1"}
    assert (made.quote, len(made.log.entries)) == (b"\xab\xcd", 28)
    assert asked == [("/GetQuote", {"report_data": DATA.hex()}), ("/Info", {})]


@pytest.mark.parametrize(
    ("status", "answer", "error", "reason"),
    [
        (500, b'{"error":"busy"}', UsageError, "status 500, .*busy"),
        (200, b"", FormatError, "not a JSON document"),
        (200, b"{}", FormatError, "agent's quote is not text"),
        (200, b'{"quote":"xy","event_log":"[]"}', FormatError, "not lower-case hexadecimal"),
        (200, b'{"quote":"00","event_log":"1"}', Refused, "not an array"),
        (200, b'{"quote":"00","event_log":[]}', FormatError, "event_log is not text"),
        (200, b" " * ((4 << 20) + 1), FormatError, "larger than"),
    ],
)
def test_an_agent_that_answers_badly_is_refused(
    tmp_path: Path, status: int, answer: bytes, error: type[Exception], reason: str
) -> None:
    path = tmp_path / "agent.sock"
    with agent(path, {"/GetQuote": (status, answer)}), pytest.raises(error, match=reason):
        Agent(path).quote(DATA)


def test_an_agent_that_is_silent_is_unreachable(tmp_path: Path) -> None:
    import socket

    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        with pytest.raises(Unreachable, match="does not answer /Info"):
            Agent(path, timeout=0.05).info()

from __future__ import annotations

import struct
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from attestrain.appraise.logs.ccel import read_ccel
from attestrain.appraise.logs.dstack import read_dstack, runtime_digest
from attestrain.appraise.logs.entry import Entry, replay
from attestrain.appraise.logs.findings import appraise_log
from attestrain.appraise.refused import Refused
from attestrain.appraise.tpm.quote import read_tpm_quote
from tests.unit.logs_world import registers, sample

HEADER = sample("cos.ccel")[:65]
ENTRY = st.builds(
    Entry, st.integers(0, 3), st.sampled_from([1, 9, 10]), st.binary(min_size=48, max_size=48), st.binary(max_size=9)
)
NAME = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters=":"), min_size=1, max_size=9)


def spelled(entry: Entry) -> bytes:
    head = struct.pack("<IIIH", entry.register + 1, entry.kind, 1, 12)
    return head + entry.digest + struct.pack("<I", len(entry.data)) + entry.data


@given(st.lists(ENTRY, max_size=6), st.sampled_from([b"", b"\xff" * 9, bytes(9)]))
def test_a_log_reads_as_it_was_written(entries: list[Entry], erased: bytes) -> None:
    assert read_ccel(HEADER + b"".join(map(spelled, entries)) + erased).entries == tuple(entries)


@given(st.lists(ENTRY, max_size=5), st.lists(ENTRY, max_size=5))
def test_registers_agree_only_if_what_extends_each_does(one: list[Entry], other: list[Entry]) -> None:
    def by_register(entries: list[Entry]) -> list[list[bytes]]:
        return [[entry.digest for entry in entries if entry.register == number] for number in range(4)]

    assert (replay(one) == replay(other)) == (by_register(one) == by_register(other))


@given(NAME, NAME, st.binary(max_size=9), st.binary(max_size=9), st.sampled_from([1, 2]))
def test_digests_agree_only_if_name_and_payload_do(a: str, b: str, x: bytes, y: bytes, version: int) -> None:
    assert (runtime_digest(a, x, version) == runtime_digest(b, y, version)) == ((a, x) == (b, y))


@given(st.integers(0), st.integers(1, 255))
def test_a_flipped_byte_of_a_log_is_refused_or_leaves_its_registers(at: int, flip: int) -> None:
    data = bytearray(sample("cos.ccel"))
    data[at % len(data)] ^= flip
    with suppress(Refused):
        log = read_ccel(bytes(data))
        appraise_log(log, registers("cos-quote.bin"))
        assert replay(log.entries) == tuple(registers("cos-quote.bin").values())


@given(st.integers(0), st.integers(1, 255))
def test_a_flipped_byte_of_a_dstack_log_is_refused_or_leaves_its_named_values(at: int, flip: int) -> None:
    text = bytearray(sample("dstack-log.json"))
    text[at % len(text)] ^= flip
    given_ = registers("dstack-quote.bin")
    honest = appraise_log(read_dstack(sample("dstack-log.json")), given_)
    with suppress(Refused):
        findings = appraise_log(read_dstack(bytes(text)), given_)
        assert findings.value("compose-hash") == honest.value("compose-hash")


@given(st.binary(max_size=300))
def test_bytes_that_are_no_log_are_refused_and_nothing_worse(tail: bytes) -> None:
    for data in (tail, HEADER + tail):
        with suppress(Refused):
            read_ccel(data)
    for data in (tail, b"[" + tail + b"]"):
        with suppress(Refused):
            read_dstack(data)


@given(st.binary(max_size=150))
def test_bytes_that_are_no_tpm_quote_are_refused_and_nothing_worse(tail: bytes) -> None:
    for data in (tail, b"\xffTCG\x80\x18" + tail):
        with suppress(Refused):
            read_tpm_quote(data)

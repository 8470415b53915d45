from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import replace
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestrain.appraise.nvidia.files import read_devices, read_pem_chain
from attestrain.appraise.nvidia.report import REQUEST, RESPONSE, Report
from attestrain.appraise.nvidia.rim import read_rim
from attestrain.appraise.nvidia.signed_xml import read_signed
from attestrain.appraise.nvidia.xml import canonical, parse
from attestrain.appraise.refused import Refused
from attestrain.attester.nvidia import SimulatedDevice
from attestrain.errors import FormatError
from tests.unit.nvidia_world import genuine, references, simulated, simulated_gpu

HEAD = REQUEST + bytes(33) + RESPONSE
TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=8)
NAMES = st.text("abc", min_size=1, max_size=3)
PARTS = st.sampled_from(["<a>", "</a>", "<a ", "b='1'", "/>", "xmlns='u'", "&lt;", "<!--", "<!DOCTYPE", "]]>", "x"])


@st.composite
def documents(draw: st.DrawFn, depth: int = 3) -> str:
    """Well-formed XML without namespaces."""
    name, attributes = draw(NAMES), draw(st.dictionaries(NAMES, TEXTS, max_size=3))
    inner = draw(st.lists(TEXTS.map(escape) if depth == 0 else TEXTS.map(escape) | documents(depth - 1), max_size=3))
    written = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{name}{written}>{''.join(inner)}</{name}>"


@given(st.binary(max_size=600), st.booleans())
def test_bytes_that_are_no_report_are_refused_and_nothing_worse(tail: bytes, begun: bool) -> None:
    with suppress(Refused):
        Report.from_bytes(HEAD + tail if begun else tail)


@given(st.lists(st.tuples(st.integers(0, 4_500), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, 5_000))
def test_a_report_changed_anywhere_is_refused_and_nothing_worse(changes: list[tuple[int, int]], size: int) -> None:
    world = simulated_gpu()
    report = bytearray(world.report[:size] if size < len(world.report) else world.report)
    for at, value in changes:
        if at < len(report):
            report[at] = value
    with suppress(Refused):
        replace(world, report=bytes(report)).judge()
        assert bytes(report) == world.report


@given(
    st.dictionaries(st.integers(40, 65_535), st.binary(max_size=64), max_size=8), st.binary(min_size=32, max_size=32)
)
def test_what_a_device_says_is_what_is_read(fields: dict[int, bytes], nonce: bytes) -> None:
    device: SimulatedDevice = simulated()[0][0].saying(fields)
    report = Report.from_bytes(device.evidence(nonce).report)
    assert (report.nonce, dict(report.fields)) == (nonce, dict(device.fields))


@given(st.integers(3, 200), st.binary(max_size=8))
def test_opaque_data_that_promise_more_than_they_hold_are_refused(size: int, held: bytes) -> None:
    opaque = struct.pack("<HH", 40, len(held) + size) + held
    with pytest.raises(Refused, match="ends within its opaque data"):
        Report.from_bytes(HEAD + bytes(6) + bytes(32) + struct.pack("<H", len(opaque)) + opaque + bytes(96))


@given(documents())
def test_the_canonical_form_is_its_own_canonical_form(text: str) -> None:
    form = canonical(parse(text.encode()))
    assert canonical(parse(form)) == form


@given(st.lists(PARTS | TEXTS, max_size=12).map("".join))
def test_text_that_is_no_xml_is_refused_and_nothing_worse(text: str) -> None:
    with suppress(Refused):
        parse(text.encode())


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_reference_values_changed_anywhere_are_refused_or_read_the_same(at: int, flip: int) -> None:
    policy, time = simulated_gpu().policy, simulated_gpu().at
    data = bytearray(references()[0])
    data[at % len(data)] ^= flip
    with suppress(Refused):
        assert read_rim(bytes(data), policy, time) == read_rim(references()[0], policy, time)


@given(st.binary(max_size=200), st.integers(0, 3_000))
def test_bytes_that_are_no_reference_values_are_refused_and_nothing_worse(middle: bytes, at: int) -> None:
    whole = references()[1]
    with suppress(Refused):
        read_signed(whole[:at] + middle + whole[at:])


@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 9_999), st.integers(0, 255)), max_size=3))
def test_bytes_that_are_no_file_of_evidence_are_malformed_and_nothing_worse(
    tail: bytes, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(genuine("switch_evidence.json")[:10_000])
    for at, value in changes:
        data[at] = value
    for given_ in (tail, bytes(data), bytes(data[: data.index(b"}") + 1]) + b"]"):
        with suppress(FormatError):
            read_devices(given_)
        with suppress(FormatError):
            read_pem_chain(given_)


@given(st.integers(0, 3), st.integers(0, 10**4), st.integers(1, 255))
def test_a_chain_changed_anywhere_is_refused_or_of_the_same_device(link: int, at: int, flip: int) -> None:
    world = simulated_gpu()
    chain = [bytearray(item) for item in world.chain]
    chain[link][at % len(chain[link])] ^= flip
    with suppress(Refused):
        assert replace(world, chain=tuple(map(bytes, chain))).judge() == world.judge()

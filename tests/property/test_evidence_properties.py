from __future__ import annotations

from contextlib import suppress
from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from attestrain.appraise.intel.bodies import TDX_4
from attestrain.appraise.intel.quote import Quote
from attestrain.appraise.refused import Refused
from attestrain.errors import FormatError
from attestrain.record.evidence import Event, Evidence, replay
from tests.unit.evidence_world import honest_binding, honest_world

EVENTS = st.lists(st.builds(Event, st.text("abc", max_size=4), st.text("abc", max_size=4)), max_size=5)
FLIP = st.integers(1, 255)


@given(EVENTS, EVENTS)
def test_registers_agree_only_if_the_events_do(one: list[Event], other: list[Event]) -> None:
    assert (replay(one) == replay(other)) == (one == other)


@given(st.data())
def test_bytes_that_are_no_evidence_are_refused_and_nothing_worse(data: st.DataObject) -> None:
    document = bytearray(honest_world().evidence.to_bytes())
    for at in data.draw(st.lists(st.integers(0, len(document) - 1), min_size=1, max_size=4)):
        document[at] = data.draw(st.integers(0, 255))
    with suppress(FormatError):
        assert Evidence.from_bytes(bytes(document)).to_bytes() == bytes(document)


@given(st.binary(max_size=1000))
def test_bytes_that_are_no_quote_are_refused_and_nothing_worse(tail: bytes) -> None:
    signed = honest_world().evidence.quote[: TDX_4.signed_size]
    for data in (tail, signed + tail):
        with suppress(Refused):
            Quote.from_bytes(data)


@given(st.integers(0, 10**6), FLIP)
def test_a_flipped_byte_of_a_quote_is_refused_or_changes_nothing(at: int, flip: int) -> None:
    world = honest_world()
    at %= len(world.evidence.quote)
    with suppress(Refused):
        changed = world.with_quote(at, bytes([world.evidence.quote[at] ^ flip])).judge()
        assert changed == world.judge()
        assert at >= TDX_4.signed_size


@given(st.sampled_from([item.name for item in fields(honest_world().evidence.collateral)]), st.integers(0), FLIP)
def test_a_flipped_byte_of_collateral_is_refused(name: str, at: int, flip: int) -> None:
    world = honest_world()
    value = getattr(world.evidence.collateral, name)
    data = bytearray(
        value[at % len(value)] if isinstance(value, tuple) else value.encode() if isinstance(value, str) else value
    )
    data[at % len(data)] ^= flip if not isinstance(value, str) else flip % 31 + 1
    changed: object = bytes(data)
    if isinstance(value, tuple):
        changed = tuple(bytes(data) if place == at % len(value) else item for place, item in enumerate(value))
    elif isinstance(value, str):
        changed = data.decode("ascii")
    try:
        world.with_collateral(**{name: changed}).judge()
    except Refused:
        return
    raise AssertionError(f"{name} changed at {at} and the evidence was taken")


@given(st.sampled_from([item.name for item in fields(honest_binding())]), st.data())
def test_report_data_differ_whenever_a_field_does(name: str, data: st.DataObject) -> None:
    binding = honest_binding()
    value = getattr(binding, name)
    if isinstance(value, int):
        other: object = data.draw(st.integers(0, 2**32 - 1))
    elif isinstance(value, bytes):
        other = data.draw(st.binary(min_size=32, max_size=32))
    elif name == "role":
        other = data.draw(st.text("workeraudit", max_size=8))
    else:
        other = "0x" + data.draw(st.binary(min_size=20, max_size=20)).hex()
    changed = honest_world().with_binding(**{name: other}).binding
    assert (changed.report_data == binding.report_data) == (changed == binding)

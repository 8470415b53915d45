"""Bytes that are no evidence, policy or collateral: refused with a typed error, and nothing worse."""

from __future__ import annotations

import functools
import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from attestrain.appraise.amd.wrapped import read_beside
from attestrain.appraise.endorsed import endorse, read_endorsed
from attestrain.appraise.formats import appraise_any
from attestrain.appraise.intel.bodies import TDX
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.intel.quote import Quote, pem
from attestrain.appraise.intel.spelled import read_collateral
from attestrain.appraise.platforms import read_platforms
from attestrain.appraise.policy import FORMAT, EvidencePolicy
from attestrain.appraise.references import read_references
from attestrain.appraise.refused import Refused
from attestrain.attester.simulator import SimulatedMachine
from attestrain.errors import FormatError, PolicyNotMet, Undecided, UsageError
from attestrain.record.digest import ZERO_DIGEST
from attestrain.record.keys import SigningKey
from tests.unit.evidence_world import NOW, honest_world, pki, platform

KEY = SigningKey(bytes([7]) * 32)
POLICY = EvidencePolicy(assurance="simulated", intel=IntelPolicy(roots=(pki().root_digest,)))
TYPED = (Refused, Undecided, PolicyNotMet, FormatError)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 2**60) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@functools.cache
def quotes() -> tuple[bytes, ...]:
    """A quote of each kind that simulated machines give."""
    return tuple(SimulatedMachine(platform(), kind=kind).evidence(bytes(64), (), 0, ZERO_DIGEST).quote for kind in TDX)


@functools.cache
def collateral() -> bytes:
    """Collateral as dcap-qvl writes it."""
    held = platform().collateral
    values = {name: getattr(held, name) for name in type(held).__dataclass_fields__}
    texts = {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
    return json.dumps(texts | {name: "".join(map(pem, chain)) for name, chain in held.chains.items()}).encode()


def test_collateral_reads_as_it_was_written() -> None:
    assert read_collateral(collateral()) == platform().collateral


@st.composite
def mutations(draw: st.DrawFn, whole: bytes) -> bytes:
    """``whole`` with a few bytes changed, cut out or put in."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8))
    return bytes(data)


@given(st.data())
def test_a_mutated_quote_is_refused_or_shows_the_same(data: st.DataObject) -> None:
    quote = data.draw(st.sampled_from(quotes()))
    with suppress(*TYPED):
        shown = appraise_any(data.draw(mutations(quote)), collateral(), POLICY, NOW)
        assert shown == appraise_any(quote, collateral(), POLICY, NOW)


@given(st.data())
def test_mutated_collateral_is_refused_or_shows_the_same(data: st.DataObject) -> None:
    with suppress(*TYPED):
        shown = appraise_any(quotes()[0], data.draw(mutations(collateral())), POLICY, NOW)
        assert shown.identity == appraise_any(quotes()[0], collateral(), POLICY, NOW).identity


@given(st.data())
def test_a_mutated_document_is_refused_or_shows_the_same_platform(data: st.DataObject) -> None:
    document = honest_world().evidence.to_bytes()
    with suppress(*TYPED):
        shown = appraise_any(data.draw(mutations(document)), None, POLICY, NOW)
        assert shown.identity == appraise_any(document, None, POLICY, NOW).identity


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_bytes_of_any_kind_get_a_typed_error(data: bytes) -> None:
    with suppress(*TYPED):
        appraise_any(data, collateral(), POLICY, NOW)
    with suppress(FormatError):
        read_collateral(data)
    for beside in (data, b"\x30\x82" + data, b"-----BEGIN" + data):
        with suppress(Refused):
            assert read_beside(beside).leaf in beside
    for read in (read_references, read_platforms):
        with suppress(FormatError, Refused):
            read(data, (KEY.address,))


@given(st.dictionaries(st.sampled_from(["format", "images", "platforms"]), JSON, max_size=3), st.booleans())
def test_signed_documents_of_any_content_get_a_typed_error(document: dict[str, object], named: bool) -> None:
    for read, format_ in ((read_references, "reference-values"), (read_platforms, "platform-list")):
        full = {**document, **({"format": f"attestrain.dev/{format_}@v1"} if named else {})}
        with suppress(FormatError, Refused):
            assert len(read(endorse(full, KEY), (KEY.address,))) >= 0


@given(st.dictionaries(st.text("abcxyz", min_size=1), st.integers(0, 9), max_size=3))
def test_what_was_signed_is_what_is_read(values: dict[str, int]) -> None:
    document = {**values, "format": "attestrain.dev/test@v1"}
    assert read_endorsed(endorse(document, KEY), "attestrain.dev/test@v1", (KEY.address,)) == (document, KEY.address)


def no_file(name: str) -> bytes:
    """No file that a policy names is there."""
    raise UsageError(f"there is no {name}")


@given(st.text(max_size=80))
def test_text_that_is_no_policy_gets_a_typed_error(text: str) -> None:
    for head in ("", f'format = "{FORMAT}"\n[intel]\n', f'format = "{FORMAT}"\n[intel.registers]\n'):
        with suppress(UsageError):
            assert EvidencePolicy.from_toml(head + text, no_file).vendors == 0


@given(st.binary(max_size=400))
def test_bytes_behind_a_header_are_a_quote_or_refused(tail: bytes) -> None:
    for quote, kind in zip(quotes(), TDX, strict=True):
        with suppress(Refused):
            assert Quote.from_bytes(quote[: kind.signed_size] + tail).kind == kind

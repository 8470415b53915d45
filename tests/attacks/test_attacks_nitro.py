"""Nitro documents, a genuine one and one under a development root: each change is refused for its own reason."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.nitro.appraisal import AWS_ROOT, appraise_nitro
from attestrain.appraise.nitro.cbor import head, read_cbor
from attestrain.appraise.nitro.document import is_nitro, read_nitro
from attestrain.appraise.refused import Refused
from tests.unit.logs_world import sample
from tests.unit.nitro_world import NOW, chain, encode, payload, world

GENUINE = sample("nitro.bin")
AT = 1_766_678_659
"""When the genuine document was made."""
DOCUMENT = world().document()

ATTACKS: dict[str, tuple[Callable[[], Attestation], str]] = {
    "a root of one's own": (lambda: appraise_nitro(DOCUMENT, NOW), "is neither Amazon's nor a pinned"),
    "a leaf expired": (lambda: appraise_nitro(GENUINE, AT + 10_801), "valid from .* to 2025-12-25T19:04:19Z, not at"),
    "before it was made": (lambda: appraise_nitro(GENUINE, AT - 86_400), "valid from 2025-12-25T05:54:26Z"),
    "a time before all": (lambda: appraise_nitro(GENUINE, -1), "time -1 is not in"),
    "a document of tomorrow": (lambda: world(timestamp=(NOW + 301) * 1000).judge(), "was made at .*, after"),
    "a debugged enclave": (lambda: world(pcrs={0: bytes(48), 5: b"\1" * 48}).judge(), "can be debugged"),
    "another key's signature": (
        lambda: replace(world(), chain=replace(chain(), keys=chain().keys[1:])).judge(),
        "the signature of the Nitro document does not hold",
    ),
    "a leaf of another chain": (
        lambda: world(certificate=chain(path=1).certificates[0]).judge(),
        "a certificate that the next one has not signed",
    ),
    "an issuer skipped": (
        lambda: world(cabundle=[chain().certificates[2]]).judge(),
        "does not match certificate issuer",
    ),
    "a leaf that issues": (
        lambda: world(certificate=chain().certificates[1], cabundle=[chain().certificates[2]]).judge(),
        "a key that is not to sign documents",
    ),
    "an issuer that is no authority": (lambda: world(chain(ca=False)).judge(), "an issuer that is no authority"),
    "an authority too many": (lambda: world(chain(root_path=0)).judge(), "1 authorities below one that allows 0"),
    "a certificate that is none": (lambda: world(certificate=b"\1").judge(), "cannot be read"),
    "no certificate": (lambda: world(certificate=b"").judge(), "certificate is not of 1 to 1024 bytes"),
    "no bundle": (lambda: world(cabundle=[]).judge(), "cabundle is not of 1 to 8"),
    "a bundle without end": (lambda: world(cabundle=[b"1"] * 9).judge(), "cabundle is not of 1 to 8"),
    "another digest": (lambda: world(digest="SHA256").judge(), "digest is not SHA384"),
    "a short register": (lambda: world(pcrs={0: b"\1" * 32}).judge(), "register 0 is not of 48"),
    "register 32": (lambda: world(pcrs={32: b"\1" * 48}).judge(), "has register 32"),
    "no registers": (lambda: world(pcrs={}).judge(), "pcrs are not 1 to 32"),
    "no time": (lambda: world(timestamp=0).judge(), "timestamp is not a time"),
    "no module": (lambda: world(module_id="").judge(), "module_id is not printable"),
    "a field more": (lambda: world(extra=1).judge(), "unknown or missing fields: extra"),
    "user data too long": (lambda: world(user_data=bytes(513)).judge(), "user_data is not of 0 to 512"),
    "user data that are none": (lambda: world(user_data=0).judge(), "user_data is not of 0 to 512"),
    "an unprotected header": (lambda: replace(world(), unprotected={"x": 1}).judge(), "unprotected headers"),
    "another algorithm": (lambda: replace(world(), header=b"\xa1\x01\x38\x23").judge(), "do not begin like a Nitro"),
    "bytes behind it": (lambda: world().judge(DOCUMENT + b"\0"), "goes on for 1 bytes"),
    "a document cut short": (lambda: world().judge(DOCUMENT[:-1]), "ends at byte"),
    "a document too large": (lambda: world().judge(DOCUMENT.ljust(16_385, b"\0")), "more than 16384"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_one_change_to_an_honest_document_is_refused_for_its_own_reason(name: str) -> None:
    attack, reason = ATTACKS[name]
    with pytest.raises(Refused, match=reason):
        attack()


def test_a_genuine_document_is_hardware_and_unsupported_for_training() -> None:
    found = appraise_nitro(GENUINE, AT)
    assert (found.assurance, found.root, found.format) == ("hardware", AWS_ROOT, "nitro-document")
    assert found.platform == "i-0827e799ec9232d44-enc019b5640fdf630d6"
    assert found.measurements["pcr0"].hex().startswith("eb7d0dab08ff4154")
    assert found.report_data[:4].hex() == "e3b0c442"
    assert found.unchecked[0].startswith("unsupported for training")


def test_a_document_under_a_development_root_reads_simulated() -> None:
    found = world().judge()
    assert (found.assurance, found.report_data) == ("simulated", b"bound")


def test_pinning_amazons_root_for_development_does_not_make_it_simulated() -> None:
    assert appraise_nitro(GENUINE, AT, roots=[AWS_ROOT]).assurance == "hardware"


def test_a_tag_in_front_changes_nothing() -> None:
    assert is_nitro(b"\xd2" + GENUINE)
    assert appraise_nitro(b"\xd2" + GENUINE, AT) == appraise_nitro(GENUINE, AT)


@pytest.mark.parametrize("step", [37, pytest.param(1, marks=pytest.mark.slow)])
def test_no_byte_of_a_genuine_document_can_be_flipped(step: int) -> None:
    """All of it is signed but the outer heads, which have one spelling each that is read."""
    for at in range(0, len(GENUINE), step):
        changed = bytearray(GENUINE)
        changed[at] ^= 1
        with pytest.raises(Refused):
            appraise_nitro(bytes(changed), AT)


PLAIN = st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=9) | st.text(max_size=9)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.integers(0, 99) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES.filter(lambda value: "True" not in repr(value) and "False" not in repr(value)))
def test_cbor_reads_what_was_written(value: object) -> None:
    data = encode(value)
    with suppress(Refused):  # nested deeper than documents are
        assert read_cbor(data, "it") == value


@given(st.binary(max_size=200), st.integers(0), st.integers(1, 255))
def test_bytes_that_are_no_document_are_refused_and_nothing_worse(tail: bytes, at: int, flip: int) -> None:
    changed = bytearray(DOCUMENT)
    changed[at % len(changed)] ^= flip
    for data in (tail, DOCUMENT[:7] + tail, bytes(changed)):
        with suppress(Refused):
            read_cbor(data, "it")
        with suppress(Refused):
            read_nitro(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x81" * 9 + b"\0", "nested deeper than 6"),
        (b"\x9f" + b"\0" * 300 + b"\xff", "more than 256 items"),
        (b"\x9a\xff\xff\xff\xff", "it ends at byte 5"),
        (b"\xa2\0\0\0\0", "key 0 twice"),
        (b"\xa1\x41a\0", "neither a number nor text"),
        (b"\xa1\xf5\0", "neither a number nor text"),
        (b"\xc1\0", "has a tag"),
        (b"\xfb" + bytes(8), "simple value or number"),
        (b"\x5f\x41a\xff", "type 2 with 31"),
        (b"\x1c", "type 0 with 28"),
        (b"\x61\xff", "not UTF-8"),
        (b"\xff", "simple value or number 0xff"),
        (b"", "it ends at byte 0"),
    ],
)
def test_cbor_that_documents_do_not_use_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read_cbor(data, "it")


def test_heads_are_the_shortest() -> None:
    assert [head(0, size).hex() for size in (23, 24, 255, 256, 65536, 1 << 32)] == [
        "17",
        "1818",
        "18ff",
        "190100",
        "1a00010000",
        "1b0000000100000000",
    ]


def test_the_payload_of_the_test_world_is_the_specifications() -> None:
    assert set(payload(chain())) == set(read_cbor(encode(payload(chain())), "it"))  # type: ignore[arg-type]

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from typing import Any

import pytest

from attestrain.errors import FormatError
from attestrain.record.canonical import Json, canonical, parse
from attestrain.record.evidence import (
    MAX_CERTIFICATE,
    MAX_EVENTS,
    MAX_EVIDENCE,
    MAX_QUOTE,
    MAX_STATEMENT,
    REGISTER_SIZE,
    Event,
    Evidence,
    extend,
    replay,
)
from tests.unit.evidence_world import honest_binding, honest_world


def test_evidence_reads_back_as_written() -> None:
    evidence = honest_world().evidence
    assert Evidence.from_bytes(evidence.to_bytes()) == evidence


def test_report_data_follow_from_the_written_layout_alone() -> None:
    binding = honest_binding()
    parts = [
        bytes.fromhex(binding.session[2:]),
        bytes.fromhex(binding.participant[2:]),
        binding.run,
        b"worker",
        struct.pack(">I", 1),
        struct.pack(">I", 0),
        struct.pack(">Q", 41),
        binding.block_hash,
    ]
    tag = b"attestrain.dev/session-key@v1"
    text = struct.pack(">I", len(tag)) + tag
    for part in parts:
        text += struct.pack(">Q", len(part)) + part
    assert binding.report_data == hashlib.sha512(text).digest()


def test_a_register_follows_from_the_written_layout_alone() -> None:
    tag = b"attestrain.dev/event@v1"
    text = struct.pack(">I", len(tag)) + tag + struct.pack(">Q", 4) + b"name" + struct.pack(">Q", 5) + b"value"
    digest = hashlib.sha384(text).digest()
    assert replay([Event("name", "value")]) == hashlib.sha384(bytes(48) + digest).digest()
    assert replay([]) == bytes(REGISTER_SIZE)


def test_extending_twice_is_replaying_two_events() -> None:
    first, second = Event("a", "1"), Event("b", "2")
    assert replay([first, second]) == extend(replay([first]), second.digest) != replay([second, first])


def test_name_and_payload_of_an_event_cannot_be_shifted() -> None:
    assert Event("ab", "c").digest != Event("a", "bc").digest


def _in(*path: str | int) -> Callable[[Json, Any], None]:
    def put(document: Json, value: Any) -> None:
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return put


MALFORMED: list[tuple[str, Callable[[Json, Any], None], Any]] = [
    ("another format", _in("format"), "attestrain.dev/evidence@v2"),
    ("another kind", _in("kind"), "sgx"),
    ("an unknown field", _in("note"), "hello"),
    ("a quote that is a list", _in("quote"), []),
    ("a quote in capitals", _in("quote"), "AB"),
    ("half a byte", _in("quote"), "abc"),
    ("a quote too large", _in("quote"), "00" * (MAX_QUOTE + 1)),
    ("a negative block", _in("block_number"), -1),
    ("a block that is true", _in("block_number"), True),
    ("a short block hash", _in("block_hash"), "00"),
    ("no collateral", _in("collateral"), None),
    ("collateral with more", _in("collateral", "note"), "hello"),
    ("an empty chain", _in("collateral", "tcb_info_issuer_chain"), []),
    ("a chain of four", _in("collateral", "tcb_info_issuer_chain"), ["00"] * 4),
    ("a certificate too large", _in("collateral", "pck_crl_issuer_chain", 0), "00" * (MAX_CERTIFICATE + 1)),
    ("a certificate that is a number", _in("collateral", "pck_crl_issuer_chain", 0), 1),
    ("a short signature", _in("collateral", "tcb_info_signature"), "00" * 63),
    ("a TCB info too long", _in("collateral", "tcb_info"), "x" * (MAX_STATEMENT + 1)),
    ("a TCB info over two lines", _in("collateral", "tcb_info"), "{\n}"),
    ("events that are an object", _in("events"), {}),
    ("too many events", _in("events"), [{"name": "a", "payload": "b"}] * (MAX_EVENTS + 1)),
    ("an event without a payload", _in("events", 0), {"name": "a"}),
    ("an event with a long name", _in("events", 0, "name"), "a" * 65),
    ("an event with a long payload", _in("events", 0, "payload"), "a" * 257),
    ("an event with a bell", _in("events", 0, "payload"), "\a"),
]


@pytest.mark.parametrize(("put", "value"), [case[1:] for case in MALFORMED], ids=[case[0] for case in MALFORMED])
def test_malformed_evidence_is_refused(put: Callable[[Json, Any], None], value: Any) -> None:
    document = parse(honest_world().evidence.to_bytes())
    put(document, value)
    with pytest.raises(FormatError):
        Evidence.from_bytes(canonical(document))


def test_a_document_too_large_is_refused_unread() -> None:
    with pytest.raises(FormatError, match="larger than"):
        Evidence.from_bytes(b"{" + b" " * MAX_EVIDENCE)


def test_the_largest_genuine_sizes_leave_room_in_a_document() -> None:
    """A genuine document is about 40,000 bytes; ours must fit even so."""
    assert len(honest_world().evidence.to_bytes()) < MAX_EVIDENCE / 6

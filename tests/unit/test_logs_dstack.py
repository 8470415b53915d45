from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import rfc8785

from attestrain.appraise.logs.dstack import RUNTIME, read_dstack, runtime_digest
from attestrain.appraise.refused import Refused


def event(**changes: Any) -> dict[str, Any]:
    made = {"imr": 3, "event_type": RUNTIME, "digest": "", "event": "app-id", "event_payload": "abcd"}
    return made | changes


def read(*events: dict[str, Any]) -> list[bytes]:
    return [entry.digest for entry in read_dstack(json.dumps(events).encode()).entries]


def test_a_digest_by_version_2_hashes_the_canonical_object() -> None:
    document = rfc8785.dumps({"name": "app-id", "type": RUNTIME, "payload": "abcd"})
    assert runtime_digest("app-id", b"\xab\xcd", 2) == hashlib.sha384(document).digest()


@pytest.mark.parametrize("version", [1, 2])
def test_a_version_that_the_log_names_is_the_digests(version: int) -> None:
    digest = runtime_digest("app-id", b"\xab\xcd", version)
    assert read(event(version=version), event(digest=digest.hex())) == [digest, digest]
    with pytest.raises(Refused, match="but its data give"):
        read(event(digest=digest.hex(), version=3 - version))


def test_a_digest_left_out_is_that_of_the_first_version() -> None:
    assert read(event()) == [runtime_digest("app-id", b"\xab\xcd", 1)]


def test_a_colon_moves_from_name_to_payload_without_a_trace_and_is_refused() -> None:
    assert runtime_digest("a:b", b"c", 1) == runtime_digest("a", b"b:c", 1)
    with pytest.raises(Refused, match="no name or a colon"):
        read(event(event="a:b"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "cannot be read"),
        (b"{}", "not an array"),
        (b"[[[[[]]]]]", "nested deeper"),
        (b"\xff", "cannot be read"),
        (b"[1]", "not an object"),
        (b'[{"imr":3,"imr":3}]', "one key twice"),
        (b"[]".ljust((1 << 20) + 1), "more than 1048576"),
        (b"[" + b"1," * 1024 + b"1]", "not an array of at most 1024"),
    ],
)
def test_what_is_no_log_is_refused(text: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read_dstack(text)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"imr": 4}, "imr is not an integer in 0..3"),
        ({"imr": 2}, "for RTMR2, not RTMR3"),
        ({"event_type": 4}, "digest is not 48 bytes"),
        ({"digest": "00"}, "digest is not 48 bytes"),
        ({"digest": "AA" * 48}, "not lower-case hexadecimal"),
        ({"event_payload": "abc"}, "not lower-case hexadecimal"),
        ({"event": ""}, "no name"),
        ({"event": "\u00e9"}, "printable ASCII"),
        ({"version": 3}, "integer in 1..2"),
        ({"extra": 1}, "unknown or missing fields: extra"),
        ({"imr": 1.5}, "imr is not an integer"),
    ],
)
def test_an_event_out_of_bounds_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read(event(**changes))

"""RFC 8785 (JCS) documents: one byte string per value, read strictly.

Our documents hold no floating-point numbers: quantities that enter a hash are integers, digests or bit patterns in
hexadecimal, and decimal settings are strings. Without floats and with ASCII keys, the standard library's encoder with
sorted keys and no white space emits exactly RFC 8785's bytes, at the speed of C (the test suite holds it against an
independent implementation).
"""

from __future__ import annotations

import json
import re
from typing import Any

from attestrain.errors import FormatError

MAX_DOCUMENT = 16 << 20
"""Largest document read, in bytes: a run spec with a learning-rate table of a million steps fits."""
MAX_DEPTH = 16
"""Deepest nesting read: ours need six."""
MAX_INTEGER = 2**53 - 1
"""Largest magnitude of an integer: RFC 8785 inherits I-JSON's range (RFC 7493 section 2.2)."""

Json = dict[str, Any]
"""A JSON object as Python holds it."""

_NOT_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[^\[\]{}"]++', re.DOTALL)


def canonical(value: Any) -> bytes:
    """Canonical bytes of ``value``.

    Raises:
        FormatError: a float, a non-ASCII key, an integer beyond 2^53-1, a lone surrogate or too deep a nesting.
    """
    _check(value, MAX_DEPTH)
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise FormatError("text with a lone surrogate has no canonical form") from error


def parse(data: bytes, *, max_bytes: int = MAX_DOCUMENT) -> Json:
    """Read one canonical JSON object.

    Raises:
        FormatError: too large, not UTF-8, not JSON, not an object, or not in canonical form (which also rules out
            duplicate keys, floats and white space).
    """
    value = parse_any_form(data, max_bytes=max_bytes)
    if canonical(value) != data:
        raise FormatError("document is not in RFC 8785 canonical form")
    return value


def parse_any_form(data: bytes, *, max_bytes: int = MAX_DOCUMENT) -> Json:
    """Read one JSON object that others wrote and nobody hashes: white space and any order of keys are fine.

    Raises:
        FormatError: too large, too deep, not UTF-8, not JSON, not an object, or with a floating-point number.
    """
    if len(data) > max_bytes:
        raise FormatError(f"document of {len(data)} bytes is larger than {max_bytes}")
    check_nesting(data)
    try:
        value = json.loads(data.decode("utf-8"), parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not a JSON document: {error}") from error
    if not isinstance(value, dict):
        raise FormatError("document is not a JSON object")
    return value


def check_nesting(data: bytes, most: int = MAX_DEPTH) -> None:
    """Refuse JSON nested deeper than ``most`` before the parser sees it. For all JSON from outside.

    The parser recurses in C up to the interpreter's recursion limit, and libraries raise that limit (py_ecc, which
    every Ethereum client brings, to 100,000): then a few kilobytes of brackets overflow the stack and kill the process.

    Raises:
        FormatError: it is nested too deep.
    """
    if data.count(b"[") + data.count(b"{") <= most:
        return
    depth = 0
    for bracket in _NOT_BRACKETS.sub(b"", data):
        depth += 1 if bracket in b"[{" else -1
        if depth > most + 1:
            raise FormatError(f"document is nested deeper than {most}")


def _no_float(text: str) -> None:
    raise ValueError(f"number {text[:32]} is not an integer")


def _check(value: Any, depth: int) -> None:
    if depth < 0:
        raise FormatError(f"document is nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not key.isascii():
                raise FormatError(f"key {key!r} is not ASCII text")
            _check(item, depth - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth - 1)
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > MAX_INTEGER:
            raise FormatError(f"integer {value} is beyond 2^53-1")
    elif not isinstance(value, str | bool) and value is not None:
        raise FormatError(f"{type(value).__name__} has no place in a document")

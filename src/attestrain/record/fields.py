"""Strict reading of JSON objects: every key known, every value in range, every error naming the place."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from attestrain.errors import FormatError
from attestrain.record.digest import Digest, parse_digest

MAX_DECIMAL = 32
"""Longest decimal setting: more digits than a float64 can hold."""

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,18})?\Z")


def is_decimal(text: object) -> bool:
    """Whether ``text`` is a decimal setting such as "0.95": no exponent, no leading zero, no plus sign."""
    return isinstance(text, str) and len(text) <= MAX_DECIMAL and bool(_DECIMAL.match(text))


class Fields:
    """A JSON object being read.

    Args:
        value: what the parser returned.
        keys: exactly the keys that must be present.
        where: what is being read, for messages.

    Raises:
        FormatError: not an object, or keys missing or unknown (from the constructor); a value of the wrong type or out
            of range (from the readers).
    """

    def __init__(self, value: object, keys: Iterable[str], where: str) -> None:
        if not isinstance(value, dict):
            raise FormatError(f"{where} is not an object")
        expected = set(keys)
        if wrong := sorted(expected ^ value.keys()):
            raise FormatError(f"{where} has unknown or missing fields: {', '.join(map(str, wrong))[:200]}")
        self._value: dict[str, Any] = value
        self._where = where

    def wrong(self, key: str, what: str) -> FormatError:
        """The error that a field is not ``what`` it should be, to be raised."""
        return FormatError(f"{self._where}.{key} is not {what}: {str(self._value[key])[:80]!r}")

    def text(self, key: str, *, max_length: int = 256) -> str:
        """ASCII text without control characters."""
        value = self._value[key]
        if not isinstance(value, str) or len(value) > max_length or not (value.isascii() and value.isprintable()):
            raise self.wrong(key, f"printable ASCII text of at most {max_length} characters")
        return value

    def constant(self, key: str, expected: str) -> None:
        """A field that must hold one fixed text, such as the format."""
        if self._value[key] != expected:
            raise self.wrong(key, repr(expected))

    def choice(self, key: str, options: Iterable[str]) -> str:
        """One of a few texts."""
        value = self._value[key]
        if value not in tuple(options):
            raise self.wrong(key, f"one of {', '.join(options)}")
        return str(value)

    def integer(self, key: str, low: int, high: int) -> int:
        """An integer in ``low .. high`` inclusive."""
        value = self._value[key]
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(key, f"an integer in {low}..{high}")
        return value

    def digest(self, key: str) -> Digest:
        """A SHA-256 digest."""
        try:
            return parse_digest(self._value[key])
        except ValueError as error:
            raise self.wrong(key, "a digest") from error

    def decimal(self, key: str, low: float, high: float) -> str:
        """A decimal setting whose value lies in ``low .. high``; returned as written, because its text is hashed.

        Compared exactly: as a float64, a text slightly above 1 reads as 1.
        """
        value = self._value[key]
        if not is_decimal(value) or not low <= Fraction(value) <= high:
            raise self.wrong(key, f"a decimal text in {low}..{high}")
        return str(value)

    def object(self, key: str) -> dict[str, Any]:
        """A nested object, unread."""
        value = self._value[key]
        if not isinstance(value, dict):
            raise self.wrong(key, "an object")
        return value

    def array(self, key: str, *, max_length: int) -> list[Any]:
        """A nested array, unread, of bounded length."""
        value = self._value[key]
        if not isinstance(value, list) or len(value) > max_length:
            raise self.wrong(key, f"an array of at most {max_length}")
        return value

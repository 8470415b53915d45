"""Strict reading of TOML tables whose every field may be absent: what a policy does not say has a safe default."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from attestrain.errors import FormatError

MAX_ITEMS = 4096
"""Most items of an array of a policy."""

T = TypeVar("T")


class Table:
    """A TOML table being read.

    Args:
        value: what the parser returned; None is an empty table.
        keys: all that may be present.
        where: its name, for messages.

    Raises:
        FormatError: not a table, or with unknown fields (from the constructor); a value of the wrong type or out of
            range (from the readers).
    """

    def __init__(self, value: object, keys: Collection[str], where: str) -> None:
        value = {} if value is None else value
        if not isinstance(value, Mapping):
            raise FormatError(f"{where} is not a table")
        if unknown := sorted(set(map(str, value)) - set(keys)):
            raise FormatError(f"{where} has unknown fields: {', '.join(unknown)[:200]}")
        self._value = value
        self._where = where

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def value(self, key: str) -> object:
        """The field as the parser returned it; None if it is absent."""
        return self._value.get(key)

    def table(self, key: str) -> Mapping[str, object]:
        """A table within, unread; empty if it is absent."""
        value = self._value.get(key, {})
        if not isinstance(value, Mapping):
            raise self._wrong(key, "a table")
        return value

    def boolean(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._value.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """An integer in ``low .. high`` inclusive."""
        value = self._value.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(key, f"an integer in {low}..{high}")
        return value

    def choice(self, key: str, default: str, options: Collection[str]) -> str:
        """One of a few texts."""
        value = self._value.get(key, default)
        if value not in options:
            raise self._wrong(key, f"one of {', '.join(options)}")
        return str(value)

    def array(self, key: str, read: Callable[[object], T], default: tuple[T, ...] = ()) -> tuple[T, ...]:
        """An array, each item read by ``read``."""
        if key not in self._value:
            return default
        value = self._value[key]
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            raise self._wrong(key, f"an array of at most {MAX_ITEMS}")
        return tuple(map(read, value))

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """An array of printable ASCII texts of at most 256 characters."""
        return self.array(key, self._text, default)

    def _text(self, value: object) -> str:
        if not isinstance(value, str) or len(value) > 256 or not (value.isascii() and value.isprintable()):
            raise FormatError(f"{self._where} holds what is no short printable text: {str(value)[:80]!r}")
        return value

    def _wrong(self, key: str, what: str) -> FormatError:
        return FormatError(f"{self._where}.{key} is not {what}: {str(self._value[key])[:80]!r}")

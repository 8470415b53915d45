"""Signed statements of collateral: TCB info and QE identity, which are JSON texts."""

from __future__ import annotations

from functools import lru_cache

from attestrain.appraise.refused import Refused
from attestrain.errors import FormatError
from attestrain.record.canonical import Json, parse_any_form
from attestrain.record.evidence import MAX_STATEMENT

REMEMBERED = 8
"""Statements kept as read: every check of one appraisal looks into the same two, and many quotes share collateral."""


@lru_cache(maxsize=REMEMBERED)
def read_statement(text: str, what: str) -> Json:
    """The object that ``text`` is. Not to be changed: it is shared.

    Raises:
        Refused: it is no JSON object.
    """
    try:
        return parse_any_form(text.encode(), max_bytes=MAX_STATEMENT)
    except FormatError as error:
        raise Refused(f"{what} cannot be read: {error}") from error

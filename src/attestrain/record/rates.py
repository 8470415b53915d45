"""Learning-rate tables: bits in the run spec, because cosines differ between machines."""

from __future__ import annotations

import re

from attestrain.record.fields import Fields

_RATES = re.compile(r"([0-6][0-9a-f]{7}|7[0-7][0-9a-f]{6})*\Z")
"""Bits of float32 values from 0 to 2^113: neither negative nor infinite."""


def read_rates(fields: Fields, count: int) -> str:
    """Field ``rates``: eight hex digits of float32 bits for each of ``count`` entries.

    Raises:
        FormatError: another number of entries, or one that is negative or not finite.
    """
    rates = fields.text("rates", max_length=8 * count)
    if len(rates) != 8 * count or not _RATES.match(rates):
        raise fields.wrong("rates", f"a table of {count} float32 bit patterns")
    return rates

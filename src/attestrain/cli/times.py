"""Times on the command line."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from attestrain.errors import UsageError

_SECONDS = re.compile(r"[0-9]{1,12}\Z")
_SPELLINGS = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d")


def read_time(text: str | None) -> int:
    """A time in seconds since 1970: given as such, as ``2026-11-25T12:00:00Z``, as a day in UTC; None is now.

    Raises:
        UsageError: it is none of these.
    """
    if text is None:
        return int(time.time())
    if _SECONDS.match(text):
        return int(text)
    for spelling in _SPELLINGS:
        try:
            return int(datetime.strptime(text, spelling).replace(tzinfo=UTC).timestamp())
        except ValueError:
            continue
    raise UsageError(f"{text[:40]!r} is no time", hint="seconds since 1970, 2026-11-25T12:00:00Z or 2026-11-25")

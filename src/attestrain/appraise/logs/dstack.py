"""Event logs of dstack guests: boot entries taken over from the CCEL, and events that the guest measured into RTMR3.

Format: crate cc-eventlog of https://github.com/Dstack-TEE/dstack. The digest of a guest's event covers type, name and
payload: by version 1 with colons between them, by version 2 as a canonical JSON object (RFC 8785).
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from dataclasses import replace
from typing import Any

from attestrain.appraise.logs.entry import REGISTERS, Entry, EventLog
from attestrain.appraise.refused import Refused, require
from attestrain.errors import FormatError
from attestrain.record.canonical import canonical, check_nesting
from attestrain.record.evidence import REGISTER_SIZE
from attestrain.record.fields import Fields

FORMAT = "dstack-event-log"
MAX_LOG = 1 << 20
"""Largest log, in bytes: a genuine one has seven thousand."""
MAX_ENTRIES = 1024
"""Most entries: a genuine log has 28."""
MAX_PAYLOAD = 1 << 17
"""Longest payload, in bytes: a revocation list for secure boot, the longest there is, has some tens of thousands."""
RUNTIME = 0x08000001
"""Type of the events that a guest measures: dstack's own choice, which TCG does not define."""
RUNTIME_REGISTER = 3
NESTING = 2
"""An array of flat objects."""
KEYS = ("imr", "event_type", "digest", "event", "event_payload")
VERSION = "version"
"""Key that names the version of an event's digest; absent in logs of guests that know the first one alone."""

_HEX = re.compile(r"([0-9a-f]{2})*\Z")


def runtime_digest(name: str, payload: bytes, version: int) -> bytes:
    """The 48 bytes with which dstack extends RTMR3 for an event, by version 1 or 2 of its log."""
    if version == 1:
        return hashlib.sha384(b":".join((struct.pack("<I", RUNTIME), name.encode(), payload))).digest()
    return hashlib.sha384(canonical({"name": name, "payload": payload.hex(), "type": RUNTIME})).digest()


def read_dstack(data: bytes) -> EventLog:
    """Read a log: the JSON array that the guest agent returns as ``event_log``.

    Raises:
        Refused: it is malformed or too large, or an event's digest is not that of its name and payload.
    """
    require(len(data) <= MAX_LOG, f"the event log has {len(data)} bytes, more than {MAX_LOG}")
    try:
        check_nesting(data, NESTING)
        items = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
        if not isinstance(items, list) or len(items) > MAX_ENTRIES:
            raise FormatError(f"it is not an array of at most {MAX_ENTRIES} events")
        return EventLog(FORMAT, tuple(_read_entry(item) for item in items))
    except (ValueError, RecursionError, FormatError) as error:
        raise Refused(f"the event log cannot be read: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without a key given twice, of which readers would choose one or the other."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise FormatError("an event has one key twice")
    return value


def _read_entry(item: object) -> Entry:
    versioned = isinstance(item, dict) and VERSION in item
    fields = Fields(item, (*KEYS, VERSION) if versioned else KEYS, "event")
    name = fields.text("event")
    entry = Entry(
        register=fields.integer("imr", 0, REGISTERS - 1),
        kind=fields.integer("event_type", 0, 0xFFFFFFFF),
        digest=_read_hex(fields, "digest", REGISTER_SIZE),
        data=_read_hex(fields, "event_payload", MAX_PAYLOAD),
    )
    if len(entry.digest) != REGISTER_SIZE and (entry.kind != RUNTIME or entry.digest):
        raise fields.wrong("digest", f"{REGISTER_SIZE} bytes")
    if entry.kind != RUNTIME:
        return entry  # what a boot event is called is the guest's choice and not measured
    return _checked(replace(entry, name=name), (fields.integer(VERSION, 1, 2),) if versioned else (1, 2))


def _read_hex(fields: Fields, key: str, most: int) -> bytes:
    text = fields.text(key, max_length=2 * most)
    if not _HEX.match(text):
        raise fields.wrong(key, "lower-case hexadecimal")
    return bytes.fromhex(text)


def _checked(entry: Entry, versions: tuple[int, ...]) -> Entry:
    """A guest's event, its digest made anew; the first version's where guests leave it out to save space."""
    require(entry.register == RUNTIME_REGISTER, f"event {entry.name!r} is for RTMR{entry.register}, not RTMR3")
    # With a colon in the name, version 1 hashes two names and payloads alike.
    require(entry.name != "" and ":" not in entry.name, f"event {entry.name!r} has no name or a colon in it")
    digests = [runtime_digest(entry.name, entry.data, version) for version in versions]
    known = entry.digest or digests[0]
    require(known in digests, f"event {entry.name!r} extends {known.hex()}, but its data give {digests[0].hex()}")
    return replace(entry, digest=known)

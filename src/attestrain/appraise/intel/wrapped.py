"""Intel's quotes as they come in files: bare, in our evidence document, or in the report that dstack's agent gives."""

from __future__ import annotations

from dataclasses import replace

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.intel.appraise import appraise_intel
from attestrain.appraise.intel.authentic import check_quote_signature
from attestrain.appraise.intel.bodies import CBOR, DICE_SIZE, KINDS
from attestrain.appraise.intel.guest import check_guest
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.intel.quote import Quote
from attestrain.appraise.intel.spelled import read_collateral
from attestrain.appraise.logs.dstack import read_dstack
from attestrain.appraise.logs.findings import LogFindings, appraise_log
from attestrain.appraise.refused import require
from attestrain.errors import FormatError, Undecided
from attestrain.record.canonical import parse_any_form
from attestrain.record.evidence import FORMAT, MAX_QUOTE, MEASURED, Evidence, replay

MAX_REPORT = 1 << 20
"""Largest report of dstack's agent, in bytes: its event log has 20 thousand."""
MOST_VERSION = 15
"""Largest number taken for a quote's version: one that is not read yet is refused by name."""
_NEEDS = "collateral of the time of the quote is needed: --collateral FILE, as dcap-qvl or a PCCS client saves it"


def is_quote(data: bytes) -> bool:
    """Whether ``data`` looks like a quote of any version, or like what newer platforms give in its place.

    A quote's version is followed by the type of its key, which is never zero; SEV-SNP reports have zeros there.
    """
    version, key_type = (int.from_bytes(data[at : at + 2], "little") for at in (0, 2))
    begins = KINDS[0].version <= version <= MOST_VERSION and key_type > 0
    return begins or (len(data) > DICE_SIZE and data[0] >= CBOR)


def is_document(data: bytes) -> bool:
    """Whether ``data`` looks like our evidence document."""
    return data.startswith(b"{") and f'"format":"{FORMAT}"'.encode() in data


def is_dstack(data: bytes) -> bool:
    """Whether ``data`` looks like a report of dstack's agent."""
    return data.lstrip().startswith(b"{") and b'"quote"' in data and b'"event_log"' in data


def judge_quote(data: bytes, collateral: bytes | None, policy: IntelPolicy, at: int) -> Attestation:
    """Judge a bare quote with collateral from a file of its own.

    Raises:
        Refused: naming what was observed and what is required.
        Undecided: there is no collateral, and nothing else is wrong.
        FormatError: the collateral is malformed.
    """
    if collateral is None:
        quote = Quote.from_bytes(data)
        check_quote_signature(quote)
        check_guest(quote)
        raise Undecided("the quote says nothing against itself, but nobody vouches for it", hint=_NEEDS)
    return appraise_intel(data, read_collateral(collateral), policy, at)


def judge_document(data: bytes, beside: bytes | None, policy: IntelPolicy, at: int) -> Attestation:
    """Judge our evidence document, which brings its collateral and the events that RTMR3 replays to.

    What lies ``beside`` it is for other files: a document is judged with its own collateral.

    Raises:
        Refused: naming what was observed and what is required.
        FormatError: the document is malformed.
    """
    evidence = Evidence.from_bytes(data)
    found = appraise_intel(evidence.quote, evidence.collateral, policy, at)
    register, replayed = found.measurements.get("rtmr3"), replay(evidence.events)
    observed = "not measured" if register is None else register.hex()
    require(register == replayed, f"RTMR3 is {observed}, but the events give {replayed.hex()}")
    names = tuple(event.name for event in evidence.events)
    require(names == MEASURED, f"measured were {', '.join(names)[:300] or 'nothing'}, not {', '.join(MEASURED)}")
    events = {event.name.replace("-", "_"): event.payload for event in evidence.events}
    digests = {name: bytes.fromhex(text) for name, text in events.items() if _is_digest(text)}
    log = ", ".join(f"{event.name} {event.payload[:16]}" for event in evidence.events) or "nothing"
    return replace(
        found,
        measurements={**digests, **found.measurements},
        proven=(*found.proven, f"RTMR3 is what its event log replays to: {log}"),
        unchecked=(*(item for item in found.unchecked if not item.startswith("rtmr3")), *_UNBOUND),
    )


_UNBOUND = ("whose session key the quote binds: `attestrain verify` compares it with the run's join and block",)


def judge_dstack(data: bytes, collateral: bytes | None, policy: IntelPolicy, at: int) -> Attestation:
    """Judge the quote in a report of dstack's agent (its API's answer to GetQuote), and the event log beside it.

    Raises:
        Refused: naming what was observed and what is required.
        Undecided: there is no collateral, and nothing else is wrong.
        FormatError: the report or the collateral is malformed.
    """
    document = parse_any_form(data, max_bytes=MAX_REPORT)
    data = _hex(document.get("quote"), "quote")
    quote = Quote.from_bytes(data)
    if "report_data" in document:
        said, bound = _hex(document["report_data"], "report_data"), quote.field("report_data")
        same = bound == said.ljust(len(bound), b"\0")
        require(same, f"report_data is {said.hex()} in the report, but {bound.hex()} in the quote")
    log = _log_of(quote, document.get("event_log"))
    found = judge_quote(data, collateral, policy, at)
    once = tuple(f"{name} {log.named[name][0].hex()[:64]}" for name in _NAMED if len(log.named.get(name, ())) == 1)
    often = tuple(f"{name}: it was measured more than once" for name in _NAMED if len(log.named.get(name, ())) > 1)
    unchecked = tuple(item for item in found.unchecked if not item.startswith("rtmr3"))
    return replace(found, proven=(*found.proven, *log.proven, *once), unchecked=(*unchecked, *log.unchecked, *often))


def _log_of(quote: Quote, log: object) -> LogFindings:
    if not isinstance(log, str):
        raise FormatError("the report's event_log is no text")
    require(quote.kind.is_tdx, f"an event log lies beside an {quote.kind.format}, which has no registers for one")
    stated = {number: quote.field(f"rtmr{number}") for number in range(4)}
    # What is no UTF-8 after this is refused where the log is read.
    return appraise_log(read_dstack(log.encode("utf-8", "surrogatepass")), stated)


_NAMED = ("app-id", "compose-hash", "os-image-hash", "instance-id")
"""What dstack measures about the application that a guest runs."""


def _hex(value: object, where: str) -> bytes:
    if not isinstance(value, str) or len(value) > 2 * MAX_QUOTE + 2:
        raise FormatError(f"the report's {where} is no text of at most {MAX_QUOTE} bytes in hexadecimal")
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except ValueError as error:
        raise FormatError(f"the report's {where} is not hexadecimal") from error


def _is_digest(text: str) -> bool:
    return len(text) == 64 and not set(text) - set("0123456789abcdef")

"""One quote of Intel's, judged: what it shows about a guest or an enclave, in the terms of every vendor."""

from __future__ import annotations

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.intel.authentic import Origin, authenticate
from attestrain.appraise.intel.guest import check_guest, check_registers
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.intel.quote import Quote
from attestrain.appraise.signatures import shown
from attestrain.record.evidence import Collateral


def appraise_intel(data: bytes, collateral: Collateral, policy: IntelPolicy, at: int) -> Attestation:
    """Judge a quote: TDX of version 4 or 5, or SGX of version 3.

    Args:
        data: the quote, as the platform gave it.
        collateral: what judges it, of the time ``at``.
        policy: what the relying party asks for.
        at: when the quote was given, in seconds since 1970.

    Raises:
        Refused: naming what was observed and what is required.
    """
    quote = Quote.from_bytes(data)
    check_guest(quote)
    origin = authenticate(quote, collateral, policy, at)
    unchecked = [f"{name}: no reference value" for name in check_registers(quote, policy)]
    return Attestation(
        format=quote.kind.format,
        assurance=origin.assurance,
        root=origin.root,
        platform=origin.platform,
        signed=quote.identity,
        report_data=quote.field("report_data"),
        measurements={name: quote.field(name) for name in quote.kind.measurements},
        tcb=origin.tcb_status,
        proven=_proven(quote, origin, at),
        unchecked=(*unchecked, *_unchecked(quote, origin)),
    )


def _proven(quote: Quote, origin: Origin, at: int) -> tuple[str, ...]:
    who = "TDX guest" if quote.kind.is_tdx else "SGX enclave"
    root = "Intel's root" if origin.assurance == "hardware" else "a pinned development root, so all of it is simulated"
    return (
        f"platform {origin.platform} vouches for the quoting enclave, and that for this {who}, up to {root}",
        f"the platform's TCB was {origin.tcb_status} by evaluation {origin.evaluation}, with collateral that counts "
        f"at {shown(at)}, and nothing in the chain was revoked",
        f"the {who} cannot be debugged by its host"
        + (", cannot be migrated, and no service guest has a hand in it" if quote.kind.is_tdx else ""),
    )


def _unchecked(quote: Quote, origin: Origin) -> tuple[str, ...]:
    advisories = tuple(f"advisory {name} concerns the platform, and the policy takes it" for name in origin.advisories)
    bound = quote.field("report_data").hex()
    tail = [f"report data: they are {bound}, and whoever knows what they should be compares them"]
    if quote.kind.is_tdx:
        tail.append("rtmr3: a quote alone has no event log to replay")
    tail.append("that nobody has opened the machine: keys of quoting enclaves have been read from its memory bus")
    return (*advisories, *tail)

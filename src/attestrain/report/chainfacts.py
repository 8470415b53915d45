"""What documents of a chain and of evidence say, for `artefacts.describe`. Nothing here is verified.

Documents that hold secrets are read by the names of what is public in them, so that nothing else can reach a screen.
"""

from __future__ import annotations

from collections.abc import Callable

from attestrain.errors import FormatError
from attestrain.record.canonical import Json
from attestrain.record.chain import FORMAT as CHAIN_FORMAT
from attestrain.record.chain import ChainFacts
from attestrain.record.digest import sha256
from attestrain.record.evidence import FORMAT as EVIDENCE_FORMAT
from attestrain.record.evidence import Evidence
from attestrain.rules.header import read_header

DEPLOYMENT_FORMAT = "attestrain.dev/deployment@v1"
INVITE_FORMAT = "attestrain.dev/invite@v1"
"""Its reader belongs to runs, which this package does not see."""
PUBLIC: dict[str, tuple[str, ...]] = {
    INVITE_FORMAT: ("url", "run", "role", "slot"),
    "attestrain.dev/development-pki@v1": (),
    "attestrain.dev/development-platform@v1": (),
}
"""Documents with secrets, and which of their fields are none."""
MAX_SHOWN = 256
"""Longest text shown of a document that has secrets."""


def read_chain(document: Json, data: bytes) -> Json:
    """Chain facts: the block, what of each contract is proved, enrolments and cases."""
    facts = ChainFacts.from_bytes(data)
    header = read_header(facts.header)
    at = {address: name for name, address in facts.contracts.items()}
    contracts = [
        {"contract": at.get(address, "not a contract"), "address": address, "slots proved": len(account.slots)}
        for address, account in facts.accounts.items()
    ]
    enrolments = [
        {
            "role": item.role,
            "slot": item.worker,
            "key epoch": item.key_epoch,
            "block": item.block_number,
            "time": item.timestamp,
        }
        for item in facts.enrolments
    ]
    return {
        "format": CHAIN_FORMAT,
        "chain": facts.chain_id,
        "block": {
            "number": header.number,
            "hash": header.hash.hex(),
            "time": header.timestamp,
            "state root": header.state_root.hex(),
        },
        "contracts": contracts,
        "enrolments": enrolments,
        "cases": [{"round": item.round, "worker": item.worker, "segment": item.segment} for item in facts.cases],
        "bytes": len(data),
        "checked": "no: see attestrain verify",
    }


def read_deployment(document: Json, data: bytes) -> Json:
    """Where the contracts of a chain are said to stand."""
    from attestrain.settle.deployment import Deployment

    said = Deployment.from_bytes(data)
    facts: Json = {"format": DEPLOYMENT_FORMAT, "chain": said.chain_id, "finality": said.finality}
    return {**facts, "contracts": dict(said.contracts), "checked": "no: see attestrain chain status"}


def read_evidence(document: Json, data: bytes) -> Json:
    """Evidence: the root that it hangs from, the moment it names, and everything measured."""
    from attestrain.appraise.intel.quote import Quote
    from attestrain.appraise.refused import Refused

    evidence = Evidence.from_bytes(data)
    try:
        quote = Quote.from_bytes(evidence.quote)
    except Refused as error:
        raise FormatError(f"evidence holds no quote: {error}") from error
    if not quote.kind.is_tdx:
        raise FormatError("evidence holds a quote of an enclave, not of a guest")
    return {
        "format": EVIDENCE_FORMAT,
        "digest": sha256(data).hex(),
        "quote bytes": len(evidence.quote),
        "root": quote.root.hex(),
        "report data": quote.field("report_data").hex(),
        "image": {name: quote.field(name).hex() for name in quote.kind.image},
        "rtmr3": quote.field("rtmr3").hex(),
        "events": [{"event": event.name, "value": event.payload} for event in evidence.events],
        "block": {"number": evidence.block_number, "hash": evidence.block_hash.hex()},
        "checked": "no: see attestrain verify",
    }


def read_secret(document: Json, data: bytes) -> Json:
    """A document that holds a secret: its public fields."""
    name = str(document["format"])
    shown = {key: _public(document[key]) for key in PUBLIC[name] if key in document}
    facts: Json = {"format": name, **shown}
    service = document.get("service")
    if name == INVITE_FORMAT and isinstance(service, str):
        facts["fingerprint"] = " ".join(service[at : at + 4] for at in range(0, 32, 4))
    if name == INVITE_FORMAT:
        facts["evidence"] = "simulated" if document.get("platform") is not None else "none brought along"
    return {**facts, "secret": "not shown: keep this file to yourself"}


def _public(value: object) -> str | int:
    return value if isinstance(value, int) else str(value)[:MAX_SHOWN]


READERS: dict[str, Callable[[Json, bytes], Json]] = {
    CHAIN_FORMAT: read_chain,
    EVIDENCE_FORMAT: read_evidence,
    DEPLOYMENT_FORMAT: read_deployment,
    **dict.fromkeys(PUBLIC, read_secret),
}
"""Readers by format."""

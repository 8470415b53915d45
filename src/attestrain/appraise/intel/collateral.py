"""Collateral held against the root of the quote and the time of the evidence.

Evidence is judged at the time of the block that took it, with the collateral of that day, which is archived with it. So
a verdict of today and one in ten years agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from attestrain.appraise.intel.policy import DAY, IntelPolicy
from attestrain.appraise.intel.quote import Quote
from attestrain.appraise.intel.statements import read_statement
from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import check_signed, public_key, read_chain, read_revocations, shown
from attestrain.record.digest import sha256
from attestrain.record.evidence import Collateral

SKEW = DAY
"""Seconds by which collateral may be issued after the evidence's time: clocks of chains and makers differ."""
LATEST = 253_402_300_799 - SKEW
"""Last time that evidence may be of: certificates and messages know no year after 9999 (RFC 5280, section 4.1.2.5)."""
ISSUED_BY_ROOT = 2
"""Certificates of a collateral's chain: the signer and the root."""


@dataclass(frozen=True, slots=True)
class _Period:
    """When something was issued and from when on it counts no more, in seconds since 1970."""

    what: str
    issued: int
    expires: int


def check_collateral(quote: Quote, collateral: Collateral, policy: IntelPolicy, at: int) -> x509.Certificate:
    """Check that the collateral is of the quote's root and of the time ``at``, and does not revoke the platform.

    Returns:
        The platform's certificate, whose key vouches for its quoting enclave.

    Raises:
        Refused: it is not.
    """
    require(0 <= at <= LATEST, f"the evidence's time {at} is not in 0..{LATEST}")
    for name, chain in collateral.chains.items():
        root = sha256(chain[-1])
        require(root == quote.root, f"{name} ends in root {root.hex()}, not the quote's {quote.root.hex()}")
        require(len(chain) == ISSUED_BY_ROOT, f"{name} has {len(chain)} certificates, not {ISSUED_BY_ROOT}")
    leaf, *issuers = read_chain(quote.chain, at, "the quote's certificate chain")
    _check_revocations(quote, collateral, (leaf, *issuers), at)
    _check_statements(collateral, policy, at)
    return leaf


def _check_revocations(quote: Quote, collateral: Collateral, chain: tuple[x509.Certificate, ...], at: int) -> None:
    leaf, intermediate, root = chain
    same = collateral.pck_crl_issuer_chain[0] == quote.chain[1]
    require(same, "the PCK revocation list is not of the authority that certified the platform")
    lists = [
        (collateral.pck_crl, intermediate, leaf, "the PCK revocation list"),
        (collateral.root_ca_crl, root, intermediate, "the root's revocation list"),
    ]
    for data, issuer, certificate, what in lists:
        revoked = read_revocations(data, issuer, what)
        _check_period(_list_period(revoked, what), at)
        serial = certificate.serial_number
        found = revoked.get_revoked_certificate_by_serial_number(serial)
        require(found is None, f"{what} revokes the platform's certificate {serial:x}")


def _check_statements(collateral: Collateral, policy: IntelPolicy, at: int) -> None:
    tcb = (collateral.tcb_info_issuer_chain, collateral.tcb_info, collateral.tcb_info_signature)
    enclave = (collateral.qe_identity_issuer_chain, collateral.qe_identity, collateral.qe_identity_signature)
    signers: dict[tuple[bytes, ...], x509.Certificate] = {}
    for what, (chain, text, signature) in (("the TCB info", tcb), ("the QE identity", enclave)):
        if chain not in signers:  # both have the same one as a rule
            signers[chain], root = read_chain(chain, at, f"the chain of {what}")
            revoked = read_revocations(collateral.root_ca_crl, root, "the root's revocation list")
            serial = signers[chain].serial_number
            found = revoked.get_revoked_certificate_by_serial_number(serial)
            require(found is None, f"the root's revocation list revokes the signer {serial:x} of {what}")
        check_signed(public_key(signers[chain], what), signature, text.encode(), what)
        _check_age(_statement_period(text, what), policy, at)


def _check_period(period: _Period, at: int) -> None:
    if period.issued > at + SKEW:
        raise Refused(f"{period.what} was issued at {shown(period.issued)}, after the evidence of {shown(at)}")
    if period.expires <= at:
        raise Refused(f"{period.what} expired at {shown(period.expires)}, before the evidence of {shown(at)}")


def _check_age(period: _Period, policy: IntelPolicy, at: int) -> None:
    _check_period(period, at)
    if at - period.issued > policy.most_age:
        age = f"{(at - period.issued) // DAY} days old, not at most {policy.most_age // DAY}"
        raise Refused(f"{period.what} of {shown(period.issued)} is {age}")


def _list_period(revoked: x509.CertificateRevocationList, what: str) -> _Period:
    expires = revoked.next_update_utc
    if expires is None:
        raise Refused(f"{what} does not say until when it counts")
    return _Period(what, int(revoked.last_update_utc.timestamp()), int(expires.timestamp()))


def _statement_period(text: str, what: str) -> _Period:
    document = read_statement(text, what)
    try:
        issued, expires = (_seconds(document[key]) for key in ("issueDate", "nextUpdate"))
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"{what} cannot be read: {error}") from error
    return _Period(what, issued, expires)


def _seconds(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())

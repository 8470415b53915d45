"""Collateral held against the time of the evidence and the root of the quote, before and beside the library's checks.

Evidence is judged at the time of the block that took it, with the collateral of that day, which is archived with it. So
a verdict of today and one in ten years agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509

from attestrain.appraise.policy import DAY, EvidencePolicy
from attestrain.appraise.quote import Quote
from attestrain.appraise.refused import Refused, require
from attestrain.errors import FormatError
from attestrain.record.canonical import parse_any_form
from attestrain.record.digest import sha256
from attestrain.record.evidence import MAX_STATEMENT, Collateral

SKEW = DAY
"""Seconds by which collateral may be issued after the evidence's time: clocks of chains and makers differ."""
LATEST = 253_402_300_799
"""End of the year 9999, the last time that certificates can name (RFC 5280, section 4.1.2.5)."""


@dataclass(frozen=True, slots=True)
class _Period:
    """When something was issued and from when on it counts no more, in seconds since 1970."""

    what: str
    issued: int
    expires: int
    ages: bool = False


def check_collateral(quote: Quote, collateral: Collateral, policy: EvidencePolicy, at: int) -> None:
    """Check that the collateral is of the quote's root, of the time ``at``, and does not revoke the platform.

    That it is genuine is for `appraise.authentic` to say.

    Raises:
        Refused: it is not.
    """
    require(0 <= at <= LATEST, f"the evidence's time {at} is not in 0..{LATEST}")
    for name, chain in collateral.chains.items():
        root = sha256(chain[-1])
        require(root == quote.root, f"{name} ends in root {root.hex()}, not the quote's {quote.root.hex()}")
    root_list = _read_list(collateral.root_ca_crl, "the root's revocation list")
    platform_list = _read_list(collateral.pck_crl, "the PCK revocation list")
    for period in _periods(root_list, platform_list, collateral):
        _check_period(period, policy, at)
    leaf, intermediate = (_read_certificate(quote.chain[at]) for at in (0, 1))
    _check_revoked(leaf, platform_list, "PCK certificate")
    _check_revoked(intermediate, root_list, "intermediate certificate")


def _check_period(period: _Period, policy: EvidencePolicy, at: int) -> None:
    issued, expires = period.issued, period.expires
    require(issued <= at + SKEW, f"{period.what} was issued at {_shown(issued)}, after the evidence of {_shown(at)}")
    require(at < expires, f"{period.what} expired at {_shown(expires)}, before the evidence of {_shown(at)}")
    if period.ages:
        age = f"{(at - issued) // DAY} days old, older than {policy.most_age // DAY}"
        require(at - issued <= policy.most_age, f"{period.what} of {_shown(issued)} is {age}")


def _periods(
    root_list: x509.CertificateRevocationList, platform_list: x509.CertificateRevocationList, collateral: Collateral
) -> Iterator[_Period]:
    yield _list_period(root_list, "the root's revocation list")
    yield _list_period(platform_list, "the PCK revocation list")
    yield _statement_period(collateral.tcb_info, "the TCB info")
    yield _statement_period(collateral.qe_identity, "the QE identity")


def _list_period(revoked: x509.CertificateRevocationList, what: str) -> _Period:
    expires = revoked.next_update_utc
    if expires is None:
        raise Refused(f"{what} does not say until when it counts")
    return _Period(what, int(revoked.last_update_utc.timestamp()), int(expires.timestamp()))


def _statement_period(text: str, what: str) -> _Period:
    try:
        document = parse_any_form(text.encode(), max_bytes=MAX_STATEMENT)
        issued, expires = (_seconds(document[key]) for key in ("issueDate", "nextUpdate"))
    except (FormatError, KeyError, TypeError, ValueError) as error:
        raise Refused(f"{what} cannot be read: {error}") from error
    return _Period(what, issued, expires, ages=True)


def _seconds(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())


def _shown(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _read_list(data: bytes, what: str) -> x509.CertificateRevocationList:
    try:
        return x509.load_der_x509_crl(data)
    except ValueError as error:
        raise Refused(f"{what} cannot be read: {error}") from error


def _read_certificate(data: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(data)


def _check_revoked(certificate: x509.Certificate, revoked: x509.CertificateRevocationList, what: str) -> None:
    serial = certificate.serial_number
    require(
        revoked.get_revoked_certificate_by_serial_number(serial) is None,
        f"the platform's {what} {serial:x} is revoked",
    )

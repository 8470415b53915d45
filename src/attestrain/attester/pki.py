"""A development PKI: what Intel is to real platforms, a network's own keys are to simulated ones.

Certificates, revocation lists, TCB info and QE identity have Intel's formats byte for byte, so that simulated evidence
takes the same path through the same checks. What keeps it from passing as real: every network makes its own root, no
root counts unless a policy pins it, every certificate says what it is, and no processor has the family number.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from attestrain.attester.certificates import Authority, Kind, issue, revocations
from attestrain.attester.der import sgx_extension
from attestrain.attester.p256 import new_key, read_secret, secret_hex, sign_raw
from attestrain.attester.platform import CPU_SVN, PCE_SVN, Platform
from attestrain.attester.tcb import FMSPC, UP_TO_DATE, qe_identity, tcb_info
from attestrain.errors import FormatError, UsageError
from attestrain.record.canonical import canonical, parse
from attestrain.record.digest import Digest, sha256
from attestrain.record.evidence import MAX_EVIDENCE, Collateral
from attestrain.record.fields import Fields
from attestrain.store.atomic import write_atomic
from attestrain.store.keystore import PRIVATE, read_private

FORMAT = "attestrain.dev/development-pki@v1"
FILE = "development-pki.json"
AUTHORITIES = ("root", "platforms", "statements")
"""Who signs: the root the other two, one the platforms' certificates, one TCB infos and QE identities."""
COLLATERAL_VALID = timedelta(days=30)
"""How long collateral counts, as Intel's: it must outlast the joins of a run, not the run."""
BACKDATED = timedelta(hours=1)
"""How long before now things are issued, for chains whose clocks are behind."""


def development_pki(folder: Path) -> DevPki:
    """The PKI in ``folder``, made when first asked for, in one file that only its owner may read.

    Raises:
        UsageError: the file cannot be read or written, or is open to others.
        FormatError: it is malformed.
    """
    path = folder / FILE
    if path.exists():
        return DevPki.from_bytes(read_private(path))
    pki = DevPki.generate(int(time.time()))
    try:
        write_atomic(path, pki.to_bytes(), mode=PRIVATE)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    return pki


class DevPki:
    """The authorities of a network's simulated platforms.

    Args:
        authorities: key and certificate of each of `AUTHORITIES`.
    """

    def __init__(self, authorities: dict[str, Authority]) -> None:
        self._root, self._platforms, self._statements = (authorities[name] for name in AUTHORITIES)

    @classmethod
    def generate(cls, now: int) -> DevPki:
        """Fresh keys from the operating system's randomness, certified at ``now`` (seconds since 1970)."""
        begin = _moment(now) - BACKDATED
        kinds = [Kind("Development Root CA", depth=1), Kind("Development PCK Platform CA", depth=0)]
        kinds.append(Kind("Development TCB Signing"))
        made: list[Authority] = []
        for kind in kinds:
            key, issuer = new_key(), made[0] if made else None
            made.append(Authority(key, issue(kind, key, issuer, begin)))
        return cls(dict(zip(AUTHORITIES, made, strict=True)))

    @property
    def root_digest(self) -> Digest:
        """SHA-256 of the root certificate: what policies pin."""
        return sha256(self._root.der)

    def provision(self, now: int | None = None) -> Platform:
        """A new platform, certified at ``now`` (by default now indeed), with the collateral of that time."""
        now = int(time.time()) if now is None else now
        extension = sgx_extension(
            ppid=secrets.token_bytes(16),
            cpu_svn=CPU_SVN,
            pce_svn=PCE_SVN,
            fmspc=FMSPC,
            instance=secrets.token_bytes(16),
        )
        kind, key = Kind("Development PCK Certificate", extension=extension), new_key()
        leaf = Authority(key, issue(kind, key, self._platforms, _moment(now) - BACKDATED))
        return Platform(key, (leaf.der, self._platforms.der, self._root.der), self.collateral(now))

    def collateral(self, now: int, *, status: str = UP_TO_DATE, revoked: Iterable[bytes] = ()) -> Collateral:
        """What judges the platforms' quotes at ``now`` and for a month.

        Args:
            now: in seconds since 1970.
            status: state of the platforms' trusted computing base, as Intel names them.
            revoked: platforms' certificates (DER) that count no more.
        """
        begin = _moment(now) - BACKDATED
        end = begin + COLLATERAL_VALID
        serials = [x509.load_der_x509_certificate(item).serial_number for item in revoked]
        info, identity = tcb_info(begin, end, status), qe_identity(begin, end)
        signers = (self._statements.der, self._root.der)
        return Collateral(
            pck_crl_issuer_chain=(self._platforms.der, self._root.der),
            root_ca_crl=revocations(self._root, begin, end),
            pck_crl=revocations(self._platforms, begin, end, serials),
            tcb_info_issuer_chain=signers,
            tcb_info=info,
            tcb_info_signature=sign_raw(self._statements.key, info.encode()),
            qe_identity_issuer_chain=signers,
            qe_identity=identity,
            qe_identity_signature=sign_raw(self._statements.key, identity.encode()),
        )

    def to_bytes(self) -> bytes:
        """Canonical document, the secrets included: for a private file."""
        held = zip(AUTHORITIES, (self._root, self._platforms, self._statements), strict=True)
        parts = {name: {"key": secret_hex(item.key), "certificate": item.der.hex()} for name, item in held}
        return canonical({"format": FORMAT, **parts})

    @classmethod
    def from_bytes(cls, data: bytes) -> DevPki:
        """Read a PKI strictly.

        Raises:
            FormatError: malformed, or a certificate is not its key's.
        """
        fields = Fields(parse(data, max_bytes=MAX_EVIDENCE), ("format", *AUTHORITIES), "pki")
        fields.constant("format", FORMAT)
        return cls({name: _read_authority(fields.object(name), name) for name in AUTHORITIES})


def _read_authority(value: object, name: str) -> Authority:
    fields = Fields(value, ("key", "certificate"), f"pki.{name}")
    key = read_secret(fields, "key")
    try:
        certificate = x509.load_der_x509_certificate(bytes.fromhex(fields.text("certificate", max_length=MAX_EVIDENCE)))
    except ValueError as error:
        raise FormatError(f"pki.{name}.certificate is not a certificate: {error}") from error
    if certificate.public_key() != key.public_key():
        raise FormatError(f"pki.{name}.certificate is of another key")
    return Authority(key, certificate)


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

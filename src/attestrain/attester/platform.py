"""A provisioned platform: what a simulated machine needs to quote, in one document that an invite can carry."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from attestrain.appraise.intel.quote import pem
from attestrain.attester.p256 import read_secret, secret_hex
from attestrain.errors import FormatError
from attestrain.record.canonical import canonical, parse
from attestrain.record.digest import Digest, sha256
from attestrain.record.evidence import MAX_CERTIFICATE, MAX_CHAIN, MAX_EVIDENCE, Collateral
from attestrain.record.fields import Fields

FORMAT = "attestrain.dev/development-platform@v1"

CPU_SVN = bytes([2] * 8 + [0] * 8)
PCE_SVN = 13
TEE_SVN = bytes([6, 1, 3] + [0] * 13)
"""Security versions of processor, provisioning enclave and TDX module: any will do if the TCB info has them."""
QE_MRSIGNER = hashlib.sha256(b"attestrain development quoting enclave signer").digest()
QE_MRENCLAVE = hashlib.sha256(b"attestrain development quoting enclave").digest()
QE_ATTRIBUTES = bytes([0x15, *[0] * 7, 0xE7, *[0] * 7])
QE_PRODUCT, QE_SVN = 2, 6
"""Product number of Intel's TD quoting enclave, and its security version."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A simulated platform, as its network's `DevPki` provisioned it. Holds a secret: files of it are private.

    Attributes:
        key: the provisioning certification key, which vouches for the platform's quoting enclave.
        chain: its certificates (DER), leaf first, root last.
        collateral: what judges its quotes, valid for a month.
    """

    key: EllipticCurvePrivateKey = field(repr=False)
    chain: tuple[bytes, ...]
    collateral: Collateral

    @property
    def root_digest(self) -> Digest:
        """SHA-256 of the root certificate: what policies pin."""
        return sha256(self.chain[-1])

    @property
    def pem(self) -> bytes:
        """The chain as quotes bring it along."""
        return "".join(map(pem, self.chain)).encode()

    def to_bytes(self) -> bytes:
        """Canonical document, the secret included."""
        return canonical(
            {
                "format": FORMAT,
                "key": secret_hex(self.key),
                "chain": [item.hex() for item in self.chain],
                "collateral": self.collateral.to_json(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Platform:
        """Read a platform strictly.

        Raises:
            FormatError: malformed or out of bounds.
        """
        fields = Fields(parse(data, max_bytes=MAX_EVIDENCE), ("format", "key", "chain", "collateral"), "platform")
        fields.constant("format", FORMAT)
        chain = fields.array("chain", max_length=MAX_CHAIN)
        try:
            certificates = tuple(bytes.fromhex(item) for item in chain)
        except (TypeError, ValueError) as error:
            raise FormatError("platform.chain is not of hexadecimal certificates") from error
        if len(chain) != MAX_CHAIN or max(map(len, certificates)) > MAX_CERTIFICATE:
            raise FormatError(f"platform.chain is not {MAX_CHAIN} certificates of at most {MAX_CERTIFICATE} bytes")
        return cls(read_secret(fields, "key"), certificates, Collateral.from_json(fields.object("collateral")))

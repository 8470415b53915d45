"""Reports of Azure's confidential machines, in the envelope of their paravisor (HCL, host compatibility layer).

The guest cannot ask the chip: the paravisor does, and the report data are the digest of a JSON text, the runtime
claims, which name the key of the virtual TPM that the paravisor keeps for the guest. Layout: as the `az-cvm-vtpm`
library reads it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from attestrain.appraise.amd.appraisal import appraise_snp
from attestrain.appraise.amd.chain import AmdChain
from attestrain.appraise.amd.policy import AmdPolicy
from attestrain.appraise.amd.report import SIZE
from attestrain.appraise.attestation import Attestation
from attestrain.appraise.refused import Refused, require
from attestrain.record.digest import sha256

MAGIC = b"HCLA"
HEADER_SIZE, CLAIMS_HEADER_SIZE = 32, 20
CLAIMS_BEGIN = HEADER_SIZE + SIZE + CLAIMS_HEADER_SIZE
HEADER_VERSIONS, CLAIMS_VERSION = (1, 2), 1
SNP_TYPE, SHA256_TYPE = 2, 1
"""Type of the report, and of the digest of the claims."""
MAX_ENVELOPE = 16_384
"""Bytes of an envelope: the virtual TPM hands out 2,600."""
USER_DATA_SIZE = 64
ATTESTATION_KEY = "HCLAkPub"
"""Name of the virtual TPM's attestation key among the claims."""
VTPM = (
    "what the machine runs: the launch measurement is the paravisor's, not the guest's. A quote of the virtual TPM, by "
    "the attestation key of the claims, over a fresh nonce and over PCRs with reference values would have to show it",
    "who wrote the user data: any program in the guest that may write to the virtual TPM",
)


@dataclass(frozen=True, slots=True)
class HclEnvelope:
    """An envelope, read and not yet judged.

    Attributes:
        report: the SEV-SNP report.
        claims: the runtime claims, byte for byte.
        user_data: 64 bytes that the guest put into the claims, zeros without.
        attestation_key: modulus of the virtual TPM's attestation key (RSA), base64url as in the claims.
    """

    report: bytes
    claims: bytes
    user_data: bytes
    attestation_key: str

    @classmethod
    def from_bytes(cls, data: bytes) -> HclEnvelope:
        """Read an envelope.

        Raises:
            Refused: it is malformed, too large, or of another kind of machine.
        """
        require(len(data) <= MAX_ENVELOPE, f"the envelope has {len(data)} bytes, more than {MAX_ENVELOPE}")
        require(len(data) > CLAIMS_BEGIN, f"the envelope has {len(data)} bytes, not more than {CLAIMS_BEGIN}")
        require(data[:4] == MAGIC, f"the envelope begins with {data[:4].hex()}, not {MAGIC.hex()}")
        version = struct.unpack_from("<I", data, 4)[0]
        require(version in HEADER_VERSIONS, f"the envelope has version {version}, not 1 or 2")
        size, inner, kind, digest, length = struct.unpack_from("<5I", data, HEADER_SIZE + SIZE)
        require(inner == CLAIMS_VERSION, f"the claims have version {inner}, not {CLAIMS_VERSION}")
        require(kind == SNP_TYPE, f"the report is of type {kind}, not {SNP_TYPE} (SEV-SNP)")
        require(digest == SHA256_TYPE, f"the claims are digested by algorithm {digest}, not {SHA256_TYPE} (SHA-256)")
        fits = size == CLAIMS_HEADER_SIZE + length and CLAIMS_BEGIN + length <= len(data)
        require(fits, f"the claims are said to have {length} bytes, which do not fit")
        claims, padding = data[CLAIMS_BEGIN : CLAIMS_BEGIN + length], data[CLAIMS_BEGIN + length :]
        require(not any(padding), "bytes behind the claims are not zero")
        user_data, key = _read_claims(claims)
        return cls(data[HEADER_SIZE : HEADER_SIZE + SIZE], claims, user_data, key)


def is_hcl(data: bytes) -> bool:
    """Whether ``data`` look like an envelope. Says nothing of whether it can be read, let alone holds."""
    return data[: len(MAGIC)] == MAGIC and len(data) > CLAIMS_BEGIN


def appraise_hcl(envelope: bytes, chain: AmdChain, policy: AmdPolicy, at: int) -> Attestation:
    """Judge a report in its envelope. The report data of the result are the user data of the claims.

    Args:
        envelope: as the virtual TPM hands it out.
        chain: certificates for the report.
        policy: what the relying party asks for.
        at: when the report was given, in seconds since 1970.

    Raises:
        Refused: naming what was observed and what is required.
    """
    read = HclEnvelope.from_bytes(envelope)
    found = appraise_snp(read.report, chain, policy, at)
    digest = sha256(read.claims)
    bound = found.report_data == digest.ljust(len(found.report_data), b"\0")
    require(bound, f"the report is bound to {found.report_data.hex()}, not to the claims, {digest.hex()}")
    return replace(
        found,
        format=f"azure-hcl-{found.format}",
        report_data=read.user_data,
        measurements={**found.measurements, "attestation_key": sha256(read.attestation_key.encode())},
        proven=(
            *found.proven,
            "the report data are the digest of the runtime claims, which name the virtual TPM's key",
        ),
        unchecked=(*found.unchecked, *VTPM),
    )


def _read_claims(text: bytes) -> tuple[bytes, str]:
    """User data and attestation key of runtime claims."""
    try:
        claims = json.loads(text, object_pairs_hook=_once)
        user_data = bytes.fromhex(claims.get("user-data", "00" * USER_DATA_SIZE))
        keys = [item["n"] for item in claims["keys"] if item["kid"] == ATTESTATION_KEY]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(f"the runtime claims cannot be read: {type(error).__name__}") from error
    require(len(user_data) == USER_DATA_SIZE, f"the user data have {len(user_data)} bytes, not {USER_DATA_SIZE}")
    require(len(keys) == 1 and isinstance(keys[0], str), f"the claims do not name one {ATTESTATION_KEY}")
    require(keys[0].isascii(), f"the {ATTESTATION_KEY} of the claims is not base64")
    return user_data, keys[0]


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    """An object whose names all differ: with two of one name, two readers would see two documents."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("one name twice")
    return found

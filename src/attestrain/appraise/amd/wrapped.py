"""SEV-SNP evidence as it comes in files: a report or Azure's envelope, and its certificates in a file of their own."""

from __future__ import annotations

from attestrain.appraise.amd.appraisal import appraise_snp
from attestrain.appraise.amd.chain import AmdChain, read_pem
from attestrain.appraise.amd.hcl import HclEnvelope, appraise_hcl
from attestrain.appraise.amd.policy import AmdPolicy
from attestrain.appraise.amd.report import SnpReport
from attestrain.appraise.attestation import Attestation
from attestrain.appraise.refused import require
from attestrain.errors import Undecided

DER_HEAD = b"\x30\x82"
"""How a certificate of 256 to 65,535 bytes begins in DER; its length follows in two bytes."""
_NEEDS = (
    "--collateral FILE: the chip's certificate and then AMD's two, as `cat vcek.der cert_chain.pem`, or the auxblob"
)


def read_beside(data: bytes) -> AmdChain:
    """Certificates of a file: the leaf in DER or PEM and then ASK and ARK in PEM, or a host's certificate table.

    Raises:
        Refused: it is neither.
    """
    if data.startswith(DER_HEAD):
        size = len(DER_HEAD) + 2 + int.from_bytes(data[2:4], "big")
        return AmdChain.read(data[:size], data[size:])
    if not data.startswith(b"-----BEGIN"):
        return AmdChain.from_table(data)
    chain = read_pem(data)
    require(len(chain) == 3, f"{len(chain)} certificates are given, not three: the chip's, ASK and ARK")
    return AmdChain(*chain)


def judge_report(data: bytes, beside: bytes | None, policy: AmdPolicy, at: int) -> Attestation:
    """Judge a bare report.

    Raises:
        Refused: naming what was observed and what is required.
        Undecided: there are no certificates.
    """
    SnpReport.from_bytes(data)
    return appraise_snp(data, _chain(beside), policy, at)


def judge_envelope(data: bytes, beside: bytes | None, policy: AmdPolicy, at: int) -> Attestation:
    """Judge a report in Azure's envelope.

    Raises:
        Refused: naming what was observed and what is required.
        Undecided: there are no certificates.
    """
    HclEnvelope.from_bytes(data)
    return appraise_hcl(data, _chain(beside), policy, at)


def _chain(beside: bytes | None) -> AmdChain:
    if beside is None:
        raise Undecided("the report can be read, but nobody vouches for its key", hint=_NEEDS)
    return read_beside(beside)

"""Formats of evidence: by which bytes each is recognised, and which appraiser judges it. A new format is one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from attestrain.appraise.amd.hcl import is_hcl
from attestrain.appraise.amd.policy import AmdPolicy
from attestrain.appraise.amd.report import is_snp
from attestrain.appraise.amd.wrapped import judge_envelope, judge_report
from attestrain.appraise.attestation import Attestation
from attestrain.appraise.intel import wrapped
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.nitro.appraisal import appraise_nitro
from attestrain.appraise.nitro.document import is_nitro
from attestrain.appraise.nvidia.wrapped import is_devices, judge_device
from attestrain.appraise.policy import EvidencePolicy, check_common
from attestrain.appraise.tpm.quote import is_tpm_quote, read_tpm_quote
from attestrain.errors import FormatError, PolicyNotMet

MAX_FILE = 1 << 24
"""Largest file of evidence, in bytes: eight GPUs and their switches have 200 thousand."""

Judge = Callable[[bytes, bytes | None, EvidencePolicy, int], Attestation]
"""Judges evidence, given what else is needed to judge it, under a policy, at a time in seconds since 1970."""

_HEX = re.compile(rb"\s*(?:0x)?([0-9a-fA-F]+)\s*\Z")


@dataclass(frozen=True, slots=True)
class Format:
    """A format of evidence.

    Attributes:
        name: for people.
        recognise: whether bytes look like it. Being it is `judge`'s business.
        judge: its appraiser.
    """

    name: str
    recognise: Callable[[bytes], bool]
    judge: Judge


def _intel(judge: Callable[[bytes, bytes | None, IntelPolicy, int], Attestation]) -> Judge:
    return lambda data, beside, policy, at: judge(data, beside, policy.intel, at)


def _amd(judge: Callable[[bytes, bytes | None, AmdPolicy, int], Attestation]) -> Judge:
    return lambda data, beside, policy, at: judge(data, beside, policy.amd, at)


def _judge_nitro(data: bytes, beside: bytes | None, policy: EvidencePolicy, at: int) -> Attestation:
    found = appraise_nitro(data, at)
    raise PolicyNotMet(f"a Nitro document of module {found.platform}, {found.assurance}: {found.unchecked[0]}")


def _judge_tpm(data: bytes, beside: bytes | None, policy: EvidencePolicy, at: int) -> Attestation:
    raise PolicyNotMet(f"a TPM quote, whose signature is not part of it: {read_tpm_quote(data).verdict}")


FORMATS: tuple[Format, ...] = (
    Format("attestrain evidence", wrapped.is_document, _intel(wrapped.judge_document)),
    Format("dstack quote report", wrapped.is_dstack, _intel(wrapped.judge_dstack)),
    Format("AWS Nitro document", is_nitro, _judge_nitro),
    Format("Intel quote", wrapped.is_quote, _intel(wrapped.judge_quote)),
    Format("SEV-SNP report", is_snp, _amd(judge_report)),
    Format("SEV-SNP report in Azure's envelope", is_hcl, _amd(judge_envelope)),
    Format("NVIDIA device", is_devices, lambda data, beside, policy, at: judge_device(data, policy.nvidia, at)),
    Format("TPM quote", is_tpm_quote, _judge_tpm),
)
"""In the order in which they are tried."""


def appraise_any(data: bytes, beside: bytes | None, policy: EvidencePolicy, at: int) -> Attestation:
    """Judge evidence of any format known here, bare or in hexadecimal.

    Args:
        data: the evidence.
        beside: what its format needs besides, such as collateral; None if the evidence brings everything.
        policy: what the relying party asks for.
        at: when the evidence was given, in seconds since 1970.

    Raises:
        Refused: naming what was observed and what is required.
        PolicyNotMet: nothing is wrong, but the policy asks for more.
        Undecided: something that judging it takes is missing.
        FormatError: malformed, too large, or of no format known here.
    """
    if len(data) > MAX_FILE:
        raise FormatError(f"evidence of {len(data)} bytes is larger than {MAX_FILE}")
    if (found := _HEX.match(data)) and len(found[1]) % 2 == 0:
        data = bytes.fromhex(found[1].decode())
    for format_ in FORMATS:
        if format_.recognise(data):
            return check_common(format_.judge(data, beside, policy, at), policy, at)
    known = ", ".join(item.name for item in FORMATS)
    raise FormatError(f"evidence of no format known here, beginning with {data[:16].hex() or 'nothing'}", hint=known)

"""Composite evidence: what a guest measures about its GPUs before anything else, so that its quote covers them.

Order: GPU reports with a nonce of this key and block; appraised in the guest; the result extended into RTMR3 before
the application measures itself; then the quote. Facts about GPUs in report data alone could be invented by any program
of a guest without a GPU (dstack issues 751 and 778). Even so it is a statement about one moment: another guest's GPU
may be relayed, and nothing says that the GPU stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.refused import require
from attestrain.attester.nvml import GpuReport
from attestrain.record.canonical import canonical
from attestrain.record.digest import Digest, sha256
from attestrain.record.eip712 import address_bytes
from attestrain.record.evidence import Event
from attestrain.record.names import Address

NAME = "gpu"
"""Name of the event."""


def gpu_nonce(block_hash: Digest, session: Address) -> bytes:
    """The nonce of GPU reports: SHA-256 of a recent block's hash and the session key's account (20 bytes)."""
    return sha256(block_hash + address_bytes(session))


def gpu_event(reports: Sequence[GpuReport], nonce: bytes, appraise: Callable[[GpuReport], Attestation]) -> Event:
    """Appraise the reports of a guest's GPUs and make the event that says so.

    Args:
        reports: of every GPU.
        nonce: which they have to hold.
        appraise: judges one report by the guest's policy.

    Returns:
        An event whose payload is the SHA-256 of a canonical document: for each GPU, what it is and what it signed.

    Raises:
        Refused: a report is not good enough, of another nonce, or of a GPU that was there already.
    """
    found = [appraise(report) for report in reports]
    for item in found:
        require(item.report_data == nonce, f"GPU {item.platform} answers nonce {item.report_data.hex()}, not ours")
    require(len({item.platform for item in found}) == len(found), "one GPU answers twice")
    gpus = [{"assurance": item.assurance, "platform": item.platform, "signed": item.signed.hex()} for item in found]
    return Event(NAME, sha256(canonical({"gpus": gpus})).hex())

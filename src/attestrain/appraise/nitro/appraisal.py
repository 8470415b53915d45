"""Judge a Nitro document: who signed it, when, and what it says. Training does not take it, and the result says so."""

from __future__ import annotations

from collections.abc import Collection

from attestrain.appraise.attestation import HARDWARE, SIMULATED, Attestation
from attestrain.appraise.nitro.chain import check_chain
from attestrain.appraise.nitro.document import NitroDocument, read_nitro
from attestrain.appraise.refused import require
from attestrain.appraise.signatures import check_signed, shown
from attestrain.record.digest import Digest, sha256

FORMAT = "nitro-document"
AWS_ROOT = Digest(bytes.fromhex("641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"))
"""SHA-256 of the AWS Nitro Enclaves root G1 (DER), valid to October 2049, as AWS's guide for enclaves states."""
DEBUGGED = (0, 1, 2)
"""Registers of image, kernel and application: all zeros say that the enclave is in debug mode (AWS's guide)."""
MAX_SKEW = 300
"""Most seconds that a document may be dated after the time at which it is judged: hosts' clocks differ."""
LATEST = 1 << 33
"""Latest time, in seconds: the year 2242."""
UNSUPPORTED = (
    "unsupported for training: an enclave is closed to its instance, not to Amazon, and no run takes its evidence"
)


def appraise_nitro(data: bytes, at: int, *, roots: Collection[Digest] = ()) -> Attestation:
    """Judge a document at a time.

    Args:
        data: the document.
        at: when it was given, in seconds since 1970.
        roots: SHA-256 of development roots that may stand in for Amazon's; what hangs from them reads ``simulated``.

    Raises:
        Refused: it is malformed, nobody known signed it, it is expired, or the enclave can be debugged.
    """
    require(0 <= at <= LATEST, f"time {at} is not in 0..{LATEST}")
    document = read_nitro(data)
    root = sha256(document.chain[-1])
    require(root == AWS_ROOT or root in roots, f"root {root.hex()} is neither Amazon's nor a pinned development root")
    check_signed(check_chain(document.chain, at), document.signature, document.signed, "the Nitro document")
    _check_time(document, at)
    open_ = all(not any(document.registers.get(number, b"")) for number in DEBUGGED)
    require(not open_, "the enclave can be debugged: registers 0 to 2 are zero")
    return _attestation(document, root)


def _check_time(document: NitroDocument, at: int) -> None:
    """The chain, whose leaf lives for three hours, bounds the age; a date in the future is nobody's."""
    made = document.time // 1000
    require(made <= at + MAX_SKEW, f"the Nitro document was made at {shown(made)}, after {shown(at)}")


def _attestation(document: NitroDocument, root: Digest) -> Attestation:
    return Attestation(
        format=FORMAT,
        assurance=HARDWARE if root == AWS_ROOT else SIMULATED,
        root=root,
        platform=document.module,
        signed=sha256(document.signed),
        report_data=document.user_data,
        measurements={f"pcr{number}": value for number, value in sorted(document.registers.items())},
        proven=("the certificate chain ends in the root, and the enclave's key signed the document (ES384)",),
        unchecked=(
            UNSUPPORTED,
            "revocation not checked: the certificates name lists that the document does not bring",
            "registers not checked: no reference values",
            "nonce and public key not compared: report data are the document's user data",
        ),
    )

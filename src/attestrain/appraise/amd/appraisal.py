"""The appraisal of a SEV-SNP report.

1. Certificates lead from a root that the policy knows to the key that signed the report, all valid at the time.
2. That key signed the report, and is of the processor, chip and firmware that the report names.
3. Guest, platform and firmware are as the policy asks (`appraise.amd.guest`).

It shows that a guest with this launch measurement gave these report data on such a processor. What the guest did next,
and what its owner did to the memory bus, no report shows.
"""

from __future__ import annotations

from attestrain.appraise.amd.chain import AmdChain, Endorsed, check_chain
from attestrain.appraise.amd.endorsement import VCEK, VLEK, Endorsement
from attestrain.appraise.amd.guest import CHECKS
from attestrain.appraise.amd.policy import AmdPolicy
from attestrain.appraise.amd.product import PRODUCTS
from attestrain.appraise.amd.report import VCEK_KEY, VLEK_KEY, SnpReport
from attestrain.appraise.attestation import HARDWARE, SIMULATED, Attestation
from attestrain.appraise.refused import require
from attestrain.record.digest import Digest, sha256

REGISTERS = ("measurement", "host_data", "id_key_digest", "author_key_digest", "family_id", "image_id")
"""Fields that a launch decides."""
SIGNERS = {VCEK_KEY: VCEK, VLEK_KEY: VLEK}


def appraise_snp(report: bytes, chain: AmdChain, policy: AmdPolicy, at: int) -> Attestation:
    """Judge a report.

    Args:
        report: its 1,184 bytes.
        chain: certificates for it.
        policy: what the relying party asks for.
        at: when the report was given, in seconds since 1970: the time of the block that took it.

    Returns:
        What it shows. That the report data are those of a session key is for the caller to check.

    Raises:
        Refused: naming what was observed and what is required.
    """
    read = SnpReport.from_bytes(report)
    assurance = _assurance(sha256(chain.ark), policy)
    endorsed = check_chain(chain, at)
    _check_product(endorsed, policy)
    _check_signer(read, endorsed.endorsement, policy)
    read.check_signature(endorsed.key)
    unchecked = [text for check in CHECKS for text in check(read, endorsed.endorsement, policy)]
    require(endorsed.listed or not policy.crl, "no revocation list is given, and the policy requires one")
    if not endorsed.listed:
        unchecked.append("whether AMD revoked the authority: no revocation list is given")
    bound = read.field("report_data").hex()
    unchecked.append(f"report data and age: the data are {bound}, and whoever knows what they should be compares them")
    return _attestation(read, endorsed, assurance, tuple(unchecked))


def _assurance(root: Digest, policy: AmdPolicy) -> str:
    """What a root stands for. Nothing else decides it, and keys of unknown roots are not even looked at."""
    if any(root == product.root for product in PRODUCTS.values()):
        require(policy.hardware, "the report is under AMD's root, and the policy takes development roots alone")
        return HARDWARE
    pinned = ", ".join(item.hex() for item in policy.roots) or "none"
    require(root in policy.roots, f"root {root.hex()} is neither AMD's nor a pinned development root ({pinned})")
    return SIMULATED


def _check_product(endorsed: Endorsed, policy: AmdPolicy) -> None:
    """The policy takes the generation of processors. A root of AMD stands for one of them."""
    product = endorsed.endorsement.product
    allowed = " or ".join(policy.products) or "none"
    require(product.name in policy.products, f"the processor is a {product.name}, and the policy takes {allowed}")
    for other in PRODUCTS.values():
        strange = endorsed.root == other.root and other != product
        require(not strange, f"a key of {product.name} hangs from the root of {other.name}")


def _check_signer(report: SnpReport, endorsement: Endorsement, policy: AmdPolicy) -> None:
    """The report names the kind of key and the processor that the certificate does, and the policy takes the kind."""
    kind = SIGNERS.get(report.signing_key, f"key {report.signing_key}")
    require(
        kind == endorsement.kind, f"the report says {kind} signed it, but the certificate is of a {endorsement.kind}"
    )
    if kind == VLEK:
        allowed = " or ".join(policy.providers) or "none"
        reason = f"a VLEK of {endorsement.provider} signed the report, and the policy takes VLEKs of {allowed}"
        require(endorsement.provider in policy.providers, reason)
    if report.model is not None:
        family, model = report.model
        same = endorsement.product.is_model(family, model)
        reason = (
            f"the report is of processor family {family:#x} model {model:#x}, which is no {endorsement.product.name}"
        )
        require(same, reason)


def _attestation(report: SnpReport, endorsed: Endorsed, assurance: str, unchecked: tuple[str, ...]) -> Attestation:
    endorsement = endorsed.endorsement
    return Attestation(
        format=f"snp-report-v{report.version}",
        assurance=assurance,
        root=endorsed.root,
        platform=endorsement.chip.hex(),
        signed=report.identity,
        report_data=report.field("report_data"),
        measurements={name: report.field(name) for name in REGISTERS},
        tcb=f"{endorsement.model}: {endorsement.tcb}",
        proven=_proven(report, endorsement, assurance, endorsed.root),
        unchecked=unchecked,
    )


def _proven(report: SnpReport, endorsement: Endorsement, assurance: str, root: Digest) -> tuple[str, ...]:
    owner = f"chip {endorsement.chip.hex()[:16]}" if endorsement.kind == VCEK else f"provider {endorsement.provider}"
    whose = "AMD's root" if assurance == HARDWARE else f"development root {root.hex()[:16]}: nothing of it is hardware"
    return (
        f"a {endorsement.kind} of {owner} signed the report; certificates lead to {whose}",
        f"the key is of the reported firmware ({endorsement.tcb}) of a {endorsement.model}",
        "the guest cannot be debugged and cannot be migrated",
        f"the report was asked for at VMPL {report.number('vmpl')}",
        f"launch measurement {report.field('measurement').hex()}",
    )

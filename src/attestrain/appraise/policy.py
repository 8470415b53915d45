"""Evidence policy: what a relying party asks of TEE evidence of any maker (spec/evidence-policy.md).

A small TOML document. What it does not say has a safe default: hardware, up to date, not debugged, not migratable. Each
maker's section is read by that maker's package; what holds for all of them is checked here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from attestrain.appraise.amd.policy import AmdPolicy
from attestrain.appraise.attestation import HARDWARE, SIMULATED, Attestation
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.intel.section import read_intel
from attestrain.appraise.nvidia.policy import NvidiaPolicy
from attestrain.appraise.platforms import KnownPlatform, check_platform, read_platforms, vendor_of
from attestrain.appraise.references import Reference, check_reference, read_references
from attestrain.appraise.refused import demand
from attestrain.appraise.signatures import shown as shown_time
from attestrain.appraise.tables import Table
from attestrain.errors import FormatError, UsageError
from attestrain.record.keys import parse_address

FORMAT = "attestrain.dev/evidence-policy@v1"
MAX_POLICY = 1 << 20
"""Largest policy, in characters: thousands of roots and registers fit."""
ASSURANCES = (SIMULATED, HARDWARE)
"""Kinds of assurance, weakest first."""
GPUS = ("none", "simulated", "attested", "attested+rim")
"""What may be shown of GPUs, weakest first: the last with reference values of their firmware."""
MAKERS = 2
"""Makers of processors whose guests train: more than these nobody can ask for."""
T = TypeVar("T")
_HINT = "spec/evidence-policy.md has the file's format; without --policy the safe defaults are taken"

Reader = Callable[[str], bytes]
"""Gives the bytes of a file that a policy names."""


SECTIONS = ("intel", "amd", "nvidia")
"""Makers of hardware, by the names of their sections."""


@dataclass(frozen=True, slots=True)
class EvidencePolicy:
    """What evidence must be.

    Attributes:
        assurance: least assurance of each piece: ``hardware``, or ``simulated`` for development networks.
        makers: makers of hardware whose evidence is taken: in a file those that have a section, or all if none has.
        vendors: least number of makers of processors among all pieces: one maker's flaw then forges not all of them.
        gpu: least of `GPUS` that is shown of GPUs.
        intel: what is asked of Intel's quotes.
        amd: what is asked of SEV-SNP reports.
        nvidia: what is asked of GPUs.
        references: rows of signed manifests, one of which each piece must agree with; None asks for no such row.
        platforms: entries of signed lists, on one of which each platform must be; None asks for no such entry.
    """

    assurance: str = HARDWARE
    makers: tuple[str, ...] = SECTIONS
    vendors: int = 0
    gpu: str = GPUS[0]
    intel: IntelPolicy = field(default_factory=IntelPolicy)
    amd: AmdPolicy = field(default_factory=AmdPolicy)
    nvidia: NvidiaPolicy = field(default_factory=NvidiaPolicy)
    references: tuple[Reference, ...] | None = None
    platforms: tuple[KnownPlatform, ...] | None = None

    @classmethod
    def from_toml(cls, text: str, read: Reader) -> EvidencePolicy:
        """Read a policy file strictly.

        Args:
            text: the file.
            read: gives the bytes of the manifests and lists that it names.

        Raises:
            UsageError: not TOML, unknown or malformed fields, or a file that it names cannot be read.
            Refused: a manifest or list that it names is not signed by whom it says.
        """
        if len(text) > MAX_POLICY:
            raise UsageError(f"evidence policy of {len(text)} characters is larger than {MAX_POLICY}", hint=_HINT)
        try:
            return _read(tomllib.loads(text), read)
        except (FormatError, ValueError, RecursionError) as error:
            raise UsageError(f"evidence policy cannot be read: {error}", hint=_HINT) from error


def _read(document: object, read: Reader) -> EvidencePolicy:
    table = Table(document, ("format", "require", "intel", "amd", "nvidia", "references", "platforms"), "policy")
    if table.value("format") != FORMAT:
        raise FormatError(f"format is not {FORMAT}")
    required = Table(table.value("require"), ("assurance", "vendors", "gpu"), "require")
    return EvidencePolicy(
        assurance=required.choice("assurance", HARDWARE, ASSURANCES),
        makers=tuple(name for name in SECTIONS if name in table) or SECTIONS,
        vendors=required.integer("vendors", 0, 0, MAKERS),
        gpu=required.choice("gpu", GPUS[0], GPUS),
        intel=read_intel(table.value("intel")),
        amd=AmdPolicy.read(table.table("amd")),
        nvidia=NvidiaPolicy.read(table.table("nvidia")),
        references=_read_signed(table, "references", read_references, read),
        platforms=_read_signed(table, "platforms", read_platforms, read),
    )


def _read_signed(table: Table, key: str, parse: Callable[..., tuple[T, ...]], read: Reader) -> tuple[T, ...] | None:
    """Rows of all files that a section names, each signed by one of its signers; None without the section."""
    if key not in table:
        return None
    section = Table(table.value(key), ("files", "signers"), key)
    signers = section.array("signers", parse_address)
    return tuple(row for name in section.texts("files") for row in parse(read(name), signers))


def check_common(found: Attestation, policy: EvidencePolicy, at: int) -> Attestation:
    """Hold one piece against what the policy asks of every maker. Returns it with what that has proven.

    Raises:
        PolicyNotMet: it is less, with what was observed and what is required.
    """
    enough = ASSURANCES.index(found.assurance) >= ASSURANCES.index(policy.assurance)
    demand(enough, f"the evidence is {found.assurance}, and the policy asks for {policy.assurance}")
    maker, taken = vendor_of(found), " and ".join(policy.makers)
    demand(maker in policy.makers, f"the evidence is of {maker}'s hardware, and the policy has sections for {taken}")
    proven, unchecked = list(found.proven), list(found.unchecked)
    if policy.references is None:
        unchecked.append("that any image was reviewed: the policy names no reference values")
    else:
        row = check_reference(found, policy.references)
        proven.append(f"it measured {row.label}, for which {row.signer} vouches")
        unchecked = [item for item in unchecked if item.partition(":")[0] not in row.registers]
    if policy.platforms is None:
        unchecked.append("where the machine stands: the policy names no platform list")
    else:
        entry = check_platform(found, policy.platforms, at)
        proven.append(f"{entry.signer} knows the platform until {shown_time(entry.expires)}: {entry.evidence}")
    return replace(found, proven=tuple(proven), unchecked=tuple(unchecked))


def gpu_of(found: Sequence[Attestation]) -> str:
    """What is shown of GPUs: the weakest of `GPUS` among the evidence of them, ``none`` without any.

    Evidence of a GPU says in `Attestation.tcb` whether reference values of its firmware were compared.
    """
    shown = [item for item in found if vendor_of(item) == "nvidia"]
    kinds = {item.tcb if item.assurance == HARDWARE else SIMULATED for item in shown}
    return next((kind for kind in GPUS if kind in kinds), GPUS[0])


def check_together(found: Sequence[Attestation], policy: EvidencePolicy) -> None:
    """All pieces together show as much of GPUs, and come from as many makers of processors, as the policy asks for.

    Raises:
        PolicyNotMet: they do not.
    """
    vendors, gpu = sorted({vendor_of(item) for item in found} - {"nvidia"}), gpu_of(found)
    listed = " and ".join(vendors) or "none"
    demand(len(vendors) >= policy.vendors, f"makers of processors are {listed}: {len(vendors)}, not {policy.vendors}")
    enough = GPUS.index(gpu) >= GPUS.index(policy.gpu)
    demand(enough, f"evidence of GPUs is {gpu}, and the policy asks for {policy.gpu}")

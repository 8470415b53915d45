"""What a policy asks of a genuine report: of its guest, its platform and its firmware. Each rule has its own reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attestrain.appraise.amd.endorsement import VLEK, Endorsement
from attestrain.appraise.amd.policy import ALIAS_CHECK, PLATFORM_BITS, AmdPolicy
from attestrain.appraise.amd.report import SnpReport
from attestrain.appraise.amd.tcb import COMPONENTS, Tcb
from attestrain.appraise.refused import require

ALWAYS_SET, MIGRATE_MA, DEBUG, CXL_ALLOWED = (1 << bit for bit in (17, 18, 19, 21))
"""Bits of a guest's policy: GUEST_POLICY in specification 56860."""
KNOWN_POLICY = (1 << 26) - 1
"""Bits of a guest's policy that mean something; the 16 lowest are the ABI version that the guest asks for."""
SMT_ENABLED = 1 << 0
"""Bit of PLATFORM_INFO."""
KNOWN_PLATFORM = SMT_ENABLED | sum(1 << bit for bit in PLATFORM_BITS.values())
"""Bits of PLATFORM_INFO that mean something. Genuine Turins set bit 6 too, so others are named and not refused."""
NO_AGENT = b"\xff" * 32
"""Report id of the migration agent of a guest that has none."""
TCBS = ("reported_tcb", "committed_tcb", "current_tcb", "launch_tcb")

Check = Callable[[SnpReport, Endorsement, AmdPolicy], Iterable[str]]
"""A rule: raises `Refused`, or yields what it did not check, in words."""


def check_policy(report: SnpReport, _: Endorsement, policy: AmdPolicy) -> Iterable[str]:
    """The guest is closed to its host and stays where it is; its reports come from privileged code."""
    bits = report.number("policy")
    require(bool(bits & ALWAYS_SET), f"the guest's policy {bits:#x} lacks bit 17, which is always set")
    require(not bits & DEBUG, f"the guest can be debugged: its policy {bits:#x} has DEBUG, bit 19")
    require(not bits & MIGRATE_MA, f"the guest can be migrated: its policy {bits:#x} has MIGRATE_MA, bit 18")
    require(bits <= KNOWN_POLICY, f"the guest's policy {bits:#x} has bits that are not known")
    agent = report.field("report_id_ma")
    require(agent == NO_AGENT, f"the guest has a migration agent: {agent.hex()}, not {NO_AGENT.hex()}")
    level = report.number("vmpl")
    require(level <= policy.vmpl, f"the report was asked for at VMPL {level}, not at most {policy.vmpl}")
    if bits & CXL_ALLOWED:
        yield "the guest's memory may lie on CXL devices, behind the processor's package"


def check_platform(report: SnpReport, _: Endorsement, policy: AmdPolicy) -> Iterable[str]:
    """The platform has the properties that the policy names."""
    bits = report.number("platform_info")
    for name in policy.platform:
        reason = f"the platform's info {bits:#x} lacks {name}, bit {PLATFORM_BITS[name]}"
        require(bool(bits >> PLATFORM_BITS[name] & 1), reason)
    require(policy.smt or not bits & SMT_ENABLED, f"the platform's info {bits:#x} has SMT on, which must be off")
    if bits & SMT_ENABLED:
        yield "threads share the platform's cores: SMT is on"
    if strange := bits & ~KNOWN_PLATFORM:
        yield f"what bits {strange:#x} of the platform's info mean: we do not know them"
    if ALIAS_CHECK not in policy.platform:
        yield "whether memory answers at two addresses (BadRAM): the policy does not require alias-check"


def check_firmware(report: SnpReport, endorsed: Endorsement, policy: AmdPolicy) -> Iterable[str]:
    """The key is that of the reported firmware, and none of the platform's firmware is older than the policy's."""
    product = endorsed.product
    found = {name: Tcb.from_bytes(report.field(name), product, name.removesuffix("_tcb")) for name in TCBS}
    same = found["reported_tcb"] == endorsed.tcb
    require(same, f"the report is of TCB {found['reported_tcb']}, but the key of TCB {endorsed.tcb}")
    minimum = policy.minimum.get(product.name)
    if minimum is None:
        yield f"whether firmware is recent: the policy has no minimum for {product.name}"
        return
    for name, tcb in found.items():
        older = ", ".join(COMPONENTS[item] for item in tcb.below(minimum))
        require(not older, f"the {name.removesuffix('_tcb')} TCB is {tcb}: {older} below the minimum ({minimum})")


def check_chip(report: SnpReport, endorsed: Endorsement, policy: AmdPolicy) -> Iterable[str]:
    """The key is that of the reported chip, and the chip is one that the policy takes."""
    chip = report.field("chip_id")
    if endorsed.kind == VLEK:
        require(not policy.chips, "the policy names chips, but a VLEK vouches for none")
        yield f"which machine of {endorsed.provider} it is: a VLEK is the provider's, not a chip's"
        return
    masked = not any(chip)
    require(not masked, "the host masks the chip's id, so that no VCEK can be known to be the chip's")
    own = chip[: len(endorsed.chip)]
    require(own == endorsed.chip, f"the report is of chip {own.hex()}, but the key of chip {endorsed.chip.hex()}")
    known = not policy.chips or endorsed.chip in policy.chips
    require(known, f"chip {endorsed.chip.hex()} is not one of the {len(policy.chips)} that the policy takes")
    if not policy.chips:
        yield "where the machine stands: the policy names no chips, and whoever holds one can attack its memory bus"


def check_launch(report: SnpReport, _: Endorsement, policy: AmdPolicy) -> Iterable[str]:
    """What was launched, and under whose signature, is what the policy names."""
    rules = {
        "measurement": policy.measurements,
        "id_key_digest": policy.id_keys,
        "author_key_digest": policy.author_keys,
        "host_data": policy.host_data,
    }
    for name, allowed in rules.items():
        value = report.field(name)
        listed = " or ".join(item.hex() for item in allowed[:4]) + (" or others" if len(allowed) > 4 else "")
        require(not allowed or value in allowed, f"the {name} is {value.hex()}, not {listed}")
        if not allowed:
            yield f"{name}: the policy has no reference value"
    svn = report.number("guest_svn")
    require(svn >= policy.guest_svn, f"the guest's security version is {svn}, not at least {policy.guest_svn}")


CHECKS: tuple[Check, ...] = (check_policy, check_platform, check_firmware, check_chip, check_launch)

"""What runs, by its report: a guest or an enclave closed to its host, with the registers that a policy names."""

from __future__ import annotations

from attestrain.appraise.intel.bodies import REGISTERS
from attestrain.appraise.intel.policy import IntelPolicy
from attestrain.appraise.intel.quote import Quote
from attestrain.appraise.refused import Refused, require

DEBUG = 0xFF
"""TD attributes TUD: a bit of these opens the guest to its host."""
MIGRATABLE = 1 << 29
"""TD attribute: the guest may move to another platform, which the quote does not name."""
HARMLESS = 1 << 27 | 1 << 28 | 1 << 30 | 1 << 31 | 1 << 63
"""TD attributes that take nothing from the guest's isolation: LASS, SEPT_VE_DISABLE, PKS, KL, PERFMON."""

ENCLAVE_READY, ENCLAVE_DEBUG = 1 << 0, 1 << 1
"""Enclave attributes INIT and DEBUG (Intel SDM, volume 3D, table 38-3)."""
ENCLAVE_HARMLESS = ENCLAVE_READY | 1 << 2 | 1 << 6 | 1 << 7 | 1 << 10
"""Enclave attributes that open nothing: INIT, MODE64BIT, CET, KSS, AEXNOTIFY. Keys for provisioning are Intel's own."""


def check_guest(quote: Quote) -> None:
    """The guest or enclave is closed to its host, stays on its platform, and runs under Intel's own module.

    Raises:
        Refused: it does not.
    """
    if quote.kind.is_tdx:
        _check_domain(quote)
    else:
        _check_enclave(quote)


def _check_domain(quote: Quote) -> None:
    attributes = int.from_bytes(quote.field("tdattributes"), "little")
    require(not attributes & DEBUG, f"the guest can be debugged: attributes {attributes:#x}")
    require(not attributes & MIGRATABLE, f"the guest can be migrated: attributes {attributes:#x}")
    require(not attributes & ~HARMLESS, f"the guest has unknown attributes: {attributes:#x}")
    for name in ("mrsignerseam", "seamattributes"):
        value = quote.field(name)
        require(not any(value), f"{name} is {value.hex()}, not zero as for Intel's TDX module")
    if "mrservicetd" in quote.kind.fields:
        service = quote.field("mrservicetd")
        require(not any(service), f"mrservicetd is {service.hex()}, not zero: a service guest has a hand in this one")


def _check_enclave(quote: Quote) -> None:
    attributes = int.from_bytes(quote.field("attributes")[:8], "little")
    require(not attributes & ENCLAVE_DEBUG, f"the enclave can be debugged: attributes {attributes:#x}")
    require(bool(attributes & ENCLAVE_READY), f"the enclave is not initialised: attributes {attributes:#x}")
    require(not attributes & ~ENCLAVE_HARMLESS, f"the enclave has unknown attributes: {attributes:#x}")


def check_registers(quote: Quote, policy: IntelPolicy) -> list[str]:
    """Registers have values that the policy names, configuration is zero otherwise. Returns those not checked.

    Raises:
        Refused: one has another value, or the policy names a register that does not exist.
    """
    if strangers := sorted(policy.registers.keys() - set(REGISTERS)):
        raise Refused(f"the policy names registers that do not exist: {', '.join(strangers)}")
    kind = quote.kind
    foreign = policy.registers and not policy.registers.keys() & set(kind.registers)
    require(not foreign, f"an {kind.format} has none of the registers that the policy names: {_listed(policy)}")
    for name in kind.registers:
        value = quote.field(name)
        allowed = policy.registers.get(name, (bytes(len(value)),) if name in kind.configuration else None)
        if allowed is not None:
            listed = " or ".join(item.hex() for item in allowed) or "nothing"
            require(value in allowed, f"{name} is {value.hex()}, not {listed}")
    return [name for name in kind.image if name not in policy.registers]


def _listed(policy: IntelPolicy) -> str:
    return ", ".join(sorted(policy.registers))

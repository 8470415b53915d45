"""What a relying party asks of SEV-SNP evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from attestrain.appraise.amd.endorsement import MAX_NAME
from attestrain.appraise.amd.product import GENOA, PRODUCTS, TURIN
from attestrain.appraise.amd.tcb import Tcb
from attestrain.errors import FormatError
from attestrain.record.digest import Digest
from attestrain.record.fields import Fields

MAX_VALUES = 256
"""Values that a list of a policy may hold: images of a release, machines of a small fleet."""
MAX_VMPL = 3
PLATFORM_BITS = {
    "tsme": 1,
    "ecc": 2,
    "rapl-disabled": 3,
    "ciphertext-hiding": 4,
    "alias-check": 5,
    "tio": 7,
}
"""Bits of PLATFORM_INFO that a policy may require: specification 56860."""
ALIAS_CHECK = "alias-check"
DIGESTS = {"roots": 32, "author_keys": 48, "id_keys": 48, "measurements": 48, "host_data": 32}
"""Lists of values of one size, in bytes."""
CHIP_SIZES = frozenset(product.chip_id for product in PRODUCTS.values())
WHERE = "policy.amd"


@dataclass(frozen=True, slots=True)
class AmdPolicy:
    """What evidence must be. The defaults are safe: what they refuse has a published attack, or hides something.

    Attributes:
        products: generations of processors. Milan is not among them by default: software can read the root seed of its
            keys, for any firmware version (arXiv 2605.12990), so that no minimum of versions helps.
        roots: SHA-256 of development roots that may stand in for hardware. What hangs from them reads ``simulated``.
        hardware: whether evidence under AMD's roots is taken.
        minimum: oldest firmware by product; it holds for the key, the platform now and the platform at launch. AMD's
            bulletins name versions that mend something; without one the attestation says so.
        vmpl: highest privilege level whose reports are taken; 0 is the most privileged.
        smt: whether the cores may run two threads, which share caches.
        platform: names of `PLATFORM_BITS` that must be set. By default the firmware has looked for memory that answers
            at two addresses, against BadRAM (De Meulemeester et al., IEEE S&P 2025).
        providers: cloud providers whose VLEK is taken, as certificates name them. None by default: VLEKs name no chip.
        author_keys: digests (SHA-384) of keys that may have signed an identity key; none: not checked.
        id_keys: digests (SHA-384) of keys that may have signed the launch; none: not checked.
        measurements: launch digests (SHA-384) of images; none: not checked.
        host_data: what the host may have set at launch: zero by default.
        guest_svn: lowest security version of the guest.
        chips: chips that are taken, as their certificates name them; none: any.
        crl: whether a revocation list of the time is required.
    """

    products: tuple[str, ...] = (GENOA.name, TURIN.name)
    roots: tuple[Digest, ...] = ()
    hardware: bool = True
    minimum: Mapping[str, Tcb] = field(default_factory=dict)
    vmpl: int = 0
    smt: bool = True
    platform: tuple[str, ...] = (ALIAS_CHECK,)
    providers: tuple[str, ...] = ()
    author_keys: tuple[bytes, ...] = ()
    id_keys: tuple[bytes, ...] = ()
    measurements: tuple[bytes, ...] = ()
    host_data: tuple[bytes, ...] = (bytes(32),)
    guest_svn: int = 0
    chips: tuple[bytes, ...] = ()
    crl: bool = False

    @classmethod
    def read(cls, table: Mapping[str, object]) -> AmdPolicy:
        """Read a table of a policy file: names as the attributes', bytes in hexadecimal, defaults for what is absent.

        Raises:
            FormatError: a name is unknown, or a value is of another kind or out of range.
        """
        if strangers := sorted(set(map(str, table)) - {item.name for item in fields(cls)}):
            raise FormatError(f"{WHERE} has unknown fields: {', '.join(strangers)[:200]}")
        reader = Fields(dict(table), table, WHERE)
        return cls(**{name: _read(reader, name, value) for name, value in table.items()})


def _read(reader: Fields, name: str, value: object) -> Any:
    """One value of the table."""
    if name in DIGESTS:
        return _bytes(reader, name, {DIGESTS[name]})
    if name == "chips":
        return _bytes(reader, name, CHIP_SIZES)
    if name == "minimum":
        return _minimum(reader.object(name))
    if name in ("products", "platform"):
        return _names(reader, name, PRODUCTS if name == "products" else PLATFORM_BITS)
    if name == "providers":
        return _providers(reader, name)
    if name in ("vmpl", "guest_svn"):
        return reader.integer(name, 0, MAX_VMPL if name == "vmpl" else 2**32 - 1)
    if not isinstance(value, bool):
        raise reader.wrong(name, "true or false")
    return value


def _bytes(reader: Fields, name: str, sizes: frozenset[int] | set[int]) -> tuple[bytes, ...]:
    values = []
    for item in reader.array(name, max_length=MAX_VALUES):
        try:
            value = bytes.fromhex(item) if isinstance(item, str) and item == item.lower() else b""
        except ValueError:
            value = b""
        if len(value) not in sizes or len(item) != 2 * len(value):
            allowed = " or ".join(map(str, sorted(sizes)))
            raise reader.wrong(name, f"an array of {allowed} bytes each, in lower-case hexadecimal")
        values.append(value)
    return tuple(Digest(value) for value in values) if name == "roots" else tuple(values)


def _names(reader: Fields, name: str, known: Mapping[str, object]) -> tuple[str, ...]:
    items = reader.array(name, max_length=MAX_VALUES)
    if not all(isinstance(item, str) and item in known for item in items):
        raise reader.wrong(name, f"an array of {', '.join(known)}")
    return tuple(items)


def _providers(reader: Fields, name: str) -> tuple[str, ...]:
    items = reader.array(name, max_length=MAX_VALUES)
    if not all(isinstance(item, str) and item.isascii() and 0 < len(item) <= MAX_NAME for item in items):
        raise reader.wrong(name, f"an array of ASCII texts of 1 to {MAX_NAME} characters")
    return tuple(items)


def _minimum(value: dict[str, object]) -> dict[str, Tcb]:
    if strangers := sorted(set(map(str, value)) - PRODUCTS.keys()):
        raise FormatError(f"{WHERE}.minimum has unknown products: {', '.join(strangers)[:200]}")
    minimum = {}
    for name in value:
        components = [component for component, _ in PRODUCTS[name].layout]
        reader = Fields(value[name], components, f"{WHERE}.minimum.{name}")
        minimum[name] = Tcb(**{component: reader.integer(component, 0, 0xFF) for component in components})
    return minimum

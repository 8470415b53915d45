"""What AMD says of the key that signed a report: the extensions of a VCEK's or VLEK's certificate.

A VCEK (versioned chip endorsement key) belongs to one chip at one TCB. A VLEK (versioned loaded endorsement key) is
lent to a cloud provider, which loads it into its chips: it names the provider and no chip. AMD, KDS interface
specification (57230), on the extensions of both.
"""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.appraise.amd.certificate import BASIC_CONSTRAINTS, Certificate
from attestrain.appraise.amd.der import IA5_TEXT, Der, oid
from attestrain.appraise.amd.product import PRODUCTS, Product
from attestrain.appraise.amd.tcb import Tcb
from attestrain.appraise.refused import Refused, require

VCEK, VLEK = "VCEK", "VLEK"
AMD = "1.3.6.1.4.1.3704.1"
"""Arc of AMD's extensions."""
STRUCTURE, PRODUCT_NAME, HARDWARE_ID, PROVIDER = (oid(f"{AMD}.{arc}") for arc in (1, 2, 4, 5))
VERSIONS = {name: oid(f"{AMD}.3.{arc}") for name, arc in (("bootloader", 1), ("tee", 2), ("snp", 3), ("microcode", 8))}
FMC_VERSION = oid(f"{AMD}.3.9")
RESERVED = tuple(oid(f"{AMD}.3.{arc}") for arc in (4, 5, 6, 7))
"""Security versions of components that do not exist yet."""
MAX_NAME = 128
"""Characters of a product's or provider's name: AMD's have 5 to 30."""


@dataclass(frozen=True, slots=True)
class Endorsement:
    """What a leaf certificate says.

    Attributes:
        kind: ``VCEK`` or ``VLEK``.
        product: generation of processors.
        model: the product's name as the certificate spells it, with a stepping on some.
        tcb: firmware for which the key was derived.
        chip: hardware identity of the chip; empty for a VLEK.
        provider: the cloud provider of a VLEK; empty for a VCEK.
    """

    kind: str
    product: Product
    model: str
    tcb: Tcb
    chip: bytes
    provider: str

    @classmethod
    def of(cls, leaf: Certificate) -> Endorsement:
        """Read the extensions.

        Raises:
            Refused: one is missing, malformed or contradicts another.
        """
        require(not leaf.critical, "the chip's certificate has critical extensions, which AMD's have not")
        require(BASIC_CONSTRAINTS not in leaf.extensions, "the chip's certificate is that of an authority")
        model = _text(leaf, PRODUCT_NAME, "product name")
        product = _product(model)
        structure = _number(leaf, STRUCTURE, "structure version")
        same = structure == product.structure
        require(same, f"the chip's certificate has structure {structure}, not {product.structure} as on {product.name}")
        kind, chip, provider = _owner(leaf, product)
        return cls(kind, product, model, _versions(leaf, product), chip, provider)


def _product(model: str) -> Product:
    family = model.split("-")[0]
    for product in PRODUCTS.values():
        if family in product.names:
            return product
    raise Refused(f"the chip's certificate names product {model}, not one of {', '.join(PRODUCTS)}")


def _owner(leaf: Certificate, product: Product) -> tuple[str, bytes, str]:
    """Kind of the key, and which chip or provider has it."""
    chip = leaf.extensions.get(HARDWARE_ID)
    if chip is None:
        return VLEK, b"", _text(leaf, PROVIDER, "hardware id or provider")
    require(PROVIDER not in leaf.extensions, "the chip's certificate names both a chip and a provider")
    fits = len(chip) == product.chip_id and any(chip)
    require(fits, f"the chip's certificate names hardware {chip.hex() or 'nothing'}, not {product.chip_id} bytes")
    return VCEK, chip, ""


def _versions(leaf: Certificate, product: Product) -> Tcb:
    for name in RESERVED:
        value = _number(leaf, name, "reserved version") if name in leaf.extensions else 0
        require(value == 0, f"the chip's certificate gives a component without a meaning version {value}")
    names = VERSIONS | ({"fmc": FMC_VERSION} if "fmc" in dict(product.layout) else {})
    surplus = FMC_VERSION in leaf.extensions and "fmc" not in names
    require(not surplus, f"the chip's certificate gives the FMC a version, which {product.name} does not have")
    return Tcb(**{name: _number(leaf, arc, f"{name} version") for name, arc in names.items()})


def _number(leaf: Certificate, name: bytes, what: str) -> int:
    reader = _extension(leaf, name, what)
    value = reader.integer()
    reader.end()
    require(value <= 0xFF, f"the chip's certificate has {what} {value}, more than a byte")
    return value


def _text(leaf: Certificate, name: bytes, what: str) -> str:
    reader = _extension(leaf, name, what)
    text = reader.take(IA5_TEXT).decode("latin-1")
    reader.end()
    plain = 0 < len(text) <= MAX_NAME and text.isascii() and text.isprintable()
    require(plain, f"the chip's certificate has no plain {what}")
    return text


def _extension(leaf: Certificate, name: bytes, what: str) -> Der:
    content = leaf.extensions.get(name)
    if content is None:
        raise Refused(f"the chip's certificate has no {what}")
    return Der(content, f"the {what} of the chip's certificate")

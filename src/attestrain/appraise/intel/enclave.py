"""The quoting enclave and the platform's family, held against the collateral's words by ourselves.

dcap-qvl compares them too; releases of it before 0.5 did not compare all, so here they are compared once more.
"""

from __future__ import annotations

from attestrain.appraise.intel.quote import Quote
from attestrain.appraise.intel.statements import read_statement
from attestrain.appraise.refused import Refused, require
from attestrain.record.canonical import Json
from attestrain.record.evidence import Collateral

FAMILY_SIZE = 6
"""Bytes of an FMSPC: family, model, stepping, platform and custom SKU."""


def check_enclave(quote: Quote, collateral: Collateral) -> None:
    """The quoting enclave is the one that the QE identity describes: signer, product, attributes and misc select.

    Raises:
        Refused: it is another, or the identity is of another TEE.
    """
    identity = read_statement(collateral.qe_identity, "the QE identity")
    expected = "TD_QE" if quote.kind.is_tdx else "QE"
    require(identity.get("id") == expected, f"the QE identity is of {str(identity.get('id'))[:40]}, not {expected}")
    signer, product = quote.enclave_field("mrsigner"), int.from_bytes(quote.enclave_field("isvprodid"), "little")
    required = _hex(identity, "mrsigner", len(signer))
    require(signer == required, f"the quoting enclave's signer is {signer.hex()}, not {required.hex()}")
    listed = identity.get("isvprodid")
    require(product == listed, f"the quoting enclave's product is {product}, not {str(listed)[:40]}")
    for name in ("attributes", "miscselect"):
        value = quote.enclave_field(name)
        mask, wanted = _hex(identity, f"{name}Mask", len(value)), _hex(identity, name, len(value))
        masked = bytes(one & other for one, other in zip(value, mask, strict=True))
        require(masked == wanted, f"the quoting enclave's {name} under the mask are {masked.hex()}, not {wanted.hex()}")


def check_family(quote: Quote, collateral: Collateral, family: bytes) -> None:
    """The TCB info is of this TEE and of the platform's family of processors.

    Args:
        quote: of which TEE.
        collateral: holds the TCB info.
        family: FMSPC of the platform's certificate.

    Raises:
        Refused: it is of another.
    """
    info = read_statement(collateral.tcb_info, "the TCB info")
    expected = "TDX" if quote.kind.is_tdx else "SGX"
    require(info.get("id") == expected, f"the TCB info is of {str(info.get('id'))[:40]}, not {expected}")
    listed = _hex(info, "fmspc", FAMILY_SIZE)
    require(listed == family, f"the TCB info is of family {listed.hex()}, not {family.hex()}")


def check_evaluation(collateral: Collateral, least: int) -> int:
    """Both statements come from an evaluation of at least this number. Returns the lower one's.

    Raises:
        Refused: one is older. (dcap-qvl's lenient policies do not enforce it.)
    """
    statements = {"the TCB info": collateral.tcb_info, "the QE identity": collateral.qe_identity}
    numbers = []
    for what, text in statements.items():
        number = read_statement(text, what).get("tcbEvaluationDataNumber")
        if not isinstance(number, int):
            raise Refused(f"{what} does not say which evaluation it comes from")
        require(number >= least, f"{what} comes from evaluation {number}, not at least {least}")
        numbers.append(number)
    return min(numbers)


def _hex(document: Json, key: str, size: int) -> bytes:
    try:
        value = bytes.fromhex(document[key])
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"the collateral's {key} is not hexadecimal") from error
    require(len(value) == size, f"the collateral's {key} has {len(value)} bytes, not {size}")
    return value

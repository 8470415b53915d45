"""Certificates of Nitro documents (RFC 5280): each signed by the next, all valid, all in their roles."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import P384, UNREADABLE, check_valid, public_key

CHAIN = "the Nitro document's certificate chain"


def check_chain(chain: Sequence[bytes], at: int) -> EllipticCurvePublicKey:
    """The key of a chain's leaf, once the chain holds up to its last certificate, which issues itself.

    Args:
        chain: certificates (DER), leaf first.
        at: when all of them have to be valid, in seconds since 1970.

    Raises:
        Refused: it does not hold, or its keys are not on P-384.
    """
    try:
        certificates = [x509.load_der_x509_certificate(item) for item in chain]
        issuers = [*certificates[1:], certificates[-1]]
        # From the root down: of a certificate that nobody known has signed, nothing else is interpreted.
        for below, (certificate, issuer) in reversed(list(enumerate(zip(certificates, issuers, strict=True)))):
            certificate.verify_directly_issued_by(issuer)
            check_valid(certificate, at, CHAIN)
            _check_role(certificate, below)
        return public_key(certificates[0], CHAIN, P384)
    except InvalidSignature as error:
        raise Refused(f"{CHAIN} holds a certificate that the next one has not signed") from error
    except (*UNREADABLE, x509.ExtensionNotFound) as error:
        raise Refused(f"{CHAIN} cannot be read: {error}") from error


def _check_role(certificate: x509.Certificate, below: int) -> None:
    """The leaf signs documents and no certificates; whoever stands above it may have as many below as there are."""
    public_key(certificate, CHAIN, P384)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    if below == 0:
        require(
            not constraints.ca and usage.digital_signature, f"{CHAIN} begins with a key that is not to sign documents"
        )
        return
    require(constraints.ca and usage.key_cert_sign, f"{CHAIN} holds an issuer that is no authority")
    most = constraints.path_length
    require(most is None or most >= below - 1, f"{CHAIN} has {below - 1} authorities below one that allows {most}")

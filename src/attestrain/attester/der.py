"""The few bits of DER (ITU-T X.690) that extensions take: Intel's of SGX, AMD's of a chip, TCG's of DICE."""

from __future__ import annotations

SGX = "1.2.840.113741.1.13.1"
"""Arc of the extension: Intel, "SGX PCK Certificate and Certificate Revocation List Profile Specification"."""
SHA384 = "2.16.840.1.101.3.4.2.2"
"""Name of SHA-384 (RFC 5754, section 2.3)."""
COMPONENTS = 16
"""Components of a CPU's security version."""


def _value(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _oid(dotted: str) -> bytes:
    first, second, *others = (int(part) for part in dotted.split("."))
    content = bytes([40 * first + second])
    for number in others:
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(0x80 | number & 0x7F)
        content += bytes(reversed(digits))
    return _value(6, content)


def _sequence(*items: bytes) -> bytes:
    return _value(0x30, b"".join(items))


def _octets(content: bytes) -> bytes:
    return _value(4, content)


def integer(number: int) -> bytes:
    """A number that is not negative."""
    return _value(2, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def ascii_text(text: str) -> bytes:
    """An IA5String."""
    return _value(0x16, text.encode("ascii"))


def _boolean(value: bool) -> bytes:
    return _value(1, b"\xff" if value else b"\0")


def _entry(arc: str, value: bytes) -> bytes:
    return _sequence(_oid(SGX + arc), value)


def sgx_extension(*, ppid: bytes, cpu_svn: bytes, pce_svn: int, fmspc: bytes, instance: bytes) -> bytes:
    """Content of the extension for a multi-package platform without cached keys and SMT.

    Args:
        ppid: 16 bytes that name the platform.
        cpu_svn: security versions of the processor's components, 16 bytes.
        pce_svn: security version of the provisioning enclave.
        fmspc: 6 bytes that name the family of platforms.
        instance: 16 bytes that name this instance of the platform.
    """
    versions = [_entry(f".2.{at + 1}", integer(cpu_svn[at])) for at in range(COMPONENTS)]
    versions += [_entry(".2.17", integer(pce_svn)), _entry(".2.18", _octets(cpu_svn))]
    configuration = [_entry(f".7.{at + 1}", _boolean(value)) for at, value in enumerate((True, False, False))]
    return _sequence(
        _entry(".1", _octets(ppid)),
        _entry(".2", _sequence(*versions)),
        _entry(".3", _octets(bytes(2))),
        _entry(".4", _octets(fmspc)),
        _entry(".5", _value(10, b"\x01")),
        _entry(".6", _octets(instance)),
        _entry(".7", _sequence(*configuration)),
    )


def firmware_extension(key: bytes, digest: bytes) -> bytes:
    """Content of TCG's DICE extension that names a device's key and its firmware.

    Args:
        key: the key as SubjectPublicKeyInfo (DER).
        digest: SHA-384 of the firmware.
    """
    return _sequence(integer(1), key, _sequence(_oid(SHA384), _octets(digest)))

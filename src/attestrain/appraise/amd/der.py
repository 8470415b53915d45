"""As much DER (ITU-T X.690) as AMD's certificates take, read strictly.

`cryptography` reads certificates too, but many of AMD's chips have a certificate with serial number 0, which RFC 5280
forbids: it warns of them, and says that a later release will refuse them. So names, dates and extensions are read here,
and only keys and signatures are left to it.
"""

from __future__ import annotations

from attestrain.appraise.refused import Refused, require

INTEGER, BITS, OCTETS, OID, SEQUENCE, BOOLEAN = 0x02, 0x03, 0x04, 0x06, 0x30, 0x01
IA5_TEXT, UTC_TIME, FULL_TIME = 0x16, 0x17, 0x18
MAX_LENGTH_BYTES = 2
"""Bytes of a length: nothing that is read here is larger than 65,535 bytes."""


def oid(dotted: str) -> bytes:
    """Content of the object identifier that people write as ``dotted`` (X.690, section 8.19)."""
    first, second, *others = (int(part) for part in dotted.split("."))
    content = bytes([40 * first + second])
    for number in others:
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(0x80 | number & 0x7F)
        content += bytes(reversed(digits))
    return content


class Der:
    """Elements read from front to back.

    Args:
        data: the bytes.
        what: what is being read, for messages.

    Raises:
        Refused: by every reader, if the next element is another one, cut short or spelled otherwise than DER asks.
    """

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self._at = 0

    @property
    def more(self) -> bool:
        """Whether something is left."""
        return self._at < len(self._data)

    def end(self) -> None:
        """Nothing may be left."""
        require(not self.more, f"{self._what} holds {len(self._data) - self._at} bytes more than it should")

    def follows(self, tag: int) -> bool:
        """Whether the next element has this tag."""
        return self.more and self._data[self._at] == tag

    def take(self, tag: int) -> bytes:
        """Content of the next element, which must have this tag."""
        return self._next(tag)[0]

    def whole(self, tag: int) -> bytes:
        """The next element with its tag and length."""
        return self._next(tag)[1]

    def inside(self, tag: int) -> Der:
        """A reader of the next element's content."""
        return Der(self.take(tag), self._what)

    def integer(self) -> int:
        """The next integer, which must not be negative."""
        content = self.take(INTEGER)
        require(bool(content) and content[0] < 0x80, f"{self._what} holds an integer that is negative or empty")
        shortest = len(content) == 1 or content[0] != 0 or content[1] >= 0x80
        require(shortest, f"{self._what} holds an integer with leading zeros")
        return int.from_bytes(content, "big")

    def bits(self) -> bytes:
        """The next bit string, which must consist of whole bytes."""
        content = self.take(BITS)
        require(content[:1] == b"\0", f"{self._what} holds a bit string that is not whole bytes")
        return content[1:]

    def boolean(self) -> bool:
        """The next truth value. False is the default everywhere, so DER leaves it out."""
        require(self.take(BOOLEAN) == b"\xff", f"{self._what} holds a truth value that is not spelled as DER asks")
        return True

    def _next(self, tag: int) -> tuple[bytes, bytes]:
        require(self.follows(tag), f"{self._what} is not DER of the expected shape at byte {self._at}")
        begin, size = self._length(self._at + 1)
        require(begin + size <= len(self._data), f"{self._what} ends within an element: {len(self._data)} bytes")
        whole, self._at = self._data[self._at : begin + size], begin + size
        return whole[-size:] if size else b"", whole

    def _length(self, at: int) -> tuple[int, int]:
        """Where content begins, and its size."""
        first = self._data[at : at + 1]
        if not first:
            raise Refused(f"{self._what} ends within a length")
        if first[0] < 0x80:
            return at + 1, first[0]
        count = first[0] & 0x7F
        size = self._data[at + 1 : at + 1 + count]
        fits = 0 < count <= MAX_LENGTH_BYTES and len(size) == count
        require(fits, f"{self._what} holds a length of {count} bytes")
        value = int.from_bytes(size, "big")
        require(value >= 0x80 and size[0] != 0, f"{self._what} holds a length with leading zeros")
        return at + 1 + count, value

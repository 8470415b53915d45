"""Revocation lists of AMD's key distribution service: signed by a root, they name authorities that count no more.

RFC 5280, section 5; KDS interface specification (57230). Chips' keys are on no list: the root does not issue
them, and their number is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from attestrain.appraise.amd.certificate import Certificate, check_pss, read_extensions, read_signed, read_time
from attestrain.appraise.amd.der import INTEGER, SEQUENCE, Der
from attestrain.appraise.refused import Refused, require
from attestrain.appraise.signatures import shown

MAX_LIST = 32_768
"""Bytes of a revocation list: AMD's have about a thousand, as few authorities exist."""
SECOND_VERSION = 1
"""Number that stands for version 2 of a list."""
EXTENSIONS = 0xA0
WHAT = "AMD's revocation list"


@dataclass(frozen=True, slots=True)
class Revocations:
    """A revocation list whose root has signed it.

    Attributes:
        begin: when it was issued, in seconds since 1970.
        end: when the next one was due.
        serials: numbers of the certificates that count no more.
    """

    begin: int
    end: int
    serials: frozenset[int]

    @classmethod
    def from_der(cls, data: bytes, root: Certificate) -> Revocations:
        """Read a list that ``root`` signed.

        Raises:
            Refused: it is malformed or too large, or somebody else signed it.
        """
        signed, algorithm, signature = read_signed(data, MAX_LIST, WHAT)
        fields = Der(signed, WHAT).inside(SEQUENCE)
        require(fields.integer() == SECOND_VERSION, f"{WHAT} is not of version 2")
        require(fields.whole(SEQUENCE) == algorithm, f"{WHAT} names two signature algorithms")
        require(fields.whole(SEQUENCE) == root.subject, f"{WHAT} is of another root")
        check_pss(root.rsa_key("the root"), signature, signed, WHAT, "the root")
        return cls._from_fields(fields)

    @classmethod
    def _from_fields(cls, fields: Der) -> Revocations:
        begin, end = read_time(fields, WHAT), read_time(fields, WHAT)
        entries = fields.inside(SEQUENCE) if fields.follows(SEQUENCE) else Der(b"", WHAT)
        serials = set()
        while entries.more:
            serials.add(_read_entry(entries.inside(SEQUENCE)))
        if fields.more:
            _, critical = read_extensions(fields.inside(EXTENSIONS), WHAT)
            require(not critical, f"{WHAT} has critical extensions, which narrow what it covers")
        fields.end()
        return cls(begin, end, frozenset(serials))

    def check(self, authority: Certificate, what: str, at: int) -> None:
        """``authority`` still counts, according to this list, which is the one of ``at``.

        Raises:
            Refused: it is revoked, or the list is of another time.
        """
        if not self.begin <= at <= self.end:
            raise Refused(f"{WHAT} is of {shown(self.begin)} to {shown(self.end)}, not of {shown(at)}")
        require(authority.serial not in self.serials, f"{what} is revoked: number {authority.serial}")


def _read_entry(entry: Der) -> int:
    require(entry.follows(INTEGER), f"{WHAT} has an entry without a number")
    serial = entry.integer()
    read_time(entry, WHAT)
    if entry.more:
        _, critical = read_extensions(Der(entry.whole(SEQUENCE), WHAT), WHAT)
        require(not critical, f"{WHAT} has an entry with critical extensions, which may name another issuer")
    entry.end()
    return serial

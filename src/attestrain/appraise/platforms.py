"""Platform lists: machines whose owners somebody has looked at, as Proof of Cloud does (spec/evidence-policy.md).

No quote shows that a machine's memory bus is being watched, which has given away the keys of genuine processors. What
answers that is to take evidence of known machines in known places alone, for as long as whoever looked says.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from attestrain.appraise.attestation import Attestation
from attestrain.appraise.endorsed import read_endorsed
from attestrain.appraise.refused import demand
from attestrain.appraise.signatures import shown as shown_time
from attestrain.errors import FormatError
from attestrain.record.fields import Fields
from attestrain.record.names import Address

FORMAT = "attestrain.dev/platform-list@v1"
MAX_PLATFORMS = 4096
"""Most platforms of a list: it has to fit a document."""
VENDORS = ("intel", "amd", "nvidia", "aws")
LATEST = 253_402_300_799
"""Last second of the year 9999, after which times have no text."""
_PLATFORM = re.compile(r"([0-9a-f]{2}){8,64}\Z")
_PREFIXES = {"tdx": "intel", "sgx": "intel", "snp": "amd", "azure-hcl-snp": "amd", "nvidia": "nvidia", "nitro": "aws"}


def vendor_of(shown: Attestation) -> str:
    """Who made the hardware that the evidence is of: the beginning of its format says so."""
    return next((vendor for prefix, vendor in _PREFIXES.items() if shown.format.startswith(prefix)), "unknown")


@dataclass(frozen=True, slots=True)
class KnownPlatform:
    """A machine that somebody has looked at.

    Attributes:
        vendor: who made its processor.
        platform: its own identity, as in `Attestation.platform`.
        evidence: where the proof of that look is: an address or a digest, for people.
        expires: until when it counts, in seconds since 1970.
        signer: who looked.
    """

    vendor: str
    platform: str
    evidence: str
    expires: int
    signer: Address


def read_platforms(data: bytes, signers: Collection[Address]) -> tuple[KnownPlatform, ...]:
    """Read a platform list.

    Raises:
        FormatError: malformed or out of bounds.
        Refused: none of ``signers`` signed it.
    """
    document, signer = read_endorsed(data, FORMAT, signers)
    fields = Fields(document, ("format", "platforms"), "platform-list")
    return tuple(_read_platform(item, signer) for item in fields.array("platforms", max_length=MAX_PLATFORMS))


def _read_platform(value: object, signer: Address) -> KnownPlatform:
    fields = Fields(value, ("vendor", "platform", "evidence", "expires"), "platforms")
    platform = fields.text("platform")
    if not _PLATFORM.match(platform):
        raise FormatError(f"platforms.platform is not 8 to 64 bytes in lower-case hexadecimal: {platform[:80]!r}")
    return KnownPlatform(
        vendor=fields.choice("vendor", VENDORS),
        platform=platform,
        evidence=fields.text("evidence", max_length=1024),
        expires=fields.integer("expires", 0, LATEST),
        signer=signer,
    )


def check_platform(shown: Attestation, known: Collection[KnownPlatform], at: int) -> KnownPlatform:
    """The entry of the machine that gave the evidence.

    Raises:
        PolicyNotMet: it has none, or one that counted no more at the time ``at``.
    """
    vendor = vendor_of(shown)
    found = [item for item in known if (item.vendor, item.platform) == (vendor, shown.platform)]
    demand(bool(found), f"platform {shown.platform} of {vendor} is on none of the policy's lists of {len(known)}")
    entry = max(found, key=lambda item: item.expires)
    ended = f"expired at {shown_time(entry.expires)}, before the evidence of {shown_time(at)}"
    demand(at < entry.expires, f"the entry of platform {shown.platform} {ended}")
    return entry

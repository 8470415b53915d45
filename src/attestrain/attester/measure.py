"""What a participant measures before it asks for a quote: code, libraries, run, data and environment."""

from __future__ import annotations

import functools
import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from attestrain.record.canonical import canonical
from attestrain.record.digest import Digest, sha256
from attestrain.record.evidence import MEASURED, Event
from attestrain.record.spec import RunSpec

PACKAGE = "attestrain"
ENGINES = frozenset({"train", "node", "chain", "hf"})
"""Extras of the package that a participant may have installed; what only developers need decides nothing."""

_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?")
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_SEPARATORS = re.compile(r"[-_.]+")


def measured_events(spec: RunSpec, environment: Digest) -> tuple[Event, ...]:
    """The events that bind a session key to a run, in the order in which they are measured.

    Args:
        spec: the run spec; whoever joins has checked that the code at hand is the spec's.
        environment: digest of the environment document that the participant's `Join` names.
    """
    digests = (spec.code, dependencies_digest(), spec.run_id, spec.dataset, environment)
    return tuple(Event(name, digest.hex()) for name, digest in zip(MEASURED, digests, strict=True))


@functools.cache
def dependencies_digest() -> Digest:
    """SHA-256 of the sorted array of `installed_dependencies` as a canonical document; read once in a process."""
    return sha256(canonical(installed_dependencies()))


def installed_dependencies() -> list[str]:
    """Every installed distribution that this package needs, directly or not, as ``name==version``, sorted."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(PACKAGE, extra) for extra in ("", *sorted(ENGINES))]
    while waiting:
        name, extra = waiting.pop()
        known = None if (name, extra) in seen else _installed(name)
        seen.add((name, extra))
        if known is not None:
            found[name] = known
            waiting += [item for text in known.requires or () for item in _needed(text, extra)]
    found.pop(PACKAGE, None)
    return sorted(f"{name}=={item.version}" for name, item in found.items())


def _installed(name: str) -> Distribution | None:
    """Markers are not evaluated: what a marker leaves out is not installed, or harmless to name."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _needed(requirement: str, extra: str) -> list[tuple[str, str]]:
    """Distributions, each with an extra or "" for none, that a requirement asks for on behalf of ``extra``."""
    asked = _EXTRA.search(requirement)
    match = _REQUIREMENT.match(requirement)
    if match is None or (asked.group(1) if asked else "") != extra:
        return []
    name = _SEPARATORS.sub("-", match.group(1)).lower()
    extras = [part.strip() for part in (match.group(2) or "").split(",")]
    return [(name, item) for item in {"", *extras}]

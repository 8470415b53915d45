"""Keeping a store in order: pins, collection of what nobody pins, and a check of every byte.

Collection must not run while others put into the same store: a part that is there already is not written again, and
could be collected before the index that names it is written. The grace protects what is being put for the first time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from attestrain.errors import FormatError, Unreachable, UsageError
from attestrain.record.blob import BlobRef, blob_ref
from attestrain.record.canonical import canonical, parse
from attestrain.record.digest import Digest
from attestrain.record.merkle import root_of_hashes
from attestrain.store.depot import Depot, data_name, index_name
from attestrain.store.index import HEAD, PART, Layout, read_leaves
from attestrain.store.objects import Held

GRACE = 3600.0
"""Seconds for which an object that nobody pins is left alone: an upload of that length is not cut short."""
MAX_PIN = 256
"""Most bytes of a pin: a blob reference needs about a hundred."""

_LABEL = re.compile(r"[0-9a-z][0-9a-z-]{0,63}\Z")
_DATA = re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})(\.index)?\Z")
_PINS = "pins/"


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that is not what its name says, or is missing, and what is wrong with it."""

    name: str
    what: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: objects and bytes read, and the damage."""

    objects: int
    size: int
    damage: tuple[Damage, ...]


def pin(depot: Depot, ref: BlobRef, label: str) -> None:
    """Protect a blob from collection until `unpin` with the same label.

    Raises:
        UsageError: the label is not up to 64 lower-case letters, digits and hyphens.
        Unreachable: the blob is not in the store.
    """
    if not depot.has(ref):
        raise Unreachable(f"blob {ref.root.hex()} is not in the store")
    depot.keep(_pin_name(ref, label), canonical(ref.to_json()))


def unpin(depot: Depot, ref: BlobRef, label: str) -> None:
    """Take a pin back. Without such a pin nothing happens."""
    depot.objects.delete(_pin_name(ref, label))
    depot.recount()


def _pin_name(ref: BlobRef, label: str) -> str:
    if not _LABEL.match(label):
        raise UsageError(f"{label[:80]!r} is not a label", hint="lower-case letters, digits and hyphens, 64 at most")
    return f"{_PINS}{label}.{ref.root.hex()}"


def pinned(depot: Depot) -> Iterator[tuple[str, BlobRef]]:
    """Every pin: its label and its blob.

    Raises:
        FormatError: a pin is damaged.
    """
    for held in list(depot.objects.list()):
        if held.name.startswith(_PINS):
            yield held.name[len(_PINS) :].partition(".")[0], _read_pin(depot, held)


def _read_pin(depot: Depot, held: Held) -> BlobRef:
    if held.size > MAX_PIN:
        raise FormatError(f"pin {held.name} of {held.size} bytes is larger than {MAX_PIN}")
    ref = BlobRef.from_json(parse(depot.objects.read(held.name, 0, held.size), max_bytes=MAX_PIN))
    if not held.name.endswith(f".{ref.root.hex()}"):
        raise FormatError(f"pin {held.name} names another blob")
    return ref


def collect(depot: Depot, *, grace: float = GRACE) -> list[Held]:
    """Delete every object that no pin protects and that is older than ``grace`` seconds; see the top of this file.

    Returns:
        What was deleted.

    Raises:
        FormatError: a pin or the index of a pinned blob is damaged. Nothing is deleted then: what it protects is not
            known.
        Unreachable: the index of a pinned blob is missing; nothing is deleted either.
    """
    protected: set[str] = set()
    for _, ref in pinned(depot):
        protected.update(map(data_name, depot.parts(ref)))
        if ref.size > PART:
            protected.add(index_name(ref.root))
    before = time.time() - grace
    doomed = [
        held
        for held in depot.objects.list()
        if _DATA.match(held.name) and held.name not in protected and held.written <= before
    ]
    # Indices first: a crash in between leaves parts without an index, which the next collection takes, and never an
    # index that promises what is gone.
    for held in sorted(doomed, key=lambda held: not held.name.endswith(".index")):
        depot.objects.delete(held.name)
    depot.recount()
    return doomed


def fsck(depot: Depot, *, remove: bool = False) -> Checked:
    """Read everything and compare it with its name.

    Args:
        depot: the store.
        remove: delete what is damaged, so that putting the blob again replaces it.
    """
    objects = list(depot.objects.list())
    names = {held.name for held in objects}
    damage = []
    for held in objects:
        try:
            _check(depot, held, names)
        except (FormatError, Unreachable) as error:
            damage.append(Damage(held.name, str(error)))
            if remove:
                depot.objects.delete(held.name)
    depot.recount()
    return Checked(len(objects), sum(held.size for held in objects), tuple(damage))


def _check(depot: Depot, held: Held, names: set[str]) -> None:
    if held.name.startswith(_PINS):
        ref = _read_pin(depot, held)
        if (data_name(ref.root) if ref.size <= PART else index_name(ref.root)) not in names:
            raise FormatError("the blob that it pins is missing")
    elif match := _DATA.match(held.name):
        root = Digest(bytes.fromhex(match[1]))
        if match[2]:
            _check_index(depot, held, root, names)
        else:
            _check_data(depot, held, root)


def _check_data(depot: Depot, held: Held, root: Digest) -> None:
    """Part by part: `store.blobs` keeps larger blobs as one file too."""
    roots = [
        blob_ref(depot.objects.read(held.name, at, min(PART, held.size - at))).root for at in range(0, held.size, PART)
    ]
    if root_of_hashes(roots) != root:
        raise FormatError("its bytes are not what its name says")


def _check_index(depot: Depot, held: Held, root: Digest, names: set[str]) -> None:
    if held.size < HEAD:
        raise FormatError("it is too short for an index")
    size = int.from_bytes(depot.objects.read(held.name, HEAD - 8, 8), "big")
    ref, layout = BlobRef(root, size), Layout(size)
    if size <= PART or layout.total != held.size:
        raise FormatError("its length is not that of its index")
    roots = depot.parts(ref)
    for part, part_root in enumerate(roots):
        read_leaves(depot.objects.read(held.name, *layout.leaves_of(part)), part_root)
    if missing := sum(data_name(part_root) not in names for part_root in roots):
        raise FormatError(f"{missing} of its {len(roots)} parts are missing")

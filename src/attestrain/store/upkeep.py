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
from attestrain.store.index import HEAD, MAX_STORED, PART, Layout, read_leaves
from attestrain.store.objects import Held

GRACE = 3600.0
"""Seconds for which an object that nobody pins is left alone: an upload of that length is not cut short."""
UNFINISHED = 3600.0
"""Seconds after which a file that was never finished belongs to a killed writer: one object takes a disk seconds."""
MAX_PIN = 256
"""Most bytes of a pin: a blob reference needs about a hundred."""

_LABEL = re.compile(r"[0-9a-z][0-9a-z-]{0,63}\Z")
_DATA = re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})(\.index)?\Z")
_PINS = "pins/"


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that is not what its name says, or whose parts are missing; what is wrong, and whether it went."""

    name: str
    what: str
    removed: bool


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
    depot.objects.sweep(time.time() - UNFINISHED)
    depot.recount()
    return doomed


def fsck(depot: Depot, *, remove: bool = False) -> Checked:
    """Read everything and compare it with its name, then see that what indices and pins name is there.

    Args:
        depot: the store.
        remove: delete the objects whose own bytes are wrong, so that putting the blob again replaces them. Pins are
            only reported: without them a collection would take what they protect.

    Raises:
        Unreachable: the place does not answer. Silence is no damage: nothing is deleted then.
    """
    objects = list(depot.objects.list())
    sizes = {held.name: held.size for held in objects}
    damage, rotten = list[Damage](), set[str]()
    # Names last: an index or a pin is judged by objects that have been judged before.
    for held in sorted(objects, key=_dependence):
        try:
            _check(depot, held, sizes, rotten)
        except FormatError as error:
            if not isinstance(error, _Incomplete) and not held.name.startswith(_PINS):
                rotten.add(held.name)
            damage.append(Damage(held.name, str(error), removed=remove and held.name in rotten))
    for name in rotten if remove else ():
        depot.objects.delete(name)
    depot.recount()
    return Checked(len(objects), sum(sizes.values()), tuple(damage))


class _Incomplete(FormatError):
    """An object is what its name says, but what it names is missing."""


def _dependence(held: Held) -> int:
    """Parts and small blobs depend on nothing, indices on parts, pins on both."""
    return 2 if held.name.startswith(_PINS) else int(held.name.endswith(".index"))


def _check(depot: Depot, held: Held, sizes: dict[str, int], rotten: set[str]) -> None:
    if held.name.startswith(_PINS):
        _check_pin(depot, held, sizes, rotten)
    elif match := _DATA.match(held.name):
        root = Digest(bytes.fromhex(match[1]))
        if match[2]:
            _check_index(depot, held, root, sizes, rotten)
        else:
            _check_data(depot, held, root)


def _check_pin(depot: Depot, held: Held, sizes: dict[str, int], rotten: set[str]) -> None:
    ref = _read_pin(depot, held)
    whole, size = (
        (data_name(ref.root), ref.size) if ref.size <= PART else (index_name(ref.root), Layout(ref.size).total)
    )
    if sizes.get(whole) != size:
        raise _Incomplete("the blob that it pins is missing")
    if ref.size > PART and whole not in rotten:
        _check_parts(ref, depot.parts(ref), sizes, rotten)


def _check_data(depot: Depot, held: Held, root: Digest) -> None:
    """Part by part: `store.blobs` keeps larger blobs as one file too."""
    roots = [
        blob_ref(depot.objects.read(held.name, at, min(PART, held.size - at))).root for at in range(0, held.size, PART)
    ]
    if root_of_hashes(roots) != root:
        raise FormatError("its bytes are not what its name says")


def _check_index(depot: Depot, held: Held, root: Digest, sizes: dict[str, int], rotten: set[str]) -> None:
    if held.size < HEAD:
        raise FormatError("it is too short for an index")
    size = int.from_bytes(depot.objects.read(held.name, HEAD - 8, 8), "big")
    ref, layout = BlobRef(root, size), Layout(size)
    if not PART < size <= MAX_STORED or layout.total != held.size:
        raise FormatError("its length is not that of its index")
    roots = depot.parts(ref)
    for part, part_root in enumerate(roots):
        read_leaves(depot.objects.read(held.name, *layout.leaves_of(part)), part_root)
    _check_parts(ref, roots, sizes, rotten)


def _check_parts(ref: BlobRef, roots: list[Digest], sizes: dict[str, int], rotten: set[str]) -> None:
    """Whether the parts are there, as long as the blob's size says.

    The size is in no digest of an index, but a part that is right has one length only: where they differ the size is
    wrong. A rotten part tells nothing and has been reported itself.

    Raises:
        FormatError: the size is wrong.
        _Incomplete: a part is missing.
    """
    layout = Layout(ref.size)
    for part, name in enumerate(map(data_name, roots)):
        if name not in rotten and sizes.get(name, layout.part_size(part)) != layout.part_size(part):
            raise FormatError(f"part {part} has {sizes[name]} bytes where its size leaves {layout.part_size(part)}")
    if missing := sum(data_name(root) not in sizes for root in roots):
        raise _Incomplete(f"{missing} of its {len(roots)} parts are missing")

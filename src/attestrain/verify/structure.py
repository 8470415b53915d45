"""Claims (0) and (1): the folder is the one that its manifest describes, and its spec is the one that names the run."""

from __future__ import annotations

import re

from attestrain.errors import FormatError, UsageError
from attestrain.record.bundle import CHAIN, DATASET, LEAVES, MANIFEST, MAX_FILE, MODEL, SPEC, Bundle, Files
from attestrain.record.canonical import MAX_DOCUMENT
from attestrain.record.digest import sha256
from attestrain.record.spec import RunSpec
from attestrain.record.tiles import MAX_BUNDLE
from attestrain.record.trace import MAX_TRACE
from attestrain.update.components import protocol_components
from attestrain.update.settings import aggregate_settings, codec_settings, outer_settings, require_sharable
from attestrain.verify.checks import Contradiction, Missing, require

"""The cursor is a count of steps as an unsigned 64-bit integer."""

_LIMITS: tuple[tuple[re.Pattern[str], int], ...] = tuple(
    (re.compile(pattern), limit)
    for pattern, limit in (
        (re.escape(SPEC), MAX_DOCUMENT),
        (re.escape(DATASET), MAX_DOCUMENT),
        (re.escape(LEAVES), MAX_FILE),
        (re.escape(MODEL), MAX_FILE),
        (r"transcript/(checkpoint|tile/[0-9a-z/.]+)", MAX_BUNDLE),
        (re.escape(CHAIN), MAX_DOCUMENT),
        (r"evidence/[0-9a-f]{64}\.json", MAX_DOCUMENT),
        (r"environments/[0-9a-f]{64}\.json", MAX_DOCUMENT),
        (r"traces/[0-9]{6}/[0-9]{4}\.json", MAX_TRACE),
        (r"updates/[0-9]{6}/[0-9]{4}\.bin", MAX_FILE),
        (r"data/(train|validation|test)\.(tokens|leaves)", MAX_FILE),
        (r"data/documents\.json", MAX_FILE),
        (r"data/(manifest|tokenizer)\.json", MAX_DOCUMENT),
        (r"states/[0-9a-f]{64}\.bin", MAX_FILE),
    )
)
"""Every place a file of a bundle can have, with the most bytes it may hold."""


def open_manifest(files: Files) -> tuple[Bundle, str]:
    """(0) The bundle, by its manifest.

    Raises:
        Missing: there is no manifest.
        Contradiction, FormatError: it is malformed, or names a place that no bundle has.
    """
    if not _present(files, MANIFEST):
        raise Missing(f"{MANIFEST} is missing")
    bundle = Bundle(files)
    for path, entry in bundle.manifest.files.items():
        limit = next((most for pattern, most in _LIMITS if pattern.fullmatch(path)), None)
        if limit is None:
            raise Contradiction(f"{path} has no place in a bundle")
        require(entry.size <= limit, f"{path} has {entry.size} bytes, more than {limit}")
    return bundle, f"{len(bundle.manifest.files)} files"


def check_files(bundle: Bundle) -> tuple[None, str]:
    """(0) The folder holds what the manifest says and nothing else.

    Raises:
        Contradiction, FormatError: a stray or different file.
        Missing: a file is not there.
    """
    listed, found = bundle.manifest.files, set(bundle.files.paths())
    strays = sorted(found - listed.keys() - {MANIFEST})
    require(not strays, f"{strays[:1]} is not in the manifest")
    for path in sorted(listed.keys() & found):
        bundle.check(path)
    if absent := sorted(listed.keys() - found):
        raise Missing(f"{absent[0]} is missing ({len(absent)} files in all)")
    return None, f"{sum(entry.size for entry in listed.values())} bytes"


def read_spec(bundle: Bundle) -> tuple[RunSpec, str]:
    """(1) The spec, whose digest is the name of the run.

    Raises:
        Contradiction, FormatError: malformed, inconsistent, or of another name than the manifest's.
        Missing: there is none.
    """
    data = read(bundle, SPEC)
    spec = RunSpec.from_bytes(data)
    require(sha256(data) == spec.run_id, "the spec does not read back to its own bytes")
    require(bundle.manifest.run == spec.run_id, f"the manifest is of run {bundle.manifest.run.hex()}, not of this spec")
    _check_settings(spec)
    _check_state(spec)
    return spec, f"run {spec.run_id.hex()}"


def read(bundle: Bundle, path: str, most: int | None = None) -> bytes:
    """A file that a claim needs.

    Args:
        bundle: the bundle.
        path: the file.
        most: bytes that it can have at most, where the run says so: a larger one is not even read.

    Raises:
        Missing: it is not in the bundle.
        Contradiction, FormatError: it is larger, or not what the manifest says.
    """
    if path not in bundle or not _present(bundle.files, path):
        raise Missing(f"{path} is missing")
    size = bundle.manifest.files[path].size
    require(most is None or size <= most, f"{path} has {size} bytes, more than {most}")
    return bundle.read(path)


def _present(files: Files, path: str) -> bool:
    try:
        files.size(path)
    except FormatError:
        return False
    return True


def _check_state(spec: RunSpec) -> None:
    """The components whose meaning the protocol fixes have the sizes that follow from the layout."""
    fixed = protocol_components(spec.layout, spec.codec, spec.overlap)
    for name, size in fixed.items():
        require(spec.state.get(name) == size, f"component {name} of the state is not of {size} bytes")
    others = [name for name in spec.state if name not in fixed and not name.startswith("opt.")]
    require(not others, f"component {', '.join(others[:1])} of the state has no meaning")


def _check_settings(spec: RunSpec) -> None:
    """What decides checkpoints is complete and known: nothing is left to a default of whoever computes them."""
    try:
        require_sharable(spec.overlap.shares, spec.codec.name, spec.aggregate.name)
        complete = (
            codec_settings(spec.codec.name, spec.codec.settings) == spec.codec.settings
            and aggregate_settings(spec.aggregate.name, spec.aggregate.settings) == spec.aggregate.settings
            and outer_settings(spec.outer.name, spec.outer.settings) == spec.outer.settings
        )
    except UsageError as error:
        raise FormatError(f"run spec: {error}") from error
    require(complete, "the run spec leaves settings to be guessed")

"""`attestrain store put|get|root|fsck`: blobs in a folder, an S3 bucket or behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attestrain.cli.inspect import show_facts
from attestrain.cli.options import Json, Quiet, examples
from attestrain.cli.terminal import emit, say, show

SUMMARY = "Keep blobs and fetch them, checked against their names."
EXAMPLES = examples(
    "attestrain store root FILE                              the name of a file's bytes",
    "attestrain store put FILE --at s3://bucket/prefix",
    "attestrain store get NAME --at https://host/path --out FILE",
    "attestrain store fsck --at blobs",
)
PUT = examples(
    "attestrain store put model.safetensors --at blobs",
    "attestrain store put data.jsonl --at s3://bucket/runs --pin dataset --json",
)
GET = examples(
    "attestrain store get 9f7a...a778:327687 --at blobs --out model.safetensors",
    "attestrain store get 9f7a...a778:327687 --at s3://bucket/runs --start 65536 --length 4096 --out cell.bin",
)
ROOT = examples("attestrain store root model.safetensors", "attestrain store root model.safetensors --json")
FSCK = examples("attestrain store fsck --at blobs", "attestrain store fsck --at s3://bucket/runs --remove --json")

app = typer.Typer(
    name="store",
    help="Keep blobs and fetch them. A blob is named by its Merkle root, a colon and its size; reads are checked.",
    rich_markup_mode=None,
    epilog=EXAMPLES,
    no_args_is_help=False,
)

At = Annotated[str, typer.Option("--at", metavar="PLACE", help="A folder, s3://bucket/prefix or http(s)://host/path.")]
File = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The file.")]


@app.command("put", short_help="Keep a file.", epilog=PUT)
def put(
    file: File,
    at: At,
    pin: Annotated[str | None, typer.Option("--pin", metavar="LABEL", help="Protect it from collection.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Keep a file's bytes, durably, and print their name. Begun again after an interruption, it goes on.

    S3 takes keys, region and endpoint from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL.
    """
    from attestrain.store import upkeep
    from attestrain.store.depot import Depot
    from attestrain.store.remote import open_objects

    depot = Depot(open_objects(at))
    ref = depot.put_file(file)
    if pin is not None:
        upkeep.pin(depot, ref, pin)
    say(f"{ref.size} bytes of {file} are kept at {at}", quiet=quiet)
    if json:
        emit({"blob": str(ref), **ref.to_json(), "at": at})
    else:
        show(str(ref))


@app.command("get", short_help="Fetch a blob.", epilog=GET)
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Root, colon, size: what `put` and `root` print.")],
    at: At,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write it.")],
    start: Annotated[int, typer.Option(min=0, metavar="BYTE", help="Only from this byte on.")] = 0,
    length: Annotated[int | None, typer.Option(min=0, metavar="BYTES", help="Only so many bytes.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a blob, or a range of one, into a file. What is not the blob that was asked for is never written.

    A file that is there is replaced, once the last byte has been checked.
    """
    from attestrain.errors import UsageError
    from attestrain.record.blob import BlobRef
    from attestrain.store.atomic import write_pieces
    from attestrain.store.depot import Depot
    from attestrain.store.remote import open_objects

    ref = BlobRef.from_name(name)
    depot = Depot(open_objects(at))
    size = ref.size - start if length is None else length
    whole = start == 0 and length is None
    try:
        write_pieces(out, depot.stream(ref) if whole else depot.ranges(ref, start, size))
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from error
    say(f"{size} bytes of blob {ref} are in {out}", quiet=quiet)
    if json:
        emit({"blob": str(ref), "start": start, "length": size, "out": str(out)})


@app.command("root", short_help="Name a file's bytes.", epilog=ROOT)
def root(file: File, json: Json = False, quiet: Quiet = False) -> None:
    """Print the name that a file's bytes have in every store. Nothing is kept."""
    from attestrain.store.depot import name_stream, read_file

    ref = name_stream(read_file(file))
    if json:
        emit({"blob": str(ref), **ref.to_json()})
    else:
        show(str(ref))


@app.command("fsck", short_help="Check every byte of a store.", epilog=FSCK)
def fsck(
    at: At,
    remove: Annotated[
        bool, typer.Option("--remove", help="Delete damaged data, so that putting it again mends it; pins stay.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read everything in a store and compare it with its name. Damage ends with exit code 4."""
    from attestrain.errors import Refuted
    from attestrain.store.depot import Depot
    from attestrain.store.remote import open_objects
    from attestrain.store.upkeep import fsck as check

    found = check(Depot(open_objects(at)), remove=remove)
    damage = [{"object": item.name, "what": item.what, "removed": item.removed} for item in found.damage]
    facts = {"objects": found.objects, "bytes": found.size, "damaged": len(damage), "damage": damage}
    if json:
        emit(facts)
    elif not quiet or damage:
        show_facts(facts)
    if damage:
        removed = sum(item.removed for item in found.damage)
        raise Refuted(
            f"{len(damage)} of {found.objects} objects at {at} are damaged or incomplete; {removed} were deleted"
        )

"""The service's blobs: taken from those who may, handed out to everybody. Small ones travel together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path as File
from typing import Annotated, Any, BinaryIO

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from attestrain.errors import FormatError
from attestrain.record.blob import MAX_BLOB, BlobRef, blob_ref
from attestrain.record.digest import ZERO_DIGEST, Digest
from attestrain.run.service.auth import Denied
from attestrain.run.service.desk import PIECE, Desk, check_length, pieces
from attestrain.run.service.limits import MAX_BATCH, MAX_BATCH_BLOBS

BYTES = "application/octet-stream"
Root = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="root over the blob's 64 KiB cells (spec/blob.md)")]
Bytes = Annotated[int, Query(ge=0, le=MAX_BLOB, description="its size in bytes")]
_BINARY = {BYTES: {"schema": {"type": "string", "format": "binary"}}}
_CONTENT: dict[int | str, dict[str, Any]] = {200: {"content": _BINARY}, 404: {"description": "No such blob here"}}
_UPLOAD = {"requestBody": {"required": True, "content": _BINARY}}
_NAMES: dict[str, Any] = {
    "name": "blob",
    "in": "query",
    "required": True,
    "description": "root and size of each blob, in the order of the body",
    "schema": {
        "type": "array",
        "minItems": 1,
        "maxItems": MAX_BATCH_BLOBS,
        "items": {"type": "string", "pattern": "^[0-9a-f]{64}:(0|[1-9][0-9]{0,14})$"},
    },
}


def add_blob_routes(app: FastAPI, desk: Desk, signed: Sequence[Any]) -> None:
    """Add the routes under /v1/blobs."""

    @app.put(
        "/v1/blobs",
        tags=["blobs"],
        status_code=204,
        dependencies=list(signed),
        openapi_extra={**_UPLOAD, "parameters": [_NAMES]},
    )
    async def put(request: Request) -> None:
        """Store blobs, all of them durably when this answers. The request is signed over a content digest of zeros."""
        caller = desk.let_in(request, ("worker",))
        refs = _read_names(request)
        if caller.content != ZERO_DIGEST:
            raise FormatError("blobs are named by the address, and the content digest is zero")
        if any(ref.size > desk.largest for ref in refs):
            raise Denied(f"the run needs no blob larger than {desk.largest} bytes", status=413)
        size = sum(ref.size for ref in refs)
        new = sum(ref.size for ref in set(refs) if not desk.places.store.has(ref))
        check_length(request, size)
        with desk.quota.blob(caller.account, new):
            await (_take_one(request, desk, refs[0]) if len(refs) == 1 else _take_all(request, desk, refs))
        desk.metrics.received += size

    @app.get("/v1/blobs", tags=["blobs"], responses=_CONTENT, openapi_extra={"parameters": [_NAMES]})
    async def get_all(request: Request) -> Response:
        """Several blobs, one behind the other. Whoever reads them compares them with their roots."""
        refs = _read_names(request)
        if sum(ref.size for ref in refs) > MAX_BATCH:
            raise Denied(f"several blobs are at most {MAX_BATCH} bytes", status=413)
        data = b"".join(_read_small(desk, ref) for ref in refs)
        desk.metrics.sent += len(data)
        return Response(data, media_type=BYTES)

    @app.get("/v1/blobs/{root}", tags=["blobs"], response_class=Response, responses=_CONTENT)
    async def get(root: Root, size: Bytes) -> Response:
        """A blob's bytes. Whoever reads them compares them with the root."""
        ref = BlobRef(Digest(bytes.fromhex(root)), size)
        if (shown := _shown(desk, ref)) is not None:
            desk.metrics.sent += size
            return Response(shown, media_type=BYTES)
        _require(desk, ref)
        return send_file(desk, desk.places.store.path(ref))

    @app.head("/v1/blobs/{root}", tags=["blobs"], status_code=204, responses={404: _CONTENT[404]})
    async def head(root: Root, size: Bytes) -> None:
        """Whether a blob is here."""
        _require(desk, BlobRef(Digest(bytes.fromhex(root)), size))


def _read_names(request: Request) -> list[BlobRef]:
    names = request.query_params.getlist("blob")
    if not 0 < len(names) <= MAX_BATCH_BLOBS or len(names) != len(request.query_params.multi_items()):
        raise FormatError(f"a request names 1 to {MAX_BATCH_BLOBS} blobs and nothing else")
    return [BlobRef.from_name(name) for name in names]


def _require(desk: Desk, ref: BlobRef) -> None:
    if not desk.places.store.has(ref):
        raise Denied("no such blob here", status=404)


def _shown(desk: Desk, ref: BlobRef) -> bytes | None:
    """A blob of the checkpoint that was last asked for: those are not in the store."""
    shown = desk.clerk.shown
    return None if shown is None else shown.blobs.get(ref)


def _read_small(desk: Desk, ref: BlobRef) -> bytes:
    if (shown := _shown(desk, ref)) is not None:
        return shown
    _require(desk, ref)
    try:
        return desk.places.store.path(ref).read_bytes()
    except OSError:
        raise Denied("no such blob here", status=404) from None


async def _take_one(request: Request, desk: Desk, ref: BlobRef) -> None:
    with desk.places.store.receiving(ref) as receiver:
        async for piece in pieces(request, ref.size):
            receiver.write(piece)
        await desk.on_disk(receiver.keep)


async def _take_all(request: Request, desk: Desk, refs: list[BlobRef]) -> None:
    size, at = sum(ref.size for ref in refs), 0
    if size > MAX_BATCH:
        raise Denied(f"several blobs are at most {MAX_BATCH} bytes", status=413)
    data = memoryview(b"".join([piece async for piece in pieces(request, size)]))
    found = {}
    for ref in refs:
        blob = data[at : at + ref.size]
        at += ref.size
        if blob_ref(blob) != ref:
            raise FormatError(f"these bytes are not blob {ref.root.hex()}")
        found[ref] = blob

    def keep() -> None:
        for ref, blob in found.items():
            desk.places.store.keep(ref, blob)

    await desk.on_disk(keep)


def send_file(desk: Desk, path: File) -> Response:
    """A file, in pieces if it is large.

    Raises:
        Denied: it has gone.
    """
    try:
        file = path.open("rb")
    except OSError:
        raise Denied("no such file", status=404) from None
    size = path.stat().st_size
    desk.metrics.sent += size
    if size <= PIECE:
        with file:
            return Response(file.read(), media_type=BYTES)
    return StreamingResponse(_read(file, size), media_type=BYTES, headers={"content-length": str(size)})


async def _read(file: BinaryIO, size: int) -> AsyncIterator[bytes]:
    with file:
        while size > 0 and (piece := file.read(min(PIECE, size))):
            size -= len(piece)
            yield piece

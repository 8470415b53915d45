"""The service's blobs: taken piece by piece from those who may, handed out to everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path as File
from typing import Annotated, Any, BinaryIO

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from attestrain.errors import FormatError
from attestrain.record.blob import MAX_BLOB, BlobRef
from attestrain.record.digest import Digest
from attestrain.run.service.auth import Denied
from attestrain.run.service.desk import PIECE, Desk, check_length, pieces

BYTES = "application/octet-stream"
Root = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="root over the blob's 64 KiB cells (spec/blob.md)")]
Bytes = Annotated[int, Query(ge=0, le=MAX_BLOB, description="its size in bytes")]
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": {BYTES: {"schema": {"type": "string", "format": "binary"}}}},
    404: {"description": "No such blob here"},
}
_UPLOAD = {"requestBody": {"required": True, "content": {BYTES: {"schema": {"type": "string", "format": "binary"}}}}}


def add_blob_routes(app: FastAPI, desk: Desk, signed: Sequence[Any]) -> None:
    """Add the routes under /v1/blobs."""

    @app.put("/v1/blobs/{root}", tags=["blobs"], status_code=204, dependencies=list(signed), openapi_extra=_UPLOAD)
    async def put(request: Request, root: Root, size: Bytes) -> None:
        """Store a blob, durably when this answers. The request's content digest is the root."""
        caller = desk.let_in(request, ("worker",))
        ref = BlobRef(Digest(bytes.fromhex(root)), size)
        if caller.content != ref.root:
            raise FormatError("the request is signed for another blob")
        if size > desk.largest:
            raise Denied(f"the run needs no blob larger than {desk.largest} bytes", status=413)
        await _take(request, desk, ref, caller.account)

    @app.get("/v1/blobs/{root}", tags=["blobs"], response_class=Response, responses=_CONTENT)
    async def get(root: Root, size: Bytes) -> Response:
        """A blob's bytes. Whoever reads them compares them with the root."""
        ref = BlobRef(Digest(bytes.fromhex(root)), size)
        shown = desk.clerk.shown
        if shown is not None and ref in shown.blobs:
            desk.metrics.sent += size
            return Response(shown.blobs[ref], media_type=BYTES)
        _require(desk, ref)
        return send_file(desk, desk.places.store.path(ref))

    @app.head("/v1/blobs/{root}", tags=["blobs"], status_code=204, responses={404: _CONTENT[404]})
    async def head(root: Root, size: Bytes) -> None:
        """Whether a blob is here."""
        _require(desk, BlobRef(Digest(bytes.fromhex(root)), size))


def _require(desk: Desk, ref: BlobRef) -> None:
    if not desk.places.store.has(ref):
        raise Denied("no such blob here", status=404)


async def _take(request: Request, desk: Desk, ref: BlobRef, account: Any) -> None:
    store = desk.places.store
    check_length(request, ref.size)
    with desk.quota.blob(account, 0 if store.has(ref) else ref.size), store.receiving(ref) as receiver:
        async for piece in pieces(request, ref.size):
            receiver.write(piece)
        await desk.on_disk(receiver.keep)
    desk.metrics.received += ref.size


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

"""The service's routes: what participants and readers can ask a sequencer for (spec/http.md)."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.security import APIKeyHeader

from attestrain import __version__
from attestrain.errors import FormatError
from attestrain.record.canonical import parse
from attestrain.record.digest import parse_digest, sha256
from attestrain.record.fields import Fields
from attestrain.record.keys import parse_address
from attestrain.record.names import Round
from attestrain.record.spec import MAX_ROUNDS
from attestrain.record.statements import MAX_STATEMENT
from attestrain.run.service.auth import SCHEME, Denied
from attestrain.run.service.blobs import BYTES, add_blob_routes, send_file
from attestrain.run.service.clerk import read_report
from attestrain.run.service.desk import Desk, body, peer, vanished
from attestrain.run.service.feed import Feed
from attestrain.run.service.guard import Guard, add_error_answers
from attestrain.run.service.limits import MAX_CLAIM, MAX_DOCUMENT, MAX_EVENT, MAX_WAIT
from attestrain.run.service.members import INVITED
from attestrain.run.service.metrics import CONTENT_TYPE
from attestrain.store.atomic import write_atomic

CLAIM = "attestrain.dev/claim@v1"
MAX_SINCE = 2**53 - 1
LINES = "application/jsonl"
PARTICIPANTS = ("worker", "auditor")

signed = APIKeyHeader(
    name="Authorization",
    scheme_name="SignedRequest",
    description=f"`{SCHEME} expiry nonce content signature`, see spec/http.md",
    auto_error=False,
)
"""In the OpenAPI description only: the doorman reads the header itself."""
Signed = [Depends(signed)]
Since = Annotated[int, Query(ge=0, le=MAX_SINCE, description="what the reader has already")]
Wait = Annotated[int, Query(ge=0, le=MAX_WAIT, description="seconds to wait for something new")]
Name = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="SHA-256 of the document")]


def build_app(desk: Desk) -> Guard:
    """The service as an ASGI application."""
    app = FastAPI(
        title="attestrain sequencer",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    add_error_answers(app)
    _add_run_routes(app, desk)
    _add_feed_routes(app, desk)
    _add_writing_routes(app, desk)
    _add_document_routes(app, desk)
    add_blob_routes(app, desk, Signed)
    return Guard(app, desk.metrics)


def _body(kind: str) -> dict[str, Any]:
    """OpenAPI's words for a body that is read as bytes."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": {"type": "string", "format": "binary"}}}}}


def _add_run_routes(app: FastAPI, desk: Desk) -> None:
    @app.get("/health", tags=["operation"])
    async def health() -> dict[str, Any]:
        """Whether the service answers, and how far the run is."""
        progress = desk.progress
        return {
            "status": "ok",
            "run": desk.spec.run_id.hex(),
            "service": desk.name.hex(),
            "entries": len(desk.clerk.sequencer.log),
            "rounds": desk.spec.schedule.rounds,
            "opened": progress.rounds,
            "aggregated": progress.aggregated,
            "closed": progress.closed,
        }

    @app.get("/metrics", tags=["operation"])
    async def metrics() -> Response:
        """Counters and gauges for Prometheus."""
        return Response(desk.metrics.text(), media_type=CONTENT_TYPE)

    @app.get("/v1/run", tags=["run"])
    async def run() -> Response:
        """The run spec, in the canonical bytes that name the run."""
        return Response(desk.spec_bytes, media_type="application/json")

    @app.get("/v1/run/terms", tags=["run"])
    async def terms() -> Response:
        """What participants have to know besides the spec: evidence that is asked for, the chain, what is kept."""
        return Response(desk.terms, media_type="application/json")

    @app.get("/v1/run/payouts", tags=["run"])
    async def payouts() -> Response:
        """What the run owes to whom, from the moment on that the chain holds it."""
        if desk.payouts is None:
            raise Denied("no payouts are posted yet", status=404)
        return Response(desk.payouts, media_type="application/json")

    @app.get("/v1/run/dataset/{name}", tags=["run"])
    async def dataset(name: Annotated[str, Path(pattern=r"^[a-z]+\.[a-z]+$", max_length=64)]) -> Response:
        """A file of the dataset, if its salt is public."""
        if name not in desk.files:
            raise Denied("no such file", status=404)
        return send_file(desk, desk.places.dataset / name)

    @app.get("/v1/run/checkpoints/latest", tags=["run"])
    async def checkpoint() -> Response:
        """The document of the checkpoint that the latest round starts from; the blobs it names can be had meanwhile."""
        shown = desk.clerk.shown
        if shown is None or shown.round != max(0, desk.progress.rounds - 1):
            shown = await desk.mailbox.ask(desk.clerk.checkpoint)
        return Response(shown.document, media_type="application/json")

    @app.get("/v1/run/merged/{number}", tags=["run"])
    async def merged(number: Annotated[int, Path(ge=0, le=MAX_ROUNDS)]) -> Response:
        """The merged update of an aggregated round, for whoever does not fetch every update; empty if nothing moved."""
        if desk.spec.merge is None or number >= desk.progress.aggregated:
            raise Denied("there is no merged update of this round", status=404)
        ref = await desk.mailbox.ask(lambda: desk.clerk.merged(Round(number)))
        return Response(b"", media_type=BYTES) if ref is None else send_file(desk, desk.places.store.path(ref))


def _add_feed_routes(app: FastAPI, desk: Desk) -> None:
    @app.get("/v1/entries", tags=["transcript"])
    async def entries(request: Request, since: Since = 0, wait: Wait = 0) -> Response:
        """Entries of the transcript from index ``since`` on, one a line."""
        return await _poll(request, desk.entries, since, wait)

    @app.get("/v1/events", tags=["operation"])
    async def events(request: Request, since: Since = 0, wait: Wait = 0) -> Response:
        """Progress reports from byte ``since`` on, one a line. Signed by nobody: for watching only."""
        return await _poll(request, desk.events, since, wait)


async def _poll(request: Request, feed: Feed, since: int, wait: int) -> Response:
    if wait and not feed.has(since):
        gone = asyncio.create_task(vanished(request.receive))
        try:
            await feed.wait(peer(request), since, wait, gone)
        finally:
            gone.cancel()
    return Response(feed.read(since), media_type=LINES)


def _add_writing_routes(app: FastAPI, desk: Desk) -> None:
    @app.post("/v1/entries", tags=["transcript"], dependencies=Signed, openapi_extra=_body("application/json"))
    async def submit(request: Request) -> dict[str, int]:
        """Append a signed statement, or find it; the answer is its index. Sending it twice is safe."""
        caller = desk.let_in(request, PARTICIPANTS)
        entry = await body(request, caller, MAX_STATEMENT, sha256)
        return {"index": await desk.mailbox.ask(lambda: desk.clerk.submit(caller.member, entry))}

    @app.post(
        "/v1/events", tags=["operation"], status_code=204, dependencies=Signed, openapi_extra=_body("application/json")
    )
    async def tell(request: Request) -> None:
        """Report progress. Nothing rests on it."""
        caller = desk.let_in(request, (*PARTICIPANTS, "solo"))
        kind, data = read_report(caller.member, await body(request, caller, MAX_EVENT, sha256))
        desk.mailbox.leave(lambda: desk.clerk.tell(kind, data))

    @app.post(
        "/v1/slots", tags=["network"], status_code=204, dependencies=Signed, openapi_extra=_body("application/json")
    )
    async def claim(request: Request) -> None:
        """Give the slot of an invitation, whose key signs the request, to a participant. Claiming twice is safe."""
        caller, give = desk.let_in(request, (INVITED,)), desk.clerk.claim
        fields = Fields(parse(await body(request, caller, MAX_CLAIM, sha256)), ("format", "participant"), "claim")
        fields.constant("format", CLAIM)
        participant = parse_address(fields.text("participant"))
        if give is None:
            raise Denied("nobody is invited to this run", status=403)
        await desk.mailbox.ask(lambda: give(caller.member, participant))


def _add_document_routes(app: FastAPI, desk: Desk) -> None:
    @app.put(
        "/v1/environments/{digest}",
        tags=["run"],
        status_code=204,
        dependencies=Signed,
        openapi_extra=_body("application/json"),
    )
    async def environment(request: Request, digest: Name) -> None:
        """Describe an environment that joins name."""
        await _keep_document(request, desk, digest, desk.places.environments)

    @app.put(
        "/v1/evidence/{digest}",
        tags=["run"],
        status_code=204,
        dependencies=Signed,
        openapi_extra=_body("application/json"),
    )
    async def evidence(request: Request, digest: Name) -> None:
        """Leave the evidence document that a join names."""
        await _keep_document(request, desk, digest, desk.places.evidence)


async def _keep_document(request: Request, desk: Desk, name: str, folder: Any) -> None:
    caller = desk.let_in(request, PARTICIPANTS)
    data = await body(request, caller, MAX_DOCUMENT, sha256)
    if caller.content != parse_digest(name):
        raise FormatError("the document has another digest than its name")
    if not str(parse(data).get("format", "")).startswith("attestrain.dev/"):
        raise FormatError("a document begins with its format")
    path = folder / f"{name}.json"
    if await desk.on_disk(path.is_file):
        return
    with desk.quota.document(caller.account):
        await desk.on_disk(lambda: write_atomic(path, data))

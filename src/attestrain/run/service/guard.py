"""What stands before the routes: rates by peer, lengths, and one shape for every refusal.

A refusal is a small JSON object {"error": why}. Whatever a stranger sends is answered in the 400s; 503 says that the
conductor is busy and when to come back.
"""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from attestrain.errors import AttestrainError, Unreachable
from attestrain.run.exchange import Refusal
from attestrain.run.service.auth import Denied
from attestrain.run.service.limits import MAX_TARGET, PEER_BURST, PEER_RATE, Rates
from attestrain.run.service.mailbox import Busy
from attestrain.run.service.metrics import Metrics

BUSY_SECONDS = 1
"""When to come back to a conductor that is busy."""


class Guard:
    """The outermost layer of the service.

    Args:
        app: the routes.
        metrics: told of every answer.
    """

    def __init__(self, app: FastAPI, metrics: Metrics) -> None:
        self.routes = app
        self._app: ASGIApp = app
        self._metrics = metrics
        self._rates = Rates(PEER_RATE, PEER_BURST)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        method = scope["method"]

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.answered(method, message["status"])
            await send(message)

        refusal = self._refuse(scope)
        await (refusal or self._app)(scope, receive, counted)

    def _refuse(self, scope: Scope) -> JSONResponse | None:
        if len(scope["raw_path"]) + len(scope["query_string"]) > MAX_TARGET:
            return _answer(414, "the address is too long", close=True)
        if wait := self._rates.take(scope["client"][0] if scope.get("client") else "?"):
            return _answer(429, "too many requests from this peer", wait)
        return None


def add_error_answers(app: FastAPI) -> None:
    """Give every error its answer."""

    async def refuse(request: Request, error: Exception) -> JSONResponse:
        match error:
            case Denied():
                return _answer(error.status, str(error), error.wait, close=error.status in (401, 403, 408, 413))
            case Busy():
                return _answer(503, str(error), BUSY_SECONDS)
            case Refusal():
                return _answer(409, str(error))
            case Unreachable():
                return _answer(503, "the service's disk refuses", BUSY_SECONDS)
        return _answer(400, str(error), close=True)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return _answer(422, f"{place}: {first['msg']}")

    async def plain(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return _answer(error.status_code, str(error.detail).lower(), headers=dict(error.headers or {}))

    async def gone(request: Request, error: Exception) -> JSONResponse:
        return _answer(400, "the client hung up")

    app.add_exception_handler(AttestrainError, refuse)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, plain)
    app.add_exception_handler(ClientDisconnect, gone)


def _answer(
    status: int, why: str, wait: float = 0.0, *, close: bool = False, headers: dict[str, Any] | None = None
) -> JSONResponse:
    found = dict(headers or {})
    if wait:
        found["retry-after"] = str(math.ceil(wait))
    if close:
        # What is left of the body is not worth reading.
        found["connection"] = "close"
    return JSONResponse({"error": why[:400]}, status, found)

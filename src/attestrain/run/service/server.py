"""The service as a thread of the conductor's process."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from attestrain.errors import RunFailed, UsageError
from attestrain.run.process import signals_held
from attestrain.run.service.app import build_app
from attestrain.run.service.auth import Door
from attestrain.run.service.desk import Desk
from attestrain.run.service.limits import MAX_CONNECTIONS, MAX_HEADERS
from attestrain.run.service.mailbox import Mailbox
from attestrain.run.service.transport import Protocol

LOOPBACK = "127.0.0.1"
BACKLOG = 512
"""Connections that the system holds until they are accepted: participants dial before the service has started."""
START_SECONDS = 30.0
STOP_SECONDS = 5.0
PAUSE_SECONDS = 30.0
"""Longest wait for the service to come to a point where it can be held."""


class Service:
    """The service of a desk.

    Args:
        desk: what it works with.
        host: address to listen on.
        port: 0 for any that is free.

    Raises:
        UsageError: the address cannot be listened on.
    """

    def __init__(self, desk: Desk, host: str = LOOPBACK, port: int = 0) -> None:
        self.desk = desk
        self._socket = _listen(host, port)
        bound = self._socket.getsockname()[1]
        self.door = Door(f"http://{f'[{host}]' if ':' in host else host}:{bound}", desk.name)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: uvicorn.Server | None = None

    @property
    def mailbox(self) -> Mailbox:
        """What the conductor has to do for the service."""
        return self.desk.mailbox

    @property
    def running(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None

    def start(self) -> None:
        """Begin to answer, unless that was done. What has dialled meanwhile was kept waiting.

        Raises:
            RunFailed: it does not come up.
        """
        if self._thread is not None:
            return
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), name="service", daemon=True)
        # Stopping is the main thread's business: the signals that ask for it go there.
        with signals_held():
            self._thread.start()
        if not ready.wait(START_SECONDS) or self._loop is None:
            raise RunFailed("the HTTP service does not start")

    def _serve(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._run(ready))
        finally:
            ready.set()

    async def _run(self, ready: threading.Event) -> None:
        config = uvicorn.Config(
            build_app(self.desk),
            log_config=None,
            access_log=False,
            lifespan="off",
            loop="asyncio",
            http=Protocol,
            ws="none",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEADERS,
            backlog=BACKLOG,
        )
        self._server = uvicorn.Server(config)
        self.desk.entries.open()
        self.desk.events.open()
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(ready.set)
        await self._server.serve([self._socket])

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Hold the service still, at a point where its threads hold no lock, so that this process can fork."""
        if self._loop is None:
            yield
            return
        held, go = threading.Event(), threading.Event()
        self._loop.call_soon_threadsafe(_hold, held, go)
        try:
            held.wait(PAUSE_SECONDS)
            end = time.monotonic() + PAUSE_SECONDS
            while not self.desk.idle and time.monotonic() < end:
                time.sleep(0.001)
            yield
        finally:
            go.set()

    def stop(self) -> None:
        """Answer who waits, end the thread, give the address back."""
        if self._thread is not None and self._loop is not None and self._server is not None:
            server = self._server
            self._loop.call_soon_threadsafe(self.desk.entries.close)
            self._loop.call_soon_threadsafe(self.desk.events.close)
            server.should_exit = server.force_exit = True
            self._thread.join(STOP_SECONDS)
        self._thread = self._loop = None
        self.desk.disk.shutdown()
        self._socket.close()


def _hold(held: threading.Event, go: threading.Event) -> None:
    held.set()
    go.wait()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio turns Nagle's algorithm off only for sockets that name their protocol: it costs 40 ms an answer.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((host, port))
        found.listen(BACKLOG)
    except OSError as error:
        hint = "is another node running on this address?"
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror or error}", hint=hint) from error
    return found

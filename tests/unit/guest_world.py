"""Stand-ins for the interfaces of a confidential guest: the kernel's files and dstack's agent, for tests alone.

The kernel's folder of requests fills itself when a request is made, answers when its outblob is read, and empties
itself when the request is taken away. Attributes that react are named pipes with a thread at their other end. A quote
comes from a simulated platform, so nothing here is hardware.
"""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from attestrain.record.evidence import REGISTER_SIZE, extend

Answer = Callable[[bytes], bytes]


@dataclass
class FakeConfigfs:
    """A kernel's folder of requests.

    Attributes:
        root: the folder.
        answer: makes the outblob from the inblob.
        provider: who gives reports.
        auxblob: what the host adds; None for a kernel without it.
        strangers: writes of somebody else's into each request.
        made: requests so far.
    """

    root: Path
    answer: Answer
    provider: str = "tdx_guest"
    auxblob: bytes | None = None
    strangers: int = 0
    made: list[Path] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Let folders made and taken away under the root behave like configfs."""
        make, take = os.mkdir, os.rmdir

        def mkdir(path: Any, *rest: Any, **named: Any) -> None:
            make(path, *rest, **named)
            if Path(path).parent == self.root:
                self._fill(Path(path))

        def rmdir(path: Any, **named: Any) -> None:
            if Path(path).parent == self.root:
                for item in Path(path).iterdir():
                    item.unlink()
            take(path, **named)

        patch.setattr(os, "mkdir", mkdir)
        patch.setattr(os, "rmdir", rmdir)

    def _fill(self, folder: Path) -> None:
        self.made.append(folder)
        (folder / "generation").write_text("0\n")
        (folder / "provider").write_text(self.provider + "\n")
        if self.auxblob is not None:
            (folder / "auxblob").write_bytes(self.auxblob)
        os.mkfifo(folder / "inblob")
        os.mkfifo(folder / "outblob")
        thread = threading.Thread(target=self._serve, args=(folder,), daemon=True)
        self.threads.append(thread)
        thread.start()

    def _serve(self, folder: Path) -> None:
        inblob = (folder / "inblob").read_bytes()
        (folder / "generation").write_text(f"{1 + self.strangers}\n")
        outblob = self.answer(inblob)
        with suppress(BrokenPipeError):
            (folder / "outblob").write_bytes(outblob)


class FakeRegisters:
    """A kernel's folder of registers: a write of 48 bytes to one extends it, and reading gives the value."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.values = [bytes(REGISTER_SIZE) for _ in range(4)]
        for number in range(4):
            self.path(number).write_bytes(bytes(REGISTER_SIZE))

    def path(self, number: int) -> Path:
        return self.root / f"rtmr{number}:sha384"

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Let writes to the registers extend them: files by themselves do not react."""
        open_ = Path.open
        fake = self

        def opened(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
            file = open_(path, mode, *rest, **named)
            return _Register(file, fake, path) if path.parent == fake.root and mode == "r+b" else file

        patch.setattr(Path, "open", opened)

    def extend(self, number: int, digest: bytes) -> None:
        self.values[number] = extend(self.values[number], digest)
        self.path(number).write_bytes(self.values[number])


class _Register:
    def __init__(self, file: Any, fake: FakeRegisters, path: Path) -> None:
        self._file, self._fake, self._number = file, fake, int(path.name[4])

    def __enter__(self) -> _Register:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes) -> int:
        if len(data) != REGISTER_SIZE:
            raise OSError(22, "Invalid argument")
        self._fake.extend(self._number, data)
        return len(data)


@contextmanager
def agent(path: Path, answers: dict[str, tuple[int, bytes]]) -> Iterator[list[tuple[str, Any]]]:
    """A dstack agent on a Unix socket that gives fixed answers; yields what it was asked."""
    asked: list[tuple[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, json.loads(body)))
            status, data = answers[self.path]
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            with suppress(BrokenPipeError):
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

        def address_string(self) -> str:
            return "unix"

    with socketserver.UnixStreamServer(str(path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()

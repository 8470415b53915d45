"""Places that a store can lie in, each a real one: a folder, an S3 server and a WebDAV server, both on loopback.

moto's server keeps objects in memory; it speaks S3 over HTTP to obstore's genuine client, and no part of ours is
replaced by it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from attestrain.store.objects import Objects
from attestrain.store.remote import open_objects

BUCKET = "attestrain"


@contextmanager
def s3_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name, value in {
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "a secret of nobody",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }.items():
            monkeypatch.setenv(name, value)
        import boto3

        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.close()
        # Its own prefix each time: all of moto's servers in one process share their objects.
        yield f"s3://{BUCKET}/some/{uuid4()}"
    finally:
        server.stop()


@contextmanager
def dav_place(folder: Path) -> Iterator[str]:
    from cheroot.wsgi import Server
    from wsgidav.wsgidav_app import WsgiDAVApp

    folder.mkdir()
    quiet: dict[str, Any] = {
        "provider_mapping": {"/": str(folder)},
        "simple_dc": {"user_mapping": {"*": True}},
        "logging": {"enable": False},
        "verbose": 0,
    }
    server = Server(("127.0.0.1", 0), WsgiDAVApp(quiet))
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.bind_addr[1]}/"
    finally:
        server.stop()
        thread.join()


@contextmanager
def place(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    if kind == "folder":
        (folder / "blobs").mkdir()
        yield open_objects(str(folder / "blobs"))
    elif kind == "s3":
        with s3_place(monkeypatch) as location:
            yield open_objects(location)
    else:
        with dav_place(folder / "dav") as location:
            yield open_objects(location)

"""Objects at a server: S3-compatible stores and HTTP with WebDAV's listing, through obstore.

obstore (Rust's object_store) retries, times out and signs; what arrives is bounded here and checked by the depot. The
server's word that an object is written is all there is about its durability.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from attestrain.errors import Unreachable, UsageError
from attestrain.record.digest import Buffer
from attestrain.store.objects import NAME, FolderObjects, Held, Objects

if TYPE_CHECKING:
    from obstore.store import ClientConfig, HTTPStore, RetryConfig, S3Store

TIMEOUT = timedelta(seconds=60)
"""For one request: a part of 16 MiB passes in it at 2.2 Mbit/s."""
RETRIES = 4
"""Further tries after a failure that may pass, with growing pauses, for two minutes at most."""
RETRY_FOR = timedelta(minutes=2)
MISSING = "look for a misspelt place, or create the bucket or folder at the server"
"""Hint where the server answers that the place itself is not there."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
Result = TypeVar("Result")


class RemoteObjects:
    """Objects behind one of obstore's clients. Use `open_objects`."""

    def __init__(self, client: S3Store | HTTPStore) -> None:
        self._client = client

    def put(self, name: str, data: Buffer) -> None:
        """Write the object in one request, so that it is there whole or not at all."""
        import obstore

        # From memory of ours, and not as parts of a multipart upload: an object is at most one part of a blob.
        _answered(name, lambda: obstore.put(self._client, name, bytes(data), use_multipart=False))

    def prepare(self) -> None:
        """Nothing: buckets are made by whoever pays for them, and folders of WebDAV with their first object."""

    def same(self, name: str, data: Buffer) -> bool:
        """Whether exactly these bytes are there. A size alone would acknowledge what was damaged or forged."""
        return self.size(name) == len(data) and (not data or self.read(name, 0, len(data)) == data)

    def size(self, name: str) -> int | None:
        """Bytes of the object, or None."""
        import obstore

        with suppress(FileNotFoundError):
            return int(_asked(name, lambda: obstore.head(self._client, name))["size"])
        return None

    def read(self, name: str, start: int, length: int) -> bytes:
        """A range of the object; stops reading where a server sends more than was asked."""
        try:
            data = _asked(name, lambda: self._receive(name, start, length))
        except FileNotFoundError as error:
            raise Unreachable(f"object {name} is not in the store") from error
        if len(data) != length:
            raise Unreachable(f"object {name} gave {len(data)} bytes instead of the {length} from byte {start}")
        return data

    def _receive(self, name: str, start: int, length: int) -> bytes:
        import obstore

        got = bytearray()
        answer = obstore.get(self._client, name, options={"range": (start, start + length)})
        for piece in answer.stream():
            got += memoryview(piece)[: length + 1 - len(got)]
            if len(got) > length:
                break
        return bytes(got)

    def list(self) -> Iterator[Held]:
        """All objects; those of other names are none of ours."""
        import obstore

        pages = iter(obstore.list(self._client))
        while (page := _answered("list", lambda: next(pages, None))) is not None:
            for item in page:
                if NAME.match(item["path"]):
                    yield Held(item["path"], item["size"], item["last_modified"].timestamp())

    def sweep(self, before: float) -> None:
        """Nothing: a request that broke off left nothing that a listing shows."""

    def delete(self, name: str) -> None:
        """Forget the object, if it is there."""
        import obstore

        with suppress(FileNotFoundError):
            _asked(name, lambda: obstore.delete(self._client, name))


def _asked(name: str, request: Callable[[], Result]) -> Result:
    """Make a request.

    Raises:
        FileNotFoundError: there is no such object.
        Unreachable: anything else went wrong.
    """
    from obstore.exceptions import BaseError

    try:
        return request()
    except FileNotFoundError:
        raise
    except (BaseError, OSError, ValueError) as error:
        raise Unreachable(f"the store did not answer about {name}: {' '.join(str(error).split())[:300]}") from error


def _answered(name: str, request: Callable[[], Result]) -> Result:
    """Make a request to which "not found" can only mean the place itself.

    Raises:
        Unreachable: the place is not there, or anything else went wrong.
    """
    try:
        return _asked(name, request)
    except FileNotFoundError as error:
        raise Unreachable(f"the store's place is not there, asked about {name}", hint=MISSING) from error


def open_objects(location: str) -> Objects:
    """The place that ``location`` names: a folder, `s3://bucket/prefix`, `http://host/path` or `https://host/path`.

    S3 takes keys, region and endpoint from the usual environment variables (AWS_ACCESS_KEY_ID and so on).

    Raises:
        UsageError: the location cannot be read, or obstore is not installed.
    """
    if "://" not in location:
        return FolderObjects(Path(location))
    if find_spec("obstore") is None:
        raise UsageError("stores at a server need obstore", hint='pip install "attestrain[store]"')
    from obstore.exceptions import BaseError

    try:
        return RemoteObjects(_client(location))
    except (BaseError, ValueError) as error:
        raise UsageError(
            f"{location!r} does not name a store", hint="s3://bucket/prefix or https://host/path"
        ) from error


def _client(location: str) -> S3Store | HTTPStore:
    """A client of obstore's; raises a ValueError for what is no location."""
    from obstore.store import HTTPStore, S3Store

    parts = urlsplit(location)
    options: ClientConfig = {"timeout": TIMEOUT, "allow_http": True}
    retry: RetryConfig = {"max_retries": RETRIES, "retry_timeout": RETRY_FOR}
    if parts.query or parts.fragment or not parts.netloc:
        raise ValueError(location)
    if parts.scheme in ("http", "https"):
        return HTTPStore.from_url(location, client_options=options, retry_config=retry)
    if parts.scheme != "s3" or not _BUCKET.match(parts.netloc):
        raise ValueError(location)
    prefix = parts.path.strip("/") or None
    return S3Store(parts.netloc, prefix=prefix, client_options=options, retry_config=retry)

"""Immich room: the bytes of an original, onto disk, whole or not at all. Touches the network and the paths it is given."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import parse_qsl

from facesets.errors import ChecksumMismatch, IncompleteBody
from facesets.files import FileDigests, digest
from facesets.immich.response import Response, not_immich
from facesets.immich.transport import Client

T = TypeVar("T")
_PLAIN = {"Accept": "*/*", "Accept-Encoding": "identity"}  # photos gain nothing, and lengths are then the file's
_SPAN = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")
PART = ".part"  # how the temporary name of a download ends


def download(
    client: Client,
    asset_id: str,
    target: Path,
    *,
    sha1: str | None = None,
    size: int | None = None,
    slot: AbstractContextManager[Any] = nullcontext(),  # noqa: B008 - it has no state
) -> FileDigests:
    """Bring an asset's original to ``target``: under a temporary name beside it, checked, synced, renamed.

    Checks the announced length and the listing's SHA-1 (hex), or its ``size`` where no SHA-1 is known. ``slot`` is held while bytes
    come, and no longer while they are synced to the disk. Raises NotFound, Unreachable
    (ChecksumMismatch where other bytes come again and again), NotImmich, MissingPermission, OSError.
    """
    what, came = f"original of {asset_id}", set[str]()

    def receive(response: Response, file: IO[bytes]) -> FileDigests:
        _refuse_odd(response, what, (200,))
        done = _save(response, file, what)
        if sha1 is not None and done.sha1 != sha1:
            raise ChecksumMismatch(f"{what}: its SHA-1 is {done.sha1}, the listing says {sha1}")
        if sha1 is None and size not in (None, done.size) and done.sha256 not in came:
            came.add(done.sha256)  # the same bytes twice are no accident: the file changed since the server read it
            raise IncompleteBody(f"{what}: {done.size} bytes came, the listing says {size}")
        return done

    return _fetch(client, f"/assets/{asset_id}/original", target, receive, slot=slot)


def sample(client: Client, asset_id: str, start: int, length: int) -> tuple[bytes, int]:
    """``length`` bytes of an original from ``start``, and how long the whole is. Raises NotFound, Unreachable, NotImmich.

    Ask within the file only: beyond its end Immich fails (500 on 2.x, 404 on 3.x).
    """

    def receive(response: Response) -> tuple[bytes, int]:
        _refuse_odd(response, f"a part of {asset_id}", (206,))
        span = _SPAN.fullmatch(response.headers.get("content-range", ""))
        if span is None or int(span[1]) != start:
            raise IncompleteBody(f"a part of {asset_id}: asked for bytes from {start}, got {response.headers.get('content-range')!r}")
        return response.read(), int(span[3])

    asked = {**_PLAIN, "Range": f"bytes={start}-{start + length - 1}"}
    return client.exchange("GET", f"/assets/{asset_id}/original", receive, headers=asked)


def rendition(client: Client, asset_id: str, target: Path, size: str) -> tuple[FileDigests, str] | None:
    """The server's own picture of an asset (``size``: fullsize or preview), unedited and upright, at ``target``, and which one came.

    None where it sends on to the original. Raises NotFound, MissingPermission (``asset.view``), Unreachable, NotImmich, OSError.
    """
    what = f"{size} of {asset_id}"

    def receive(response: Response, file: IO[bytes]) -> tuple[FileDigests, str] | None:
        if (response.url.path or "").endswith("/original"):
            return None
        _refuse_odd(response, what, (200,))
        done = _save(response, file, what)
        if not done.size:
            raise IncompleteBody(f"{what}: no byte came")
        return done, dict(parse_qsl(response.url.query or "")).get("size", size)

    return _fetch(client, f"/assets/{asset_id}/thumbnail", target, receive, params={"size": size})


def preview(client: Client, asset_id: str) -> bytes:
    """The server's preview of an asset, unedited. Raises NotFound, MissingPermission (``asset.view``), Unreachable, NotImmich."""

    def receive(response: Response) -> bytes:
        _refuse_odd(response, f"preview of {asset_id}", (200,))
        return response.read()

    return client.exchange("GET", f"/assets/{asset_id}/thumbnail", receive, params={"size": "preview"}, headers=_PLAIN)


def _fetch(
    client: Client,
    path: str,
    target: Path,
    receive: Callable[[Response, IO[bytes]], T],
    *,
    params: Mapping[str, str] | None = None,
    slot: AbstractContextManager[Any] = nullcontext(),  # noqa: B008 - it has no state
) -> T:
    """What ``receive`` makes of the answer; where it is not None, what it wrote into the file gets the name ``target``."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}{PART}")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            with slot:
                done = client.exchange("GET", path, lambda response: receive(response, file), params=params, headers=_PLAIN)
            file.flush()
            os.fsync(file.fileno())
        if done is not None:
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return done


def _save(response: Response, file: IO[bytes], what: str) -> FileDigests:
    """Write the body to ``file``, in place of what an earlier attempt left there."""
    file.seek(0)
    file.truncate()
    done = digest(_written(response, file))
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) != response.received:
        raise IncompleteBody(f"{what}: {response.received} of {announced} bytes came")
    return done


def _written(response: Response, file: IO[bytes]) -> Iterator[bytes]:
    for piece in response.iter_bytes():
        file.write(piece)
        yield piece


def _refuse_odd(response: Response, what: str, statuses: tuple[int, ...]) -> None:
    if response.content_type == "text/html":
        raise not_immich(response, what)
    if response.status not in statuses or response.content_type == "application/json":
        raise IncompleteBody(f"{what}: status {response.status}, {response.content_type or 'untyped'}")

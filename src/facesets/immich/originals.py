"""Immich room: the bytes of an original, onto disk, whole or not at all. Touches the network and the two paths it is given."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import httpx

from ..errors import NotImmich
from .transport import Client, Garbled

_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Bytes on disk and their digests (hex)."""

    sha256: str
    sha1: str
    size: int


def download(client: Client, asset_id: str, target: Path, *, sha1: str | None = None, size: int | None = None) -> Downloaded:
    """Bring an asset's original to ``target``: under a temporary name beside it, checked, synced, renamed.

    Checks the announced length and the listing's SHA-1 (hex), or its ``size`` where no SHA-1 is known. Raises NotFound,
    Unreachable, NotImmich, MissingPermission, OSError.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    came = set[str]()

    def receive(response: httpx.Response) -> Downloaded:
        kind = response.headers.get("content-type", "").split(";")[0]
        if kind == "text/html":
            raise NotImmich(f"original of {asset_id}: a web page came instead")
        if response.status_code != 200 or kind == "application/json":
            raise Garbled(f"original of {asset_id}: status {response.status_code}, {kind or 'untyped'}, to a plain request")
        done = _write(response, temporary)
        announced = response.headers.get("content-length", "")
        if announced.isdigit() and int(announced) != response.num_bytes_downloaded:
            raise Garbled(f"original of {asset_id}: {response.num_bytes_downloaded} of {announced} bytes came")
        if sha1 is not None and done.sha1 != sha1:
            raise Garbled(f"original of {asset_id}: its SHA-1 is {done.sha1}, the listing says {sha1}")
        if sha1 is None and size not in (None, done.size) and done.sha256 not in came:
            came.add(done.sha256)  # the same bytes twice are no accident: the file changed since the server read it
            raise Garbled(f"original of {asset_id}: {done.size} bytes came, the listing says {size}")
        return done

    try:
        # not compressed on the way: photos gain nothing, and the length is then the file's
        wanted = {"Accept": "*/*", "Accept-Encoding": "identity"}
        done = client.exchange("GET", f"/assets/{asset_id}/original", receive, headers=wanted)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return done


def digests(path: Path) -> Downloaded:
    """The digests of a file that is here already. Raises OSError."""
    sha256, sha1, size = hashlib.sha256(), _sha1(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            sha1.update(chunk)
            size += len(chunk)
    return Downloaded(sha256.hexdigest(), sha1.hexdigest(), size)


def _write(response: httpx.Response, path: Path) -> Downloaded:
    sha256, sha1, size = hashlib.sha256(), _sha1(), 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for chunk in response.iter_bytes(_CHUNK):
            file.write(chunk)
            sha256.update(chunk)
            sha1.update(chunk)
            size += len(chunk)
        file.flush()
        os.fsync(file.fileno())
    return Downloaded(sha256.hexdigest(), sha1.hexdigest(), size)


def _sha1() -> hashlib._Hash:
    return hashlib.sha1(usedforsecurity=False)  # Immich's checksum, not ours

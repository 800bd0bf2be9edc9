"""Immich room: the bytes of an original, onto disk, whole or not at all. Touches the network and the paths it is given.

What came of an interrupted download stays beside its target (``.NAME.part``) with the facts to go on by (``.NAME.part.json``: the
version's ETag and length, and how many of the bytes are known to be on the disk). The next attempt, or the next run, asks for the rest.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from ..errors import NotFound, NotImmich, ServerFailed
from .transport import Client, Garbled

SAMPLE = 1 << 16  # bytes of each of the three samples by which two files are told apart
_CHUNK = 1 << 18
_HELD = 4 << 20  # bytes that wait to be hashed: most photos whole, once their connection serves the next one
_WORTH = 1 << 16  # a beginning shorter than this is not kept
_PLAIN = {"Accept": "*/*", "Accept-Encoding": "identity"}  # photos gain nothing, and lengths are then the file's
_SPAN = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class OtherBytes(Garbled):
    """A whole original came, and it is not the one that was listed."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Bytes on disk and their digests (hex). ``resumed``: bytes that an earlier attempt had brought."""

    sha256: str
    sha1: str
    size: int
    resumed: int = 0


def download(
    client: Client,
    asset_id: str,
    target: Path,
    *,
    sha1: str | None = None,
    size: int | None = None,
    turn: AbstractContextManager[Any] = nullcontext(),  # noqa: B008 - it has no state
) -> Downloaded:
    """Bring an asset's original to ``target``: under a temporary name beside it, checked, synced, renamed; goes on where it stopped.

    Checks the announced length and the listing's SHA-1 (hex), or its ``size`` where no SHA-1 is known. ``turn`` is held while bytes
    come, and no longer while they are checked. Raises NotFound, Unreachable, NotImmich, MissingPermission, OSError.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part, came, again = _Part.beside(target), set[str](), False
    part.take_up(trusting_all=sha1 is not None)

    what = f"original of {asset_id}"

    def receive(response: httpx.Response) -> int:
        _refuse_odd(response, what, (200, 206))
        resumed = part.accept(response, what)
        _fill(response, part, what)
        return resumed

    def checked(resumed: int) -> Downloaded:
        done = part.digests(resumed)
        if sha1 is not None and done.sha1 != sha1:
            part.forget()
            raise OtherBytes(f"{what}: its SHA-1 is {done.sha1}, the listing says {sha1}")
        if sha1 is None and size not in (None, done.size) and done.sha256 not in came:
            came.add(done.sha256)  # the same bytes twice are no accident: the file changed since the server read it
            part.forget()
            raise Garbled(f"{what}: {done.size} bytes came, the listing says {size}")
        return done

    def ask() -> int:
        return client.exchange("GET", f"/assets/{asset_id}/original", receive, headers=part.wanted)

    try:
        done = None
        while done is None:
            with turn:
                try:
                    resumed = ask()
                except (NotFound, ServerFailed) as err:
                    if not part.wants_rest or (isinstance(err, ServerFailed) and err.status != 500):
                        raise
                    part.forget()  # so Immich refuses a part of a file that is shorter now: ask for the whole
                    resumed = ask()
            try:
                done = checked(resumed)
            except Garbled:
                if again or client.attempts == 1:
                    raise
                again = True
        part.finish(target)
    except (NotFound, NotImmich):
        part.forget()
        raise
    finally:
        part.close()
    return done


def sample(client: Client, asset_id: str, start: int, length: int) -> tuple[bytes, int]:
    """``length`` bytes of an original from ``start``, and how long the whole is. Raises NotFound, Unreachable, NotImmich.

    Ask within the file only: beyond its end Immich fails (500 on 2.x, 404 on 3.x).
    """

    def receive(response: httpx.Response) -> tuple[bytes, int]:
        _refuse_odd(response, f"a part of {asset_id}", (206,))
        span = _SPAN.fullmatch(response.headers.get("content-range", ""))
        if span is None or int(span[1]) != start:
            raise Garbled(f"a part of {asset_id}: asked for bytes from {start}, got {response.headers.get('content-range')!r}")
        return response.read(), int(span[3])

    asked = {**_PLAIN, "Range": f"bytes={start}-{start + length - 1}"}
    return client.exchange("GET", f"/assets/{asset_id}/original", receive, headers=lambda: asked)


def rendition(client: Client, asset_id: str, target: Path, size: str) -> tuple[Downloaded, str] | None:
    """The server's own picture of an asset (``size``: fullsize or preview), unedited and upright, at ``target``, and which one came.

    None where it sends on to the original. Raises NotFound, MissingPermission (``asset.view``), Unreachable, NotImmich, OSError.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part, what = _Part.beside(target), f"{size} of {asset_id}"
    part.forget()

    def receive(response: httpx.Response) -> tuple[Downloaded, str] | None:
        if response.url.path.endswith("/original"):
            return None
        _refuse_odd(response, what, (200,))
        part.accept(response, what)
        _fill(response, part, what)
        came = part.digests(0)
        if not came.size:
            raise Garbled(f"{what}: no byte came")
        return came, response.url.params.get("size", size)

    part.take_up(trusting_all=False)
    try:
        done = client.exchange("GET", f"/assets/{asset_id}/thumbnail", receive, params={"size": size}, headers=lambda: _PLAIN)
        if done is not None:
            part.finish(target)
    finally:
        if part.file is not None:
            part.forget()
        part.close()
    return done


def preview(client: Client, asset_id: str) -> bytes:
    """The server's preview of an asset, unedited. Raises NotFound, MissingPermission (``asset.view``), Unreachable, NotImmich."""

    def receive(response: httpx.Response) -> bytes:
        _refuse_odd(response, f"preview of {asset_id}", (200,))
        return response.read()

    return client.exchange("GET", f"/assets/{asset_id}/thumbnail", receive, params={"size": "preview"}, headers=lambda: _PLAIN)


def digests(path: Path) -> Downloaded:
    """The digests of a file that is here already. Raises OSError."""
    hashes = _Hashes()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hashes.update(chunk)
    return hashes.told()


def discard_part(target: Path) -> None:
    """Remove what an interrupted download to ``target`` left."""
    _Part.beside(target).forget()


def part_of(path: Path) -> str | None:
    """The name of the target that ``path`` is the beginning of (or the facts about it); None where it is none."""
    found = re.fullmatch(r"\.(.+)\.part(?:\.json)?", path.name)
    return found[1] if found else None


def _refuse_odd(response: httpx.Response, what: str, statuses: tuple[int, ...]) -> None:
    kind = response.headers.get("content-type", "").split(";")[0]
    if kind == "text/html":
        raise NotImmich(f"{what}: a web page came instead")
    if response.status_code not in statuses or kind == "application/json":
        raise Garbled(f"{what}: status {response.status_code}, {kind or 'untyped'}")


def _fill(response: httpx.Response, part: _Part, what: str) -> None:
    for chunk in response.iter_bytes():  # as they come: what is held back would be lost with the connection
        part.write(chunk)
    announced = response.headers.get("content-length", "")
    if announced.isdigit() and int(announced) != response.num_bytes_downloaded:
        raise Garbled(f"{what}: {response.num_bytes_downloaded} of {announced} bytes came")


@dataclass(slots=True)
class _Hashes:
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)
    sha1: hashlib._Hash = field(default_factory=lambda: hashlib.sha1(usedforsecurity=False))  # Immich's checksum, not ours
    size: int = 0

    def update(self, chunk: bytes) -> None:
        self.sha256.update(chunk)
        self.sha1.update(chunk)
        self.size += len(chunk)

    def told(self, resumed: int = 0) -> Downloaded:
        return Downloaded(self.sha256.hexdigest(), self.sha1.hexdigest(), self.size, resumed)


@dataclass(slots=True)
class _Part:
    """The beginning of a file on disk, of one version of it, hashed as far as it goes."""

    path: Path
    facts: Path
    etag: str = ""
    total: int = 0
    hashes: _Hashes = field(default_factory=_Hashes)
    file: BinaryIO | None = None
    held: list[bytes] = field(default_factory=list)
    n_held: int = 0

    @classmethod
    def beside(cls, target: Path) -> _Part:
        return cls(target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.part.json"))

    def take_up(self, *, trusting_all: bool) -> None:
        """Take up what is there. Without a SHA-1 to check the whole by, only what was synced counts: a power cut can leave zeros."""
        try:
            told = json.loads(self.facts.read_bytes())
            self.etag, self.total, synced = str(told["etag"]), int(told["total"]), int(told["synced"])
            have = min(self.path.stat().st_size, self.total - 1) if trusting_all else min(self.path.stat().st_size, synced)
        except (OSError, ValueError, TypeError, KeyError):
            self.etag, have = "", 0
        self.file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        while have > self.hashes.size and (chunk := self.file.read(min(_CHUNK, have - self.hashes.size))):
            self.hashes.update(chunk)
        self._cut()

    @property
    def wants_rest(self) -> bool:
        """Whether a beginning is here, and the version that it is of is known."""
        return bool(self.etag) and 0 < self.hashes.size < self.total

    def wanted(self) -> dict[str, str]:
        """The headers that ask for what is missing, of this version or else for the whole."""
        self.settle()
        if not self.wants_rest:
            return _PLAIN
        return {**_PLAIN, "Range": f"bytes={self.hashes.size}-", "If-Range": self.etag}

    def accept(self, response: httpx.Response, what: str) -> int:
        """Make ready for this answer's bytes; returns how many it goes on from. Raises Garbled where it is not what was asked for."""
        if response.status_code == 206:
            span = _SPAN.fullmatch(response.headers.get("content-range", ""))
            own = (str(self.hashes.size), str(self.total))
            if span is None or (span[1], span[3]) != own or response.headers.get("etag", self.etag) != self.etag:
                self.forget()
                raise Garbled(f"{what}: the rest was asked for, and bytes of something else came")
            return self.hashes.size
        length = response.headers.get("content-length", "")
        etag = response.headers.get("etag", "")
        keeps = length.isdigit() and etag.isascii() and etag.isprintable() and "content-encoding" not in response.headers
        self.etag, self.total = (etag, int(length)) if keeps else ("", 0)
        self.hashes = _Hashes()
        self._cut()
        self._note(synced=0)
        return 0

    def write(self, chunk: bytes) -> None:
        """Append."""
        assert self.file is not None
        self.file.write(chunk)
        self.held.append(chunk)
        self.n_held += len(chunk)
        if self.n_held >= _HELD:
            self.settle()

    def settle(self) -> None:
        """Hash what waits for it: in one piece, for in small ones threads would wait for Python's lock most of the time."""
        if self.n_held:
            data = b"".join(self.held)
            self.held, self.n_held = [], 0
            self.hashes.update(data)

    def digests(self, resumed: int) -> Downloaded:
        """Of all that is here."""
        self.settle()
        return self.hashes.told(resumed)

    def finish(self, target: Path) -> None:
        """The part is the whole: sync it and give it its name."""
        assert self.file is not None
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        self.file = None
        self.path.replace(target)
        self.facts.unlink(missing_ok=True)

    def close(self) -> None:
        """Keep what is worth keeping for the next time, whatever happened."""
        if self.file is None:
            return
        keeps = False
        try:
            self.settle()
            keeps = bool(self.etag) and _WORTH <= self.hashes.size < self.total
            if keeps:
                self.file.flush()
                os.fsync(self.file.fileno())
                self._note(synced=self.hashes.size)
        except OSError:  # the error that brought us here, a full disk say, is the one to tell
            keeps = False
        finally:
            with suppress(OSError):
                self.file.close()
            self.file = None
        if not keeps:
            self.forget()

    def forget(self) -> None:
        """Nothing of it is of use."""
        self.etag, self.total, self.hashes, self.held, self.n_held = "", 0, _Hashes(), [], 0
        if self.file is not None:
            self._cut()
        else:
            self.path.unlink(missing_ok=True)
        self.facts.unlink(missing_ok=True)

    def _cut(self) -> None:
        assert self.file is not None
        self.file.seek(self.hashes.size)
        self.file.truncate()

    def _note(self, *, synced: int) -> None:
        """Facts go beside only where there is a version to name; a torn file of facts is as good as none."""
        if not self.etag or self.total < _WORTH:
            self.facts.unlink(missing_ok=True)
            return
        data = json.dumps({"etag": self.etag, "total": self.total, "synced": synced}).encode()
        with os.fdopen(os.open(self.facts, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(data)

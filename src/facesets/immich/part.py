"""Immich room: the beginning of a download on disk, hashed as far as it goes. Touches the paths it is given.

What came of an interrupted download stays beside its target (``.NAME.part``) with the facts to go on by (``.NAME.part.json``: the
version's ETag and length, and how many of the bytes are known to be on the disk).
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import re
from contextlib import suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

import httpx

from .refusals import Garbled

CHUNK = 1 << 18  # bytes that are read, or written, at once
PLAIN = {"Accept": "*/*", "Accept-Encoding": "identity"}  # photos gain nothing, and lengths are then the file's
SPAN = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_HELD = 4 << 20  # bytes that wait to be hashed: most photos whole, once their connection serves the next one
_WORTH = 1 << 16  # a beginning shorter than this is not kept
_buffers: queue.SimpleQueue[bytearray] = queue.SimpleQueue()  # of _HELD bytes each, used again: new ones cost more than the hashing


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Bytes on disk and their digests (hex). ``resumed``: bytes that an earlier attempt had brought."""

    sha256: str
    sha1: str
    size: int
    resumed: int = 0


@dataclass(slots=True)
class Hashes:
    """Both digests of the bytes so far."""

    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)
    sha1: hashlib._Hash = field(default_factory=lambda: hashlib.sha1(usedforsecurity=False))  # Immich's checksum, not ours
    size: int = 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Go on with these."""
        self.sha256.update(chunk)
        self.sha1.update(chunk)
        self.size += len(chunk)

    def told(self, resumed: int = 0) -> Downloaded:
        """What they come to."""
        return Downloaded(self.sha256.hexdigest(), self.sha1.hexdigest(), self.size, resumed)


def _buffer() -> bytearray:
    try:
        return _buffers.get_nowait()
    except queue.Empty:
        return bytearray(_HELD)


@dataclass(slots=True)
class Part:
    """The beginning of a file on disk, of one version of it, hashed as far as it goes."""

    path: Path
    facts: Path
    etag: str = ""
    total: int = 0
    hashes: Hashes = field(default_factory=Hashes)
    file: FileIO | None = None
    held: bytearray | None = None  # what came since the last hashing
    n_held: int = 0
    n_written: int = 0  # of these

    @classmethod
    def beside(cls, target: Path) -> Part:
        """The one of the download to ``target``."""
        return cls(target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.part.json"))

    def take_up(self, *, trusting_all: bool) -> None:
        """Take up what is there. Without a SHA-1 to check the whole by, only what was synced counts: a power cut can leave zeros."""
        try:
            told = json.loads(self.facts.read_bytes())
            self.etag, self.total, synced = str(told["etag"]), int(told["total"]), int(told["synced"])
            have = min(self.path.stat().st_size, self.total - 1) if trusting_all else min(self.path.stat().st_size, synced)
        except (OSError, ValueError, TypeError, KeyError):
            self.etag, have = "", 0
        self.file = FileIO(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+")
        while have > self.hashes.size and (chunk := self.file.read(min(CHUNK, have - self.hashes.size))):
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
            return PLAIN
        return {**PLAIN, "Range": f"bytes={self.hashes.size}-", "If-Range": self.etag}

    def accept(self, response: httpx.Response, what: str) -> int:
        """Make ready for this answer's bytes; returns how many it goes on from. Raises Garbled where it is not what was asked for."""
        if response.status_code == 206:
            span = SPAN.fullmatch(response.headers.get("content-range", ""))
            own = (str(self.hashes.size), str(self.total))
            if span is None or (span[1], span[3]) != own or response.headers.get("etag", self.etag) != self.etag:
                self.forget()
                raise Garbled(f"{what}: the rest was asked for, and bytes of something else came")
            return self.hashes.size
        length = response.headers.get("content-length", "")
        etag = response.headers.get("etag", "")
        keeps = length.isdigit() and etag.isascii() and etag.isprintable() and "content-encoding" not in response.headers
        self.etag, self.total = (etag, int(length)) if keeps else ("", 0)
        self.hashes = Hashes()
        self._cut()
        self._note(synced=0)
        return 0

    def write(self, chunk: bytes) -> None:
        """Append."""
        for start in range(0, len(chunk), _HELD):
            piece = chunk[start : start + _HELD]
            if self.n_held + len(piece) > _HELD:
                self.settle()
            if self.held is None:
                self.held = _buffer()
            self.held[self.n_held : self.n_held + len(piece)] = piece
            self.n_held += len(piece)
            if self.n_held - self.n_written >= CHUNK:
                self._flush()

    def _flush(self) -> None:
        assert self.file is not None
        while self.held is not None and self.n_written < self.n_held:
            self.n_written += self.file.write(memoryview(self.held)[self.n_written : self.n_held])

    def settle(self) -> None:
        """Write and hash what waits for it: in one piece, for in small ones threads would wait for Python's lock most of the time."""
        self._flush()
        if self.held is not None:
            self.hashes.update(memoryview(self.held)[: self.n_held])
            self._let_go()

    def _let_go(self) -> None:
        if self.held is not None:
            _buffers.put(self.held)
        self.held, self.n_held, self.n_written = None, 0, 0

    def digests(self, resumed: int) -> Downloaded:
        """Of all that is here."""
        self.settle()
        return self.hashes.told(resumed)

    def finish(self, target: Path) -> None:
        """The part is the whole: sync it and give it its name."""
        assert self.file is not None
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
                os.fsync(self.file.fileno())
                self._note(synced=self.hashes.size)
        except OSError:  # the error that brought us here, a full disk say, is the one to tell
            keeps = False
        finally:
            self._let_go()
            with suppress(OSError):
                self.file.close()
            self.file = None
        if not keeps:
            self.forget()

    def forget(self) -> None:
        """Nothing of it is of use."""
        self.etag, self.total, self.hashes = "", 0, Hashes()
        self._let_go()
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

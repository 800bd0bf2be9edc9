"""Immich room: the beginning of a download on disk. Touches the paths it is given.

What came of an interrupted download stays beside its target (``.NAME.part``) with the facts to go on by (``.NAME.part.json``: the
version's ETag and length, and how many of the bytes are known to be on the disk).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from .answer import Answer
from .refusals import Garbled

PLAIN = {"Accept": "*/*", "Accept-Encoding": "identity"}  # photos gain nothing, and lengths are then the file's
SPAN = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_HASHED = 1 << 20  # bytes that are hashed at once: they stay in the processor's cache for the second digest, and threads rarely meet
_WORTH = 1 << 16  # a beginning shorter than this is not kept
_own = threading.local()  # a buffer of _HASHED bytes for each thread: new ones cost as much as the hashing


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Bytes on disk and their digests (hex). ``resumed``: bytes that an earlier attempt had brought."""

    sha256: str
    sha1: str
    size: int
    resumed: int = 0


def digests(file: FileIO, resumed: int = 0) -> Downloaded:
    """Both digests of all that is in an open file, read from its beginning."""
    sha256, sha1, size = hashlib.sha256(), hashlib.sha1(usedforsecurity=False), 0  # SHA-1 is Immich's checksum, not ours
    if not hasattr(_own, "buffer"):
        _own.buffer = memoryview(bytearray(_HASHED))
    file.seek(0)
    while count := file.readinto(_own.buffer):
        sha256.update(_own.buffer[:count])
        sha1.update(_own.buffer[:count])
        size += count
    return Downloaded(sha256.hexdigest(), sha1.hexdigest(), size, resumed)


@dataclass(slots=True)
class Part:
    """The beginning of a file on disk, of one version of it. ``size``: its bytes that are here."""

    path: Path
    facts: Path
    etag: str = ""
    total: int = 0
    size: int = 0
    file: FileIO | None = None

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
        self._cut(max(have, 0))

    @property
    def wants_rest(self) -> bool:
        """Whether a beginning is here, and the version that it is of is known."""
        return bool(self.etag) and 0 < self.size < self.total

    def wanted(self) -> dict[str, str]:
        """The headers that ask for what is missing, of this version or else for the whole."""
        if not self.wants_rest:
            return PLAIN
        return {**PLAIN, "Range": f"bytes={self.size}-", "If-Range": self.etag}

    def accept(self, response: Answer, what: str) -> int:
        """Make ready for this answer's bytes; returns how many it goes on from. Raises Garbled where it is not what was asked for."""
        if response.status == 206:
            span = SPAN.fullmatch(response.headers.get("content-range", ""))
            own = (str(self.size), str(self.total))
            if span is None or (span[1], span[3]) != own or response.headers.get("etag", self.etag) != self.etag:
                self.forget()
                raise Garbled(f"{what}: the rest was asked for, and bytes of something else came")
            return self.size
        length = response.headers.get("content-length", "")
        etag = response.headers.get("etag", "")
        keeps = length.isdigit() and etag.isascii() and etag.isprintable() and "content-encoding" not in response.headers
        self.etag, self.total = (etag, int(length)) if keeps else ("", 0)
        self._cut(0)
        self._note(synced=0)
        return 0

    def write(self, chunk: bytes) -> None:
        """Append."""
        assert self.file is not None
        while chunk:
            count = self.file.write(chunk)  # a nearly full disk may take some of it
            self.size, chunk = self.size + count, chunk[count:]

    def digests(self, resumed: int) -> Downloaded:
        """Of all that is here, taken of the file: the bytes as they come would be kept, or hashed while the connection waits."""
        assert self.file is not None
        return digests(self.file, resumed)

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
            keeps = bool(self.etag) and _WORTH <= self.size < self.total
            if keeps:
                os.fsync(self.file.fileno())
                self._note(synced=self.size)
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
        self.etag, self.total, self.size = "", 0, 0
        if self.file is not None:
            self._cut(0)
        else:
            self.path.unlink(missing_ok=True)
        self.facts.unlink(missing_ok=True)

    def _cut(self, size: int) -> None:
        """Go on from so many bytes."""
        assert self.file is not None
        self.size = self.file.seek(size)
        self.file.truncate()

    def _note(self, *, synced: int) -> None:
        """Facts go beside only where there is a version to name; a torn file of facts is as good as none."""
        if not self.etag or self.total < _WORTH:
            self.facts.unlink(missing_ok=True)
            return
        data = json.dumps({"etag": self.etag, "total": self.total, "synced": synced}).encode()
        with os.fdopen(os.open(self.facts, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(data)

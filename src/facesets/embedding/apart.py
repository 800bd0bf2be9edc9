"""Embedding room: photos decoded in processes of their own, which may crash, hang or eat memory without hurting the run.

Decoders are large C libraries, and photos come from anywhere. A process that dies costs its photo one more try in a fresh one, and
then that photo alone. The processes know no key, open no file and end with this one, however it ends.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import numpy as np

from facesets.embedding.decode import Decoded, read
from facesets.embedding.memory import Room
from facesets.embedding.pixels import Pixels
from facesets.errors import FacesetsError, UnreadableImage
from facesets.records import Box, Reason

_PATIENCE: Final = 180.0  # seconds for one photo: a slow disk's swap may need some, a decoder that loops would need all
_TRIES: Final = 2
# glibc would give a photo's memory back and ask for it again, page by page: 15 of 36 ms for 12 megapixels at half size.
_MALLOC: Final = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(48 << 20)}
# The child's first words. It gets our module path, and the room's folder without the room's door: networks are none of its business.
_START: Final = """
import json, signal, sys, types
signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
sys.path[:] = json.loads(sys.argv[1])
room = sys.modules["facesets.embedding"] = types.ModuleType("facesets.embedding")
room.__path__ = [sys.argv[2]]
from facesets.embedding.apart_child import serve
serve()
"""
ASK = struct.Struct("<IQ?4d")  # shrink, bytes, whether only a part is wanted, and which
ANSWER = struct.Struct("<cQQ")  # R: refused, for what (bytes of JSON); O: opened, bytes given and taken; P: the photo follows
SHAPE = struct.Struct("<4I?4I")  # width and height as decoded and of the original, whether it is only a part, and which
PIECE = struct.Struct("<4I")  # left, top, columns, rows; no columns: the end, or as many bytes of JSON as there are rows


class Decoders:
    """As many processes as threads ask at once, started when first needed. A context manager, and a decoder like ``decode``."""

    def __init__(self, *, patience: float = _PATIENCE, room: Room | None = None) -> None:
        self._patience, self._room = patience, room or Room()
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        self._closed = False

    def __call__(self, source: bytes | Path, *, shrink: int = 1, part: Box | None = None) -> Decoded:
        """The photo in ``source``, as :func:`facesets.embedding.decode` would give it.

        Raises errors.UnreadableImage, also for what crashes a decoder; OSError where the file cannot be read; and
        errors.FacesetsError where no such process can be started.
        """
        data = source if isinstance(source, bytes) else read(source)
        died = ""
        for _ in range(_TRIES):
            child = self._taken()
            try:
                answer = child.ask(data, shrink, part, self._patience, self._room)
            except _Died as error:
                if error.late:
                    raise UnreadableImage(Reason.UNREADABLE, f"no decoder is through with it after {self._patience:g} s") from error
                died = str(error)
                continue
            except BaseException:
                child.end()
                raise
            self._give_back(child)
            if isinstance(answer, UnreadableImage):
                raise answer
            return answer
        raise UnreadableImage(Reason.UNREADABLE, f"it crashes the decoder ({died})")

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for child in idle:
            child.end()

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _taken(self) -> _Child:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Child()

    def _give_back(self, child: _Child) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(child)
                return
        child.end()


class _Died(Exception):
    """The process is gone; says how, and whether it was ended for taking too long."""

    def __init__(self, how: str, *, late: bool) -> None:
        super().__init__(how)
        self.late = late


class _Child:
    def __init__(self) -> None:
        here = Path(__file__).parent
        own = {name: value for name, value in os.environ.items() if not name.startswith("IMMICH_API_KEY")} | _MALLOC
        self._process = subprocess.Popen(  # noqa: S603 - this very interpreter, with words of ours
            [sys.executable, "-c", _START, json.dumps(sys.path), str(here)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=own,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._late = False
        ready = self._out.read(1)  # from here on the child says nothing on stderr
        said = b"" if ready == b"!" else self._process.stderr.read()
        self._process.stderr.close()
        if ready != b"!":
            self.end()
            why = (said.decode(errors="replace").strip().splitlines() or ["it ended without a word"])[-1]
            raise FacesetsError(f"photos are decoded in processes of their own, and none can be started here: {why[:300]}")

    def ask(self, data: bytes, shrink: int, part: Box | None, patience: float, room: Room) -> Decoded | UnreadableImage:
        """The photo, or what is wrong with it; its size is told first, and it is decoded once there is room. Raises _Died."""
        try:
            with self._watched(patience):
                self._in.write(ASK.pack(shrink, len(data), part is not None, *(part or (0, 0, 0, 0))))
                self._in.write(data)
                self._in.flush()
                kind, given, taken = ANSWER.unpack(_exactly(self._out, ANSWER.size))
                if kind == b"R":
                    return self._refusal(given)
            with room.taken(given, taken) as pixels, self._watched(patience):
                self._in.write(b"!")
                self._in.flush()
                kind, size, _ = ANSWER.unpack(_exactly(self._out, ANSWER.size))
                return self._refusal(size) if kind == b"R" else self._photo(pixels)
        except (OSError, EOFError, ValueError, struct.error) as error:
            raise _Died(_how(self.end()), late=self._late) from error

    def _refusal(self, size: int) -> UnreadableImage:
        reason, detail = json.loads(_exactly(self._out, size))
        return UnreadableImage(Reason(reason), str(detail))

    def _photo(self, pixels: list[Pixels]) -> Decoded | UnreadableImage:
        columns, rows, width, height, partly, *seen = SHAPE.unpack(_exactly(self._out, SHAPE.size))
        rgb = np.zeros((rows, columns, 3), np.uint8) if partly else np.empty((rows, columns, 3), np.uint8)
        while True:
            left, top, across, down = PIECE.unpack(_exactly(self._out, PIECE.size))
            if not across:
                break
            if across == columns:
                _fill(self._out, rgb[top : top + down].reshape(-1).data)
            else:
                piece = np.empty((down, across, 3), np.uint8)
                _fill(self._out, piece.reshape(-1).data)
                rgb[top : top + down, left : left + across] = piece
        if down:
            return self._refusal(down)
        pixels.append(rgb)
        return Decoded(rgb, width, height, (seen[0], seen[1], seen[2], seen[3]) if partly else None)

    @contextmanager
    def _watched(self, patience: float) -> Iterator[None]:
        watch = threading.Timer(patience, self._too_late)
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _too_late(self) -> None:
        self._late = True
        self._process.kill()

    def end(self) -> int:
        """Let the process go; returns its exit code."""
        with suppress(OSError):
            self._in.close()
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._out.close()
        return code


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _fill(stream: IO[bytes], room: memoryview) -> None:
    while room:
        got = stream.readinto(room)  # type: ignore[attr-defined]
        if not got:
            raise EOFError
        room = room[got:]


def _how(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            name = signal.Signals(-code).name
            return name + (", which most likely means: out of memory" if name == "SIGKILL" else "")
    return f"exit code {code}" if code < 256 else f"exit code 0x{code & 0xFFFFFFFF:08X}"

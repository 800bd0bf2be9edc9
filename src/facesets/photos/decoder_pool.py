"""Photos decoded in processes of their own, which may crash, hang or eat memory without hurting the run.

Decoders are large C libraries, and photos come from anywhere. A process that dies costs its photo one more try in a fresh one, and then
that photo alone. The processes know no key, open no file and end with this one, however it ends.

Plain subprocesses rather than ``multiprocessing``, ``concurrent.futures`` or ``pebble``: those start the caller's main module again,
take the environment as it is, and unpickle what comes from a process that a photo may just have taken over.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from facesets.errors import FacesetsError, UnreadableImage
from facesets.photos.decode import MAX_BYTES, MAX_PIXELS, Decoded, read
from facesets.photos.header import Header
from facesets.photos.memory import MemoryBudget
from facesets.photos.xmp_regions import NamedRegion, Regions, sidecars
from facesets.processes import child_environment
from facesets.records import Reason

Answer = TypeVar("Answer")
_TIMEOUT: Final = 180.0  # seconds for one photo: a slow disk's swap may need some, a decoder that loops would need all
_TRIES: Final = 2
_COMMAND: Final = (sys.executable, "-P", "-m", "facesets.photos.decoder_process")
# glibc would give a photo's memory back and ask for it again, page by page: 15 of 36 ms for 12 megapixels at half size.
_MALLOC: Final = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(48 << 20)}
_HEAD: Final = 8 << 20  # bytes of a JPEG that hold its header, thumbnails included
_MOST_REGIONS: Final = 4 << 20  # bytes of an answer; 500 faces with long names take a third
_LINE: Final = 4096  # bytes: no line that a decoder process says is longer


class DecoderPool:
    """As many processes as threads ask at once, started when first needed. A context manager, and a decoder like ``decode``."""

    def __init__(self, *, timeout: float = _TIMEOUT, memory: MemoryBudget | None = None) -> None:
        self._timeout, self._memory = timeout, memory or MemoryBudget()
        self._idle: list[_Process] = []
        self._lock = threading.Lock()
        self._closed = False

    def __call__(self, source: bytes | Path, *, shrink: int = 1) -> Decoded:
        """The photo in ``source``, as :func:`facesets.photos.decode` would give it.

        Raises errors.UnreadableImage, also for what crashes a decoder; OSError where the file cannot be read; and
        errors.FacesetsError where no such process can be started.
        """
        data = source if isinstance(source, bytes) else read(source)
        return self._asked(lambda process: process.decode(data, shrink, self._timeout, self._memory))

    def header(self, path: Path) -> Header:
        """What the header of the photo at ``path`` says; of a broken or foreign file, and of what crashes a decoder, nothing is known.

        Raises OSError where the file cannot be read, and errors.FacesetsError as decoding does.
        """
        try:
            with self._memory.reserved(0, 2 * min(path.stat().st_size, MAX_BYTES)):
                data = read(path)
                return self._asked(lambda process: process.header(data, self._timeout))
        except UnreadableImage:
            return Header()

    def regions(self, photo: Path) -> list[Regions]:
        """Whom a photo's sidecars and the photo itself name, in this order, without packets that name nobody; of what is broken, or
        crashes a decoder, nothing is known.

        Raises OSError where a file that is there cannot be read, and errors.FacesetsError as decoding does.
        """
        found = [*(self._regions(data, "sidecar") for data in sidecars(photo)), self.regions_within(photo)]
        return [each for each in found if each.faces]

    def regions_within(self, photo: Path) -> Regions:
        """Whom a photo itself names. Raises as :meth:`regions`."""
        with photo.open("rb") as file:
            beginning = file.read(_HEAD)
            size = photo.stat().st_size if not beginning.startswith(b"\xff\xd8") else 0  # a JPEG's packet stands before its pixels
            if size > MAX_BYTES:
                return Regions()
            with self._memory.reserved(0, 2 * max(size, _HEAD)):
                return self._regions(beginning + (file.read() if size else b""), "photo")

    def _regions(self, data: bytes, what: str) -> Regions:
        try:
            return self._asked(lambda process: process.regions(data, what, self._timeout))
        except UnreadableImage:
            return Regions()

    def _asked(self, ask: Callable[[_Process], Answer]) -> Answer:
        died = ""
        for _ in range(_TRIES):
            process = self._take()
            try:
                answer = ask(process)
            except _Died as error:
                if error.timed_out:
                    raise UnreadableImage(Reason.UNREADABLE, f"decoding it was stopped after {self._timeout:g} s") from error
                died = str(error)
                continue
            except UnreadableImage:
                self._put_back(process)
                raise
            except BaseException:
                process.end()
                raise
            self._put_back(process)
            return answer
        raise UnreadableImage(Reason.UNREADABLE, f"it crashes the decoder ({died})")

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            self._closed, idle, self._idle = True, self._idle, []
        for process in idle:
            process.end()

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self) -> _Process:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Process()

    def _put_back(self, process: _Process) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(process)
                return
        process.end()


class _Died(Exception):
    """The process is gone; says how, and whether it was ended for taking too long."""

    def __init__(self, how: str, *, timed_out: bool) -> None:
        super().__init__(how)
        self.timed_out = timed_out


class _Process:
    def __init__(self) -> None:
        self.popen = subprocess.Popen(  # noqa: S603 - this very interpreter, with a module of ours
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=child_environment(PYTHONPATH=os.pathsep.join(path or str(Path.cwd()) for path in sys.path), **_MALLOC),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )  # fmt: skip
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        assert self.popen.stderr is not None
        self._in, self._out = self.popen.stdin, self.popen.stdout
        self._timed_out = False
        ready = self._out.readline(_LINE) == b'"ready"\n'  # from here on it prints nothing on stderr
        printed = b"" if ready else self.popen.stderr.read()
        self.popen.stderr.close()
        if not ready:
            self.end()
            why = (printed.decode(errors="replace").strip().splitlines() or ["it ended without a word"])[-1]
            raise FacesetsError(f"photos are decoded in processes of their own, and none can be started here: {why[:300]}")

    def decode(self, data: bytes, shrink: int, timeout: float, memory: MemoryBudget) -> Decoded:
        """The photo, once there is memory for it. Raises UnreadableImage, and _Died."""
        try:
            with self._watched(timeout):
                self._ask(data, timeout, shrink=shrink)
                needs = self._answer()
            pixel_bytes, decoder_bytes = int(needs["pixel_bytes"]), int(needs["decoder_bytes"])
            with memory.reserved(pixel_bytes, decoder_bytes) as pixels, self._watched(timeout):
                self._in.write(b"\n")
                self._in.flush()
                head = self._answer()
                columns, rows = head["size"]
                width, height = head["original"]
                if columns * rows > 2 * MAX_PIXELS:  # LibRaw's pictures may be a little larger than their header says
                    raise EOFError(head)  # noqa: TRY301 - one way out for whatever a process may say
                rgb = np.empty((rows, columns, 3), np.uint8)
                while place := self._answer():
                    left, top, across, down = place
                    strip = rgb[top : top + down, left : left + across]
                    whole = across == columns
                    read_into = strip if whole else np.empty((down, across, 3), np.uint8)
                    self._fill(read_into.reshape(-1).data)
                    if not whole:
                        strip[:] = read_into
                pixels.append(rgb)
                return Decoded(rgb, width, height, int(head["orientation"]))
        except (OSError, EOFError, ValueError, RecursionError, TypeError, KeyError) as error:
            raise _Died(_how(self.end()), timed_out=self._timed_out) from error

    def header(self, data: bytes, timeout: float) -> Header:
        """What the photo's header says. Raises _Died."""
        try:
            with self._watched(timeout):
                self._ask(data, timeout, header=True)
                said = self._answer()
            size = said["size"] and (int(said["size"][0]), int(said["size"][1]))
            return Header(said["taken_at"] and str(said["taken_at"]), size, int(said["orientation"]))
        except (OSError, EOFError, ValueError, RecursionError, TypeError, KeyError, IndexError) as error:
            raise _Died(_how(self.end()), timed_out=self._timed_out) from error

    def regions(self, data: bytes, what: str, timeout: float) -> Regions:
        """Whom a photo or a sidecar names. Raises _Died."""
        try:
            with self._watched(timeout):
                self._ask(data, timeout, regions=what)
                count = int(self._answer()["bytes"])
                if count > _MOST_REGIONS:
                    raise EOFError(count)  # noqa: TRY301 - one way out for whatever a process may say
                said = bytearray(count)
                self._fill(memoryview(said))
            document = json.loads(said)
            size = document["size"] and (float(document["size"][0]), float(document["size"][1]))
            sides = ("left", "top", "right", "bottom")
            return Regions(
                tuple(NamedRegion(str(face["name"]), *(float(face[side]) for side in sides)) for face in document["faces"]), size
            )
        except (OSError, EOFError, ValueError, RecursionError, TypeError, KeyError, IndexError) as error:
            raise _Died(_how(self.end()), timed_out=self._timed_out) from error

    def _ask(self, data: bytes, timeout: float, **what: Any) -> None:
        self._in.write(json.dumps({**what, "size": len(data), "seconds": math.ceil(2 * timeout)}).encode() + b"\n")
        self._in.write(data)
        self._in.flush()

    def _answer(self) -> Any:
        line = self._out.readline(_LINE)
        if not line:
            raise EOFError
        answer = json.loads(line)
        if isinstance(answer, dict) and "reason" in answer:
            raise UnreadableImage(Reason(answer["reason"]), str(answer["detail"]))
        return answer

    def _fill(self, view: memoryview) -> None:
        while view:
            got = self._out.readinto(view)  # type: ignore[attr-defined]
            if not got:
                raise EOFError
            view = view[got:]

    @contextmanager
    def _watched(self, timeout: float) -> Iterator[None]:
        watch = threading.Timer(timeout, self._stop)
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _stop(self) -> None:
        self._timed_out = True
        self.popen.kill()

    def end(self) -> int:
        """Let the process go; returns its exit code."""
        with suppress(OSError):
            self._in.close()
        try:
            code = self.popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            code = self.popen.wait()
        self._out.close()
        return code


def _how(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            name = signal.Signals(-code).name
            return name + (", which most likely means: out of memory" if name == "SIGKILL" else "")
    return f"exit code {code}" if code < 256 else f"exit code 0x{code & 0xFFFFFFFF:08X}"

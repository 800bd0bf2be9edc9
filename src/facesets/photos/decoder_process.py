"""The other side of :mod:`facesets.photos.decoder_pool`: a process that gets bytes, gives pixels, and touches nothing else.

Asked with a line of JSON (``shrink``, ``size``, ``seconds``) and ``size`` bytes, it answers with a line that says how much memory the
photo needs; after an empty line it decodes, and answers with the size and then strips: a line with the place, and the strip's bytes.
``null`` ends them. An object with ``reason`` and ``detail`` in the place of any of these lines is a refusal. Asked for the ``header``
instead, it answers with one line, the header's fields. Asked for the ``regions`` of a photo or a sidecar, it answers with a line that
says how many ``bytes`` follow: the faces that are named there, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any, Final

import numpy as np

from facesets.errors import UnreadableImage
from facesets.photos.decode import open_photo
from facesets.photos.header import read_header
from facesets.photos.xmp_regions import regions_in, regions_of_photo
from facesets.records import Reason

_MEMORY: Final = 6 << 30  # bytes of address space: the largest photo that is taken needs a third of it


def serve() -> None:
    """Answer until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    _limit_memory()
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    _say(answers, "ready")
    devnull = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):  # libraries may print what they like
        os.dup2(devnull, stream)
    while line := source.readline():
        asked = json.loads(line)
        data = source.read(asked["size"])
        if len(data) < asked["size"]:
            return
        if hasattr(signal, "alarm"):
            signal.alarm(asked["seconds"])  # a decoder that loops ends even where its parent was killed
        try:
            if "header" in asked:
                _say(answers, asdict(read_header(data)))
            elif "regions" in asked:
                said = json.dumps(asdict(regions_of_photo(data) if asked["regions"] == "photo" else regions_in(data))).encode()
                _say(answers, {"bytes": len(said)}, said)
            else:
                _answer(source, answers, data, asked["shrink"])
        except UnreadableImage as error:
            _say(answers, {"reason": error.reason, "detail": error.detail})
        except MemoryError:
            _say(answers, {"reason": Reason.TOO_LARGE, "detail": f"decoding it takes more than {_MEMORY >> 30} GB of memory"})
        if hasattr(signal, "alarm"):
            signal.alarm(0)
        del data  # nothing is kept while the next photo is waited for


def _answer(source: IO[bytes], answers: IO[bytes], data: bytes, shrink: int) -> None:
    photo = open_photo(data, shrink=shrink)
    _say(answers, {"pixel_bytes": photo.pixel_bytes, "decoder_bytes": photo.decoder_bytes + 2 * len(data)})
    if not source.readline():
        return
    loaded = photo.load()
    _say(answers, {"size": loaded.size, "original": loaded.original, "orientation": loaded.orientation})
    for left, top, pixels in loaded.strips:
        _say(answers, [left, top, pixels.shape[1], pixels.shape[0]], np.ascontiguousarray(pixels).data)
    _say(answers, None)


def _say(answers: IO[bytes], what: Any, pixels: memoryview | bytes = b"") -> None:
    answers.write(json.dumps(what).encode() + b"\n")
    answers.write(pixels)
    answers.flush()


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limit, macOS none that holds
        import resource  # noqa: PLC0415

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard), hard))


if __name__ == "__main__":
    serve()

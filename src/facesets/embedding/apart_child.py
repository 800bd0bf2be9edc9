"""Embedding room: the other side of ``apart``: a process that gets bytes, gives pixels, and touches nothing else."""

from __future__ import annotations

import json
import os
import struct
import sys
from contextlib import suppress
from typing import IO, Final

import numpy as np

from facesets.embedding.decode import opened
from facesets.errors import UnreadableImage
from facesets.records import Box, Reason

_MEMORY: Final = 6 << 30  # bytes of address space: the largest photo that is taken needs a third of it
_ASK, _ANSWER, _SHAPE, _PIECE = map(struct.Struct, ("<IQ?4d", "<cQQ", "<4I?4I", "<4I"))  # as in apart


def serve() -> None:
    """Answer until the parent closes the pipe."""
    source = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    _limit_memory()
    answers.write(b"!")
    answers.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for said in (1, 2):  # libraries may say what they like
        os.dup2(nowhere, said)
    while head := source.read(_ASK.size):
        if len(head) < _ASK.size:
            return
        shrink, size, partly, *part = _ASK.unpack(head)
        data = source.read(size)
        if len(data) < size:
            return
        _answer(source, answers, data, shrink, (part[0], part[1], part[2], part[3]) if partly else None)
        answers.flush()
        del data  # nothing is kept while the next photo is waited for


def _answer(source: IO[bytes], answers: IO[bytes], data: bytes, shrink: int, part: Box | None) -> None:
    told, begun = None, False
    try:
        photo = opened(data, shrink=shrink, part=part)
        answers.write(_ANSWER.pack(b"O", photo.given, photo.taken + 2 * len(data)))
        answers.flush()
        if not source.read(1):
            return
        loaded = photo.load()
        answers.write(_ANSWER.pack(b"P", 0, 0))
        answers.write(_SHAPE.pack(*loaded.size, *loaded.original, loaded.seen is not None, *(loaded.seen or (0, 0, 0, 0))))
        begun = True
        for left, top, pixels in loaded.pieces:
            answers.write(_PIECE.pack(left, top, pixels.shape[1], pixels.shape[0]))
            answers.write(np.ascontiguousarray(pixels).data)
    except UnreadableImage as error:
        told = [str(error.reason), error.detail]
    except MemoryError:
        told = [str(Reason.TOO_LARGE), f"decoding it takes more than {_MEMORY >> 30} GB of memory"]
    text = json.dumps(told).encode() if told else b""
    if begun:
        answers.write(_PIECE.pack(0, 0, 0, len(text)))
    else:
        answers.write(_ANSWER.pack(b"R", len(text), 0))
    answers.write(text)


def _limit_memory() -> None:
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limit, macOS none that holds
        import resource  # noqa: PLC0415

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard), hard))

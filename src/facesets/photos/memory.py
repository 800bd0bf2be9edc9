"""How much memory photos may take at a time, however many workers there are. Guards one number."""

from __future__ import annotations

import ctypes
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from facesets.photos.pixels import Pixels

#: Bytes for the pixels of all photos at work and what their decoders need. One photo alone may take more.
MEMORY_BUDGET: Final = 400 << 20
#: Workers where nobody says how many; each takes 100 MB with its networks and its decoder. With :data:`MEMORY_BUDGET` and a pack of
#: buffalo_l's size that stays below 1.5 GB, which benchmarks/memory.py measures.
WORKERS: Final = 6
_LARGE: Final = 128 << 20


def trim() -> None:
    """Give back what the C library keeps for later, where it does: of loading a network it is as much as the network twice over."""
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # a C library that keeps nothing
            ctypes.CDLL(None).malloc_trim(0)


class MemoryBudget:
    """Memory for photos: who comes when it is full waits, in the order of coming.

    A thread that holds a photo already never waits, since others may be waiting for that one.
    """

    def __init__(self, size: int = MEMORY_BUDGET) -> None:
        self._size = size
        self._held: Counter[int] = Counter()  # by thread
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextmanager
    def reserved(self, pixel_bytes: int, decoder_bytes: int) -> Iterator[list[Pixels]]:
        """Memory for a photo: ``decoder_bytes`` as long as the block lasts, ``pixel_bytes`` for as long as the pixels live that the
        block puts into the list."""
        thread = threading.get_ident()
        self._reserve(thread, pixel_bytes + decoder_bytes)
        result: list[Pixels] = []
        try:
            yield result
        finally:
            self._release(thread, decoder_bytes if result else pixel_bytes + decoder_bytes)
            if result:
                weakref.finalize(result[0], self._release, thread, pixel_bytes).atexit = False

    def _reserve(self, thread: int, size: int) -> None:
        if self._held[thread]:
            with self._changed:
                self._held[thread] += size
            return
        with self._turn, self._changed:
            self._changed.wait_for(lambda: not self._held.total() or self._held.total() + size <= self._size)
            self._held[thread] += size
        if size > _LARGE:
            trim()

    def _release(self, thread: int, size: int) -> None:
        with self._changed:
            self._held[thread] -= size
            if not self._held[thread]:
                del self._held[thread]
            self._changed.notify_all()

"""Embedding room: a JPEG that is decoded only as far down as somebody looks. Pure: bytes in, bytes out; decodes no pixel.

A JPEG's rows are coded one after the other, and finding a row means going through all before it. The header says how many there
are: a decoder that is shown a header with fewer stops there, and the half of a photo below its last face costs nothing.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Final

from PIL import Image

from facesets.embedding.pixels import Rect, upright
from facesets.records import Box

_FRAME, _OTHER_FRAMES = (0xC0, 0xC1), (0xC2, 0xC3, *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_SCAN, _EXIF, _END = 0xDA, 0xE1, b"\xff\xd9"
_ORIENTATION: Final = 274
_MARGIN: Final = 16  # rows: what is made of the last ones depends on those below


@dataclass(frozen=True, slots=True)
class Frame:
    """A JPEG whose rows come from top to bottom: its size as stored, its EXIF orientation, and where its height is written."""

    columns: int
    rows: int
    orientation: int
    place: int

    def shown(self, part: Box, shrink: int) -> Rect:
        """Where ``part`` (oriented original pixels) lies in the oriented photo decoded at ``1 / shrink``."""
        sizes = upright((self.columns, self.rows), self.orientation), upright(self.shrunk(shrink), self.orientation)
        x1, x2 = (min(max(side * sizes[1][0] / sizes[0][0], 0), sizes[1][0]) for side in (part[0], part[2]))
        y1, y2 = (min(max(side * sizes[1][1] / sizes[0][1], 0), sizes[1][1]) for side in (part[1], part[3]))
        return int(x1), int(y1), math.ceil(x2), math.ceil(y2)

    def shrunk(self, shrink: int) -> tuple[int, int]:
        """Columns and rows as stored, decoded at ``1 / shrink``."""
        return -(-self.columns // shrink), -(-self.rows // shrink)

    def down_to(self, row: int, shrink: int) -> int:
        """How many rows of the file it takes for ``row`` rows of the photo decoded at ``1 / shrink``."""
        return min(row * shrink + _MARGIN, self.rows)

    def cut(self, data: bytes, rows: int) -> bytes:
        """``data``, whose header says that there are ``rows`` rows."""
        return b"".join((data[: self.place], rows.to_bytes(2, "big"), data[self.place + 2 :]))


def frame(data: bytes) -> Frame | None:
    """What there is to know of the JPEG in ``data``; None where it cannot be cut: no JPEG, progressive, in several scans, cut off."""
    try:
        return _frame(data)
    except (IndexError, struct.error):
        return None


def _frame(data: bytes) -> Frame | None:
    if data[:3] != b"\xff\xd8\xff":
        return None
    at, size, exif = 2, None, b""
    while True:
        while data[at] == data[at + 1] == 0xFF:
            at += 1
        start, marker, length = data[at], data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if start != 0xFF or marker in _OTHER_FRAMES or length < 2:
            return None
        if marker == _EXIF and data.startswith(b"Exif\0\0", at + 4) and not exif:
            exif = data[at + 4 : at + 2 + length]
        elif marker in _FRAME:
            size = (*struct.unpack_from(">HHB", data, at + 5), at + 5)
        elif marker == _SCAN:
            if size is None or 0 in size or data[at + 4] != size[2] or data.rfind(_END, at + length) < 0:
                return None
            return Frame(size[1], size[0], _orientation(exif), size[3])
        at += 2 + length


def _orientation(exif: bytes) -> int:
    tags = Image.Exif()
    try:
        tags.load(exif)
        value = tags.get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - a photo with damaged EXIF is still a photo
        return 1
    return value if value in range(1, 9) else 1

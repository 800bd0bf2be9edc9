"""Photos that are cheap to make and never alike."""

from __future__ import annotations

import io

from PIL import Image

from facesets.testing import Box

BIG = Box(10, 10, 150, 160)
SMALL = Box(10, 10, 50, 160)  # 40 px wide


def photo(number: int, width: int = 400, height: int = 300, *, orientation: int | None = None) -> bytes:
    """A JPEG whose bytes tell ``number``."""
    out, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", (width, height), (number % 256, number // 256, 7)).save(out, "JPEG", exif=exif, comment=str(number).encode())
    return out.getvalue()

"""Embedding room: what a decoder gives as upright RGB of 8 bit, piece by piece. Pure: images in, arrays out.

A photo of 100 megapixels fills 400 MB in its decoder; its conversions, done for all of it at once, would take three times that again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Rect = tuple[int, int, int, int]  # left, top, right, bottom
Piece = tuple[int, int, Pixels]  # left, top, and what lies there

TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MIRRORED: Final = (2, 3, 7, 8)  # orientations whose columns are stored from right to left
_UPENDED: Final = (3, 4, 6, 7)  # and whose rows are stored from the bottom up
_LYING: Final = 5  # from here on rows are stored as columns
_ORIENTATION: Final = 274  # EXIF tag
PIECE: Final = 1 << 22  # pixels: 12 megapixels at half size are one piece


def orientation(image: Image.Image) -> int:
    """The EXIF orientation of ``image``, 1 to 8."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - a photo with damaged EXIF is still a photo
        return 1
    return value if value in TURNS else 1


def upright(size: tuple[int, int], turn: int) -> tuple[int, int]:
    """Width and height of a photo of ``size`` as stored, when it is shown; and the other way round."""
    return size if turn < _LYING else size[::-1]


def shown(rect: Rect, size: tuple[int, int], turn: int) -> Rect:
    """Where ``rect`` of a photo of ``size`` as stored is to be seen when the photo is shown upright."""
    rect = _mirrored(rect, size, turn)
    return rect if turn < _LYING else (rect[1], rect[0], rect[3], rect[2])


def stored(rect: Rect, size: tuple[int, int], turn: int) -> Rect:
    """Where ``rect`` of the upright photo lies in the one that is stored in ``size``."""
    return _mirrored(rect if turn < _LYING else (rect[1], rect[0], rect[3], rect[2]), size, turn)


def _mirrored(rect: Rect, size: tuple[int, int], turn: int) -> Rect:
    left, top, right, bottom = rect
    if turn in _MIRRORED:
        left, right = size[0] - right, size[0] - left
    if turn in _UPENDED:
        top, bottom = size[1] - bottom, size[1] - top
    return left, top, right, bottom


def pieces(image: Image.Image, turn: int, rect: Rect | None = None, size: tuple[int, int] | None = None) -> Iterator[Piece]:
    """``image``, or ``rect`` of it as stored, in pieces with their places in the upright photo; ``size`` where more is stored."""
    left, top, right, bottom = rect or (0, 0, *image.size)
    together = image.mode in ("I", "F")  # whose brightest pixel says what white is
    rows = bottom - top if together else max(1, PIECE // max(1, right - left))
    for start in range(top, bottom, rows):
        part = (left, start, right, min(start + rows, bottom))
        some = image if part == (0, 0, *image.size) else image.crop(part)
        pixels = _eight_bit_rgb(some)
        if turn in TURNS:
            pixels = np.asarray(Image.fromarray(pixels).transpose(TURNS[turn]))
        place = shown(part, size or image.size, turn)
        yield place[0], place[1], pixels


def _eight_bit_rgb(image: Image.Image) -> Pixels:
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16) >> 8  # convert("RGB") would cut off at 255
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        grey = np.asarray(image, np.float64)
        top = float(np.nanmax(grey, initial=0))
        full = next((full for full in (1.0, 255.0, 65535.0) if top <= full), top)
        grey = np.nan_to_num(np.clip(grey, 0, full) * (255.0 / full))
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, (255, 255, 255))
        image.paste(layer, mask=layer.getchannel("A"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))  # a copy costs as much as decoding at half size

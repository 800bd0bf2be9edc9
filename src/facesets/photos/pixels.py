"""What a decoder gives as upright sRGB of 8 bit, strip by strip. Pure: images in, arrays out.

A photo of 100 megapixels fills 400 MB in its decoder; its conversions, done for all of it at once, would take three times that again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from facesets.photos.coded_colour import ColourSpace
from facesets.photos.colour import as_srgb

Pixels = npt.NDArray[np.uint8]
Strip = tuple[int, int, Pixels]  # left, top, and what lies there

TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LAST_ROW_FIRST: Final = (3, 4, 6, 7)  # orientations whose rows are stored from the bottom up
_LYING: Final = 5  # from here on rows are stored as columns
_ORIENTATION: Final = 274  # EXIF tag
_WHITES: Final = (1.0, 255.0, 65535.0)
_NOT_HIGHLIGHTS: Final = 0.95  # share of the pixels
STRIP: Final = 1 << 22  # pixels: 12 megapixels at half size are one strip


@dataclass(frozen=True, slots=True)
class Encoding:
    """How stored values are meant: bits of a grey value in mode I;16, whether 0 is white, the ICC profile or colour space, whether a
    fourth value is no transparency, and whether whole numbers of 32 bit have a sign.
    """

    bits: int = 16
    white_is_zero: bool = False
    profile: bytes | ColourSpace | None = None
    opaque: bool = False
    signed: bool = False


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


def strips(image: Image.Image, turn: int, encoding: Encoding) -> Iterator[Strip]:
    """``image``, whose EXIF orientation is ``turn``, in strips with their places in the upright photo."""
    width, height = image.size
    rows = height if image.mode in ("I", "F") else max(1, STRIP // max(1, width))  # these need their brightest pixel to know white
    for top in range(0, height, rows):
        end = min(top + rows, height)
        pixels = _eight_bit_rgb(image if end - top == height else image.crop((0, top, width, end)), encoding)
        if turn in TURNS:
            pixels = np.asarray(Image.fromarray(pixels).transpose(TURNS[turn]))
        place = height - end if turn in _LAST_ROW_FIRST else top
        yield (place, 0, pixels) if turn >= _LYING else (0, place, pixels)


def _eight_bit_rgb(image: Image.Image, encoding: Encoding) -> Pixels:
    if image.mode.startswith("I;16"):
        # convert("RGB") would cut off at 255
        return _grey(np.asarray(image, np.float64) // 2 ** max(encoding.bits - 8, 0), encoding)
    if image.mode in ("I", "F"):
        whole, values = image.mode == "I", np.asarray(image)
        grey = np.nan_to_num((values.view(np.uint32) if whole and not encoding.signed else values).astype(np.float64), posinf=np.inf)
        full = _white(grey, whole)
        return _grey(np.clip(grey, 0, full) * (255.0 / full), encoding)
    if encoding.opaque:
        image = image.convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, (255, 255, 255))
        image.paste(layer, mask=layer.getchannel("A"))
    image = as_srgb(image.convert("RGB") if image.mode in ("P", "1") else image, encoding.profile)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))  # a copy costs as much as decoding at half size


def _white(grey: npt.NDArray[np.float64], whole: bool) -> float:
    """Which of the usual values is white: that which hardly any pixel is above. Highlights of HDR go beyond it, and are cut off."""
    if whole and grey.max(initial=0) > _WHITES[-1]:
        return float(np.iinfo(np.uint32).max)
    bright = float(np.quantile(grey, _NOT_HIGHLIGHTS)) if grey.size else 0.0
    return next((white for white in _WHITES if bright <= white), bright)


def _grey(values: npt.NDArray[np.float64], encoding: Encoding) -> Pixels:
    grey = np.minimum(values, 255).astype(np.uint8)
    return np.repeat((255 - grey if encoding.white_is_zero else grey)[..., None], 3, axis=2)

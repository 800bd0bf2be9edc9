"""Small pictures for the report, as data: URIs. Reads photos and crops."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ...embedding.decode import decode
from ...errors import UnreadableImage
from ...records import Face
from .. import crops

SMALL, LARGE = 112, 320
_COLOURS = 5  # a blurred face is 5 x 5 colours: no feature of it is left


def picture(path: Path, size: int, *, blur: bool) -> str | None:
    """The picture at ``path`` as a square tile, or None where it cannot be read."""
    try:
        with Image.open(path) as image:
            short = min(image.size)
        rgb = decode(path, shrink=_shrink(short / size)).rgb
    except (OSError, ValueError, UnreadableImage, Image.DecompressionBombError):
        return None
    # of an upright photo the upper part: that is where faces are
    return _uri(ImageOps.fit(Image.fromarray(rgb), (size, size), Image.Resampling.LANCZOS, centering=(0.5, 0.2)), blur=blur)


def face(path: Path, of: Face, size: int, *, margin: float, blur: bool) -> str | None:
    """A face cut out of its photo as a tile, or None where the photo cannot be read."""
    try:
        photo = decode(path, shrink=_shrink(of.face_short * (1 + margin) / size))
    except (OSError, UnreadableImage):
        return None
    landmarks = (np.array(of.landmarks) + 0.5) * photo.scale - 0.5
    return _uri(Image.fromarray(crops.crop(photo.rgb, landmarks, size, margin)), blur=blur)


def _shrink(room: float) -> int:
    """The largest shrinking at decoding that leaves a tile's worth of pixels."""
    return max(s for s in (1, 2, 4, 8) if s == 1 or room >= s)


def _uri(image: Image.Image, *, blur: bool) -> str:
    if blur:
        image = image.resize((_COLOURS, _COLOURS), Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=76, method=4)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode("ascii")

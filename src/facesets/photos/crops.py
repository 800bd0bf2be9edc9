"""A face cut out of its photo, upright and with room around it. Pure: arrays in, arrays and bytes out.

One similarity transform brings the five landmarks onto ArcFace's template, enlarged to the crop and moved inwards by the
margin. Large faces are shrunk by area first, so that no pixel of the photo is skipped; small ones are enlarged bicubically.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from facesets.photos.align import ARCFACE_112, similarity

Pixels = npt.NDArray[np.uint8]


def template(size: int, margin: float) -> npt.NDArray[np.float64]:
    """Where the landmarks lie in a crop of ``size`` pixels: float64 [5, 2].

    ``margin`` is the room around ArcFace's 112 px square, half of it on each side, as a share of that square.
    """
    scale = size / (112 * (1 + margin))
    # pixel centres: the square's middle (55.5) falls on the crop's middle
    return (ARCFACE_112 - 55.5) * scale + (size - 1) / 2


def crop(rgb: Pixels, landmarks: npt.ArrayLike, size: int, margin: float) -> Pixels:
    """The face with these five ``landmarks`` (x, y in pixels of ``rgb`` [h, w, 3]) as uint8 [size, size, 3].

    What lies beyond the photo's edge is the edge's colour, blurred: no black wedge, and no mirrored second face.
    """
    import cv2  # noqa: PLC0415 - a decoder, and whoever only lists or reads, does without its 17 MB

    (matrix,) = similarity(landmarks, template(size, margin))
    part, matrix = _seen(rgb, matrix, size)
    cut = cv2.warpAffine(part, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.full(part.shape[:2], 255, np.uint8), matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=0)
    return np.asarray(cut, np.uint8) if inside.min() == 255 else _filled(cut, inside, size)


def encode(rgb: Pixels) -> bytes:
    """``rgb`` as PNG: the same pixels give the same bytes, without times or profiles."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "PNG", compress_level=4)
    return out.getvalue()


def _seen(rgb: Pixels, matrix: npt.NDArray[np.float64], size: int) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """The part of the photo that the crop sees, never larger than the crop needs, and the matrix that fits it."""
    import cv2  # noqa: PLC0415 - a decoder, and whoever only lists or reads, does without its 17 MB

    height, width = rgb.shape[:2]
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float64)
    seen = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    low = np.clip(np.floor(seen.min(axis=0)).astype(int) - 4, 0, [width - 1, height - 1])
    high = np.clip(np.ceil(seen.max(axis=0)).astype(int) + 4, low + 1, [width, height])
    part = rgb[low[1] : high[1], low[0] : high[0]]
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 1:
        shape = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
        small = np.asarray(cv2.resize(part, shape, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        small = np.ascontiguousarray(part)
    grow = np.array([part.shape[1] / small.shape[1], part.shape[0] / small.shape[0]])
    # pixel centres: x_photo + .5 = low + grow * (x_small + .5)
    shift = matrix[:, 2] + matrix[:, :2] @ (low + grow * 0.5 - 0.5)
    return small, np.column_stack([matrix[:, :2] * grow, shift])


def _filled(cut: Pixels, inside: Pixels, size: int) -> Pixels:
    """``cut`` with what is not ``inside`` the photo blurred, the more the farther out, so that the edge cannot be seen."""
    import cv2  # noqa: PLC0415 - a decoder, and whoever only lists or reads, does without its 17 MB

    soft = cv2.GaussianBlur(cut, (0, 0), size / 24)
    depth = cv2.distanceTransform((inside < 255).astype(np.uint8), cv2.DIST_L2, 5) / (size / 16)
    share = np.minimum(depth, 1.0)[..., None]
    return np.asarray(np.rint(cut * (1 - share) + soft * share), np.uint8)

"""Faces brought to one pose. Pure: arrays in, arrays out.

A face's five landmarks (eyes, nose, mouth corners; image left first) are mapped onto a template by the similarity (turn,
scale, shift) that is nearest in least squares: S. Umeyama, "Least-squares estimation of transformation parameters between
two point patterns", IEEE PAMI 13(4), 1991. In the plane it is one complex division, which never mirrors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]

#: InsightFace's ArcFace template for a chip of 112 x 112 pixels.
ARCFACE_112: Points = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])

#: Where CenterFace's landmarks lie on dlib's chips of 150 x 150 pixels (dlib cuts them by landmarks of its own).
DLIB_150: Points = np.array([[47.12, 50.02], [103.07, 49.37], [74.54, 77.52], [50.71, 104.04], [97.48, 103.37]])


def similarity(landmarks: npt.ArrayLike, template: Points) -> Points:
    """The similarity that brings ``landmarks`` [k, 5, 2] onto ``template`` [5, 2], as matrices float64 [k, 2, 3].

    Landmarks that all lie on one point have no scale; their matrix shows that point, unscaled, at the template's centre.
    """
    points = np.asarray(landmarks, np.float64).reshape(-1, len(template), 2)
    source, target = points[..., 0] + 1j * points[..., 1], template[:, 0] + 1j * template[:, 1]
    from_centre, to_centre = source.mean(axis=1, keepdims=True), target.mean()
    spread = (np.abs(source - from_centre) ** 2).sum(axis=1)
    turn = np.ones(len(points), np.complex128)
    np.divide(((source - from_centre).conj() * (target - to_centre)).sum(axis=1), spread, out=turn, where=spread > 0)
    shift = to_centre - turn * from_centre[:, 0]
    rows = [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]
    return np.moveaxis(np.array(rows), 2, 0)


def chips(rgb: Pixels, landmarks: npt.ArrayLike, template: Points, size: int, *, smooth: bool = False) -> Pixels:
    """The faces cut out of ``rgb`` [h, w, 3] in the template's pose: uint8 [k, size, size, 3], black beyond the photo's edge.

    Sampled bilinearly, as InsightFace does. ``smooth`` shrinks large faces in halves first, so that no pixel is skipped.
    """
    import cv2  # noqa: PLC0415 - a decoder, and whoever only lists or reads, does without its 17 MB

    cut = []
    for whole in similarity(landmarks, template):
        photo, matrix = rgb, whole
        while smooth and 0 < np.hypot(matrix[0, 0], matrix[1, 0]) <= 0.5:
            photo, matrix = _halved(photo, matrix, size)
        cut.append(cv2.warpAffine(photo, matrix, (size, size), flags=cv2.INTER_LINEAR, borderValue=0))
    return np.stack(cut) if cut else np.zeros((0, size, size, 3), np.uint8)


def _halved(photo: Pixels, matrix: Points, size: int) -> tuple[Pixels, Points]:
    """The part of ``photo`` that the chip sees at half its size, and the matrix that fits it."""
    import cv2  # noqa: PLC0415 - a decoder, and whoever only lists or reads, does without its 17 MB

    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float64)
    seen = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    low = np.clip(np.floor(seen.min(axis=0)).astype(int) - 2, 0, [photo.shape[1] - 1, photo.shape[0] - 1]) // 2 * 2
    high = np.clip(np.ceil(seen.max(axis=0)).astype(int) + 2, low + 1, [photo.shape[1], photo.shape[0]])
    part = photo[low[1] : high[1], low[0] : high[0]]
    half = cv2.resize(part, (max(1, part.shape[1] // 2), max(1, part.shape[0] // 2)), interpolation=cv2.INTER_AREA)
    grow = np.array([part.shape[1] / half.shape[1], part.shape[0] / half.shape[0]])
    turned = matrix[:, :2] * grow
    # pixel centres: x_photo + .5 = low + grow * (x_half + .5)
    moved = matrix[:, 2] + matrix[:, :2] @ (low + grow * 0.5 - 0.5)
    return np.asarray(half, np.uint8), np.column_stack([turned, moved])

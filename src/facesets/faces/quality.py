"""What tells a good picture of a face from a bad one. Pure: arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from facesets.photos import ARCFACE_112, Pixels, chips, crops, similarity
from facesets.records import Box

# A head's five landmarks in millimetres (x to the image's right, y down, z towards the camera): mean adult proportions; the
# angles below are for sorting photos, not for measuring heads.
_HEAD = np.array([[-32.0, -30, 0], [32, -30, 0], [0, 8, 32], [-25, 42, 6], [25, 42, 6]])
_FACE = (slice(28, 104), slice(20, 92))  # of a chip of 112 pixels: brows to chin, without hair and background


def quality(rgb: Pixels, landmarks: npt.ArrayLike) -> list[dict[str, float]]:
    """For each face at ``landmarks`` [k, 5, 2] its ``sharpness``, ``exposure``, ``clipped``, ``yaw``, ``pitch`` and ``roll``."""
    points = np.asarray(landmarks, np.float64).reshape(-1, 5, 2)
    return [
        {"sharpness": sharpness(chip), **exposure(chip), **pose(five)}
        for chip, five in zip(chips(rgb, points, ARCFACE_112, 112, smooth=True), points, strict=True)
    ]


def sharpness(chip: Pixels) -> float:
    """Variance of the Laplacian over variance of the grey values, times 1000, on the face's part of an aligned 112 px chip.

    The chip makes it independent of the face's size in the photo (an enlarged small face counts as blurred, as it should), and
    the division makes it independent of contrast and light. About 100 is crisp, below about 10 is visibly blurred.
    """
    grey = cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY)[_FACE].astype(np.float64)
    spread = float(grey.var())
    return round(1000 * float(cv2.Laplacian(grey, cv2.CV_64F)[1:-1, 1:-1].var()) / spread, 3) if spread > 1 else 0.0


def exposure(chip: Pixels) -> dict[str, float]:
    """``exposure``: the mean brightness, 0 black to 1 white; ``clipped``: the share of pixels that are black or white."""
    grey = cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY)[_FACE]
    lost = int(np.count_nonzero((grey <= 5) | (grey >= 250))) / grey.size
    return {"exposure": round(float(grey.mean()) / 255, 4), "clipped": round(lost, 4)}


def pose(landmarks: npt.NDArray[np.float64]) -> dict[str, float]:
    """``yaw`` (positive: turned to the image's right), ``pitch`` (positive: down), ``roll`` (clockwise), in degrees, roughly.

    A scaled orthographic camera fitted to the five landmarks [5, 2] in least squares.
    """
    model, seen = _HEAD - _HEAD.mean(axis=0), landmarks - landmarks.mean(axis=0)
    rows = np.linalg.lstsq(model, seen, rcond=None)[0].T
    lengths = np.linalg.norm(rows, axis=1)
    if not np.all(lengths > 1e-9):
        return {"yaw": 0.0, "pitch": 0.0, "roll": 0.0}
    u, _, v = np.linalg.svd(rows, full_matrices=False)  # the nearest pair of orthogonal rows
    right, down = u @ v
    ahead = np.cross(right, down)
    return {
        "yaw": round(float(np.degrees(np.arcsin(np.clip(right[2], -1, 1)))), 2),
        "pitch": round(float(np.degrees(np.arctan2(down[2], ahead[2]))), 2),
        "roll": round(float(np.degrees(np.arctan2(down[0], right[0]))), 2),
    }


def overlaps(boxes: list[Box]) -> list[float]:
    """For each box the largest share of it that another box covers, 0 to 1."""
    shares = []
    for i, (ax1, ay1, ax2, ay2) in enumerate(boxes):
        area = max((ax2 - ax1) * (ay2 - ay1), 1e-9)
        covered = [
            max(0.0, min(ax2, bx2) - max(ax1, bx1)) * max(0.0, min(ay2, by2) - max(ay1, by1)) / area
            for j, (bx1, by1, bx2, by2) in enumerate(boxes)
            if j != i
        ]
        shares.append(round(max(covered, default=0.0), 4))
    return shares


def others_in_crop(boxes: Sequence[Box], landmarks: npt.ArrayLike, margin: float) -> list[int]:
    """For each face how many of the other faces have the middle of their box inside its crop.

    The crop is the turned square that :func:`facesets.photos.crops.crop` cuts for the landmarks [k, 5, 2] with this ``margin``.
    """
    points = np.asarray(landmarks, np.float64).reshape(-1, 5, 2)
    middles = np.array([((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes]).reshape(-1, 2)
    counts = []
    for i, matrix in enumerate(similarity(points, crops.template(112, margin))):
        inside = np.abs(middles @ matrix[:, :2].T + matrix[:, 2] - 55.5).max(axis=1, initial=0) <= 56
        counts.append(int(np.count_nonzero(inside) - inside[i]))
    return counts

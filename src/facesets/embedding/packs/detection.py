"""Embedding room: what every detector needs: a canvas to look at, and one box per face. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facesets.records import Box

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Detection:
    """A face found in a photo, in that photo's pixels. ``landmarks``: eyes, nose, mouth corners, image left first."""

    box: Box
    score: float
    landmarks: tuple[tuple[float, float], ...]


def detections(boxes: Floats, scores: Floats, landmarks: Floats, *, overlap: float) -> list[Detection]:
    """Candidates ([n, 4], [n], [n, 5, 2]) as detections, best first; of those that overlap more than ``overlap`` the best."""
    kept = suppressed(boxes, scores, overlap)
    return [
        Detection((x1, y1, x2, y2), float(scores[i]), tuple((x, y) for x, y in landmarks[i].tolist()))
        for i in kept
        for x1, y1, x2, y2 in [boxes[i].tolist()]
    ]


def suppressed(boxes: Floats, scores: Floats, overlap: float) -> list[int]:
    """Greedy non-maximum suppression as InsightFace does it (areas count both edge pixels); indices, best score first."""
    x1, y1, x2, y2 = boxes.T
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while left.size:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        width = np.maximum(0, np.minimum(x2[best], x2[left]) - np.maximum(x1[best], x1[left]) + 1)
        height = np.maximum(0, np.minimum(y2[best], y2[left]) - np.maximum(y1[best], y1[left]) + 1)
        shared = width * height
        left = left[shared / (areas[best] + areas[left] - shared) <= overlap]
    return kept


def letterboxed(rgb: Pixels, width: int, height: int, *, grid: int = 0) -> tuple[Pixels, float]:
    """``rgb`` scaled to fit ``width x height``, black at the right and below, and the scale.

    With ``grid`` the canvas ends at the next multiple of it instead of at the full size.
    """
    ratio = rgb.shape[0] / rgb.shape[1]
    if ratio > height / width:
        fit_height, fit_width = height, max(1, int(height / ratio))
    else:
        fit_width, fit_height = width, max(1, int(width * ratio))
    if grid:
        width, height = -(-fit_width // grid) * grid, -(-fit_height // grid) * grid
    canvas = np.zeros((height, width, 3), np.uint8)
    canvas[:fit_height, :fit_width] = cv2.resize(rgb, (fit_width, fit_height))
    return canvas, fit_height / rgb.shape[0]


def as_input(pixels: Pixels, mean: float = 0.0, std: float = 1.0) -> Floats:
    """Pixels [h, w, 3] or [n, h, w, 3] as a network's input float32 [n, 3, h, w]: ``(pixel - mean) / std``."""
    images = pixels[None] if pixels.ndim == 3 else pixels
    blob = cv2.dnn.blobFromImages(list(images), 1.0 / std, mean=(mean, mean, mean), swapRB=False)
    return np.asarray(blob, np.float32)

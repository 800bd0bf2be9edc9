"""What every detector needs: a canvas to scan, and one box per face. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from facesets.records import Box

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: What a network sees in a canvas [h, w, 3]: scores [n], boxes [n, 4], landmarks [n, 5, 2], in the canvas's pixels.
Candidates = tuple[Floats, Floats, Floats]

# A window shows this much around a known box: a share of its size, at least so many pixels of the canvas. benchmarks/fast_path.py
# measures what it costs in likeness to the whole canvas.
_CONTEXT_SHARE, _CONTEXT_PIXELS = 0.5, 32
_GRID = 32  # the coarsest stride of the detectors: windows on it see the same pixels in the same places as the whole canvas
_SMALL = 160 * 160  # a canvas that is cheaper to scan as a whole
_LEAST = 16  # pixels: a face with less than SCRFD's smallest anchor is not to be found
_SAME = 0.3  # intersection over union of a known box and the face found there
_ELONGATED = 2.5  # long side over short side; screens of phones have up to 2.4
_PART = 2  # short sides: how long a part of such a picture is; parts overlap by one, so that each face is whole in one of them
_SHORTEST_PART = 640  # pixels: a thin strip is not cut into many


@dataclass(frozen=True, slots=True)
class Detection:
    """A face found in a photo, in that photo's pixels. ``landmarks``: eyes, nose, mouth corners, image left first."""

    box: Box
    score: float
    landmarks: tuple[tuple[float, float], ...]


def scan(
    rgb: Pixels,
    sizes: Iterable[tuple[int, int]],
    see: Callable[[Pixels], Candidates],
    *,
    overlap: float,
    grid: int = 0,
    regions: Sequence[Box] | None = None,
) -> list[Detection]:
    """Faces that ``see`` finds in ``rgb`` [h, w, 3], scaled to each of ``sizes`` (width, height); best first.

    With ``regions``, boxes in the photo's pixels, large canvases are scanned around these only, as far as that is less work: in
    the same scale and on the same grid, so the network sees there what it would have seen in the whole. Canvases in which none
    of these boxes has pixels enough are left out.
    """
    found: list[Candidates] = []
    for width, height in _worth(list(sizes), max(rgb.shape[:2]), regions):
        canvas, scale = letterboxed(rgb, width, height, grid=grid)
        for (x1, y1, x2, y2), known in _windows(canvas.shape[1], canvas.shape[0], scale, regions):
            scores, boxes, landmarks = see(canvas[y1:y2, x1:x2])
            boxes, landmarks = boxes + np.array([x1, y1, x1, y1], np.float32), landmarks + np.array([x1, y1], np.float32)
            if known:
                its = np.array([same_face(box, known) for box in boxes.tolist()], bool)
                scores, boxes, landmarks = scores[its], boxes[its], landmarks[its]
            found.append((scores, (boxes / scale).astype(np.float32), (landmarks / scale).astype(np.float32)))
    scores, boxes, landmarks = (np.concatenate([part[i] for part in found]) for i in range(3))
    return detections(boxes, scores, landmarks, overlap=overlap)


def is_elongated(width: int, height: int) -> bool:
    """Whether a picture is so far from square that its faces are lost where all of it is scaled to a detector's canvas."""
    return max(width, height) > _ELONGATED * min(width, height)


def detect_in_parts(rgb: Pixels, detect: Callable[[Pixels], list[Detection]]) -> list[Detection]:
    """Faces that ``detect`` finds in ``rgb`` [h, w, 3], best first; in an elongated picture also in its overlapping parts.

    A face that a part cuts is left to the neighbour that shows all of it. Of several sightings of one face the best scored stays.
    """
    found = detect(rgb)
    height, width = rgb.shape[:2]
    if not is_elongated(width, height):
        return found
    along, long, short = (0, width, height) if width > height else (1, height, width)
    length = max(_PART * short, _SHORTEST_PART)
    for start in range(0, max(long - short, 1), length - short):
        end = min(start + length, long)
        part = rgb[:, start:end] if along == 0 else rgb[start:end]
        for face in detect(np.ascontiguousarray(part)):
            low, high = face.box[along], face.box[along + 2]
            if (low > 1 or start == 0) and (high < end - start - 1 or end == long):
                found.append(moved(face, (start, 0) if along == 0 else (0, start)))
    found.sort(key=lambda face: (-face.score, face.box))
    kept: list[Detection] = []
    for face in found:
        if not any(same_face(face.box, other.box) for other in kept):
            kept.append(face)
    return kept


def moved(face: Detection, by: tuple[int, int]) -> Detection:
    """A face found in a part of a photo, in the photo's pixels; ``by``: where the part begins, across and down."""
    x1, y1, x2, y2 = face.box
    landmarks = tuple((x + by[0], y + by[1]) for x, y in face.landmarks)
    return Detection((x1 + by[0], y1 + by[1], x2 + by[0], y2 + by[1]), face.score, landmarks)


def same_face(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether two boxes show one face: their intersection is at least .3 of their union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return False
    shared = width * height
    return shared >= _SAME * ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def _worth(sizes: list[tuple[int, int]], longest: int, regions: Sequence[Box] | None) -> list[tuple[int, int]]:
    """The canvases to scan for a photo whose long side is ``longest``: the last, and all in which a known face is to be seen."""
    largest = max((max(x2 - x1, y2 - y1) for x1, y1, x2, y2 in regions or ()), default=np.inf)
    return [size for size in sizes if size == sizes[-1] or largest * max(size) / longest >= _LEAST]


def _windows(
    width: int, height: int, scale: float, regions: Sequence[Box] | None
) -> Iterator[tuple[tuple[int, int, int, int], Box | None]]:
    """Parts of a canvas to scan, each with the known box that it is for; the whole canvas where that is no more work."""
    parts = []
    for box in regions or ():
        x1, y1, x2, y2 = (side * scale for side in box)
        context = max(_CONTEXT_PIXELS, _CONTEXT_SHARE * max(x2 - x1, y2 - y1))
        low = [min(max(int((side - context) // _GRID * _GRID), 0), end - _GRID) for side, end in ((x1, width), (y1, height))]
        high = [min(int(-(-(side + context) // _GRID) * _GRID), end) for side, end in ((x2, width), (y2, height))]
        high = [max(end, start + _GRID) for start, end in zip(low, high, strict=True)]
        parts.append(((low[0], low[1], high[0], high[1]), (x1, y1, x2, y2)))
    work = sum((right - left) * (bottom - top) for (left, top, right, bottom), _ in parts)
    if regions is None or height * width <= _SMALL or work >= height * width:
        yield (0, 0, width, height), None
    else:
        yield from parts


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
    fit = (max(1, int(height / ratio)), height) if ratio > height / width else (width, max(1, int(width * ratio)))
    size = (-(-fit[0] // grid) * grid, -(-fit[1] // grid) * grid) if grid else (width, height)
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    canvas[: fit[1], : fit[0]] = cv2.resize(rgb, fit)
    return canvas, fit[1] / rgb.shape[0]


def as_input(pixels: Pixels, mean: float = 0.0, std: float = 1.0) -> Floats:
    """Pixels [h, w, 3] or [n, h, w, 3] as a network's input float32 [n, 3, h, w]: ``(pixel - mean) / std``."""
    images = pixels[None] if pixels.ndim == 3 else pixels
    blob = cv2.dnn.blobFromImages(list(images), 1.0 / std, mean=(mean, mean, mean), swapRB=False)
    return np.asarray(blob, np.float32)

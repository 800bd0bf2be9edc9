"""Embedding room: SCRFD detectors as InsightFace packs carry them. Pure but for the network it is given.

Decoding, thresholds and sizes follow InsightFace's own ``SCRFD`` class, so that both find the same faces: J. Guo et al.,
"Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022.
"""

from __future__ import annotations

import numpy as np

from facesets.embedding.engines import Network
from facesets.embedding.packs.detection import Detection, Floats, Pixels, as_input, detections, letterboxed
from facesets.errors import PackUnavailable

_LAYOUTS = {9: ((8, 16, 32), 2), 15: ((8, 16, 32, 64, 128), 1)}  # outputs -> strides, anchors a place
_MIN_SCORE, _OVERLAP = 0.5, 0.4  # InsightFace's defaults


class Scrfd:
    """A detector that looks at the photo at 128 and at 640 pixels (the first finds faces that fill the photo)."""

    def __init__(self, network: Network, *, sizes: tuple[int, ...] = (128, 640), min_score: float = _MIN_SCORE) -> None:
        if network.outputs not in _LAYOUTS:
            raise PackUnavailable(f"a detector with {network.outputs} outputs gives no landmarks; facesets needs them to align faces")
        self._network = network
        self._strides, self._anchors = _LAYOUTS[network.outputs]
        self._min_score = min_score
        height, width = network.input_shape[2:4]
        self._sizes = [(width, height)] if width and height else [(size, size) for size in sizes]

    def detect(self, rgb: Pixels) -> list[Detection]:
        """Faces in ``rgb`` [h, w, 3], best first."""
        found = [self._candidates(rgb, width, height) for width, height in self._sizes]
        scores, boxes, landmarks = (np.concatenate([part[i] for part in found]) for i in range(3))
        return detections(boxes, scores, landmarks, overlap=_OVERLAP)

    def _candidates(self, rgb: Pixels, width: int, height: int) -> tuple[Floats, Floats, Floats]:
        canvas, scale = letterboxed(rgb, width, height)
        outputs = [out.reshape(-1, out.shape[-1]) for out in self._network.run(as_input(canvas, 127.5, 128.0))]
        levels = len(self._strides)
        scores, boxes, landmarks = [], [], []
        for level, stride in enumerate(self._strides):
            score = outputs[level][:, 0]
            hits = np.flatnonzero(score >= self._min_score)
            place = hits // self._anchors
            across = canvas.shape[1] // stride
            centre = (np.stack([place % across, place // across], axis=1) * stride).astype(np.float32)
            reach = outputs[level + levels][hits] * stride
            points = outputs[level + 2 * levels][hits].reshape(-1, 5, 2) * stride
            scores.append(score[hits])
            boxes.append(np.concatenate([centre - reach[:, :2], centre + reach[:, 2:]], axis=1) / scale)
            landmarks.append((centre[:, None] + points) / scale)
        return np.concatenate(scores), np.concatenate(boxes).astype(np.float32), np.concatenate(landmarks).astype(np.float32)

"""SCRFD detectors as InsightFace packs carry them. Pure but for the network it is given.

Decoding, thresholds and sizes follow InsightFace's own ``SCRFD`` class, so that both find the same faces: J. Guo et al.,
"Sample and Computation Redistribution for Efficient Face Detection", ICLR 2022.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facesets.errors import PackUnavailable
from facesets.models.detection import Candidates, Detection, Pixels, as_input, scan
from facesets.models.engines import Network
from facesets.records import Box

_LAYOUTS = {9: ((8, 16, 32), 2), 15: ((8, 16, 32, 64, 128), 1)}  # outputs -> strides, anchors a place
_MIN_SCORE, _OVERLAP = 0.5, 0.4  # InsightFace's defaults


class Scrfd:
    """A detector that sees the photo at 128 and at 640 pixels (the first finds faces that fill the photo).

    ``windows`` lets it scan parts of the photo, which come in many shapes: no good where each shape costs a compilation.
    """

    def __init__(
        self, network: Network, *, sizes: tuple[int, ...] = (128, 640), min_score: float = _MIN_SCORE, windows: bool = True
    ) -> None:
        if network.outputs not in _LAYOUTS:
            raise PackUnavailable(f"a detector with {network.outputs} outputs gives no landmarks; facesets needs them to align faces")
        self._network = network
        self._strides, self._anchors = _LAYOUTS[network.outputs]
        self._min_score = min_score
        height, width = network.input_shape[2:4]
        self._sizes = [(width, height)] if width and height else [(size, size) for size in sizes]
        self._windows = windows and not (width and height)

    def detect(self, rgb: Pixels, regions: Sequence[Box] | None = None) -> list[Detection]:
        """Faces in ``rgb`` [h, w, 3], best first; with ``regions`` around these boxes only, as far as that saves work."""
        return scan(rgb, self._sizes, self._candidates, overlap=_OVERLAP, regions=regions if self._windows else None)

    def _candidates(self, canvas: Pixels) -> Candidates:
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
            boxes.append(np.concatenate([centre - reach[:, :2], centre + reach[:, 2:]], axis=1))
            landmarks.append(centre[:, None] + points)
        return np.concatenate(scores), np.concatenate(boxes), np.concatenate(landmarks)

"""the CenterFace detector. Pure but for the network it is given.

Y. Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019; MIT licence. It sees faces as peaks
of a heat map at a quarter of the resolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from facesets.models.detection import Candidates, Detection, Pixels, as_input, scan
from facesets.models.engines import Network
from facesets.records import Box

_OVERLAP, _GRID = 0.3, 32


class CenterFace:
    """A detector that sees the photo with its long side at each of ``sizes`` pixels; ``windows`` lets it scan parts of it."""

    def __init__(self, network: Network, *, sizes: tuple[int, ...] = (640,), min_score: float = 0.5, windows: bool = True) -> None:
        self._network, self._min_score, self._windows = network, min_score, windows
        self._sizes = [(size, size) for size in sizes]

    def detect(self, rgb: Pixels, regions: Sequence[Box] | None = None) -> list[Detection]:
        """Faces in ``rgb`` [h, w, 3], best first; with ``regions`` around these boxes only."""
        return scan(rgb, self._sizes, self._candidates, overlap=_OVERLAP, grid=_GRID, regions=regions if self._windows else None)

    def _candidates(self, canvas: Pixels) -> Candidates:
        heat, extent, offset, points = (out[0] for out in self._network.run(as_input(canvas)))
        row, column = np.nonzero(heat[0] > self._min_score)
        height, width = np.exp(extent[:, row, column]) * 4
        y1 = np.clip((row + offset[0, row, column] + 0.5) * 4 - height / 2, 0, canvas.shape[0])
        x1 = np.clip((column + offset[1, row, column] + 0.5) * 4 - width / 2, 0, canvas.shape[1])
        boxes = np.stack([x1, y1, np.minimum(x1 + width, canvas.shape[1]), np.minimum(y1 + height, canvas.shape[0])], axis=1)
        ys, xs = points[0::2, row, column] * height + y1, points[1::2, row, column] * width + x1
        return heat[0, row, column], boxes.astype(np.float32), np.stack([xs.T, ys.T], axis=2).astype(np.float32)

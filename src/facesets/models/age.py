"""An estimate of a face's age, where a pack brings a network for it. Pure but for that network.

As InsightFace's ``Attribute`` does it, so that both say the same. An estimate is years off as often as not: it is good for asking a
person to check, never for taking somebody for an adult.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from facesets.models.detection import as_input
from facesets.models.engines import Network
from facesets.photos import Pixels
from facesets.records import Box

SIDE = 96  # pixels of the network's input, by which InsightFace knows it


@dataclass(frozen=True, slots=True)
class Ages:
    """A network that gives two scores for gender, which is not used, and an age in hundreds of years."""

    network: Network
    mean: float
    std: float

    def ages(self, rgb: Pixels, boxes: Iterable[Box]) -> list[float]:
        """Years, whole ones, of the faces at ``boxes`` in ``rgb`` [h, w, 3]."""
        return [self._age(rgb, box) for box in boxes]

    def _age(self, rgb: Pixels, box: Box) -> float:
        x1, y1, x2, y2 = box
        scale = SIDE / (max(x2 - x1, y2 - y1) * 1.5)
        middle = np.array([x1 + x2, y1 + y2]) / 2
        matrix = np.column_stack([np.eye(2) * scale, SIDE / 2 - middle * scale])
        chip = np.asarray(cv2.warpAffine(rgb, matrix, (SIDE, SIDE), borderValue=0.0), np.uint8)
        return float(np.rint(self.network.run(as_input(chip, self.mean, self.std))[0][0, 2] * 100))

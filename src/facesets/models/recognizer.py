"""From landmarks to unit vectors. Pure but for the network it is given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facesets.models.detection import as_input
from facesets.models.engines import Floats, Network
from facesets.photos import Pixels, Points, chips


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors float32 [k, d] of unit length, and the lengths [k] that the network gave them (a sign of quality)."""

    vectors: Floats
    norms: Floats


@dataclass(frozen=True, slots=True)
class Recognizer:
    """A network that turns aligned chips into vectors. ``batch`` is how many chips share a call: one on a CPU."""

    network: Network
    dim: int
    template: Points
    size: int
    mean: float
    std: float
    smooth: bool
    batch: int = 1

    def embed(self, rgb: Pixels, landmarks: npt.ArrayLike) -> Embedded:
        """Vectors of the faces at ``landmarks`` [k, 5, 2] in ``rgb`` [h, w, 3]."""
        return self.embed_chips(chips(rgb, landmarks, self.template, self.size, smooth=self.smooth))

    def embed_chips(self, faces: Pixels) -> Embedded:
        """Vectors of aligned chips uint8 [k, size, size, 3]."""
        vectors, norms = np.zeros((len(faces), self.dim), np.float32), np.zeros(len(faces), np.float32)
        for start in range(0, len(faces), self.batch):
            part = slice(start, start + self.batch)
            raw, *lengths = self.network.run(as_input(faces[part], self.mean, self.std))
            length = np.linalg.norm(raw.astype(np.float64), axis=1)
            vectors[part] = raw / np.maximum(length, 1e-12)[:, None]
            norms[part] = lengths[0] if lengths else length
        return Embedded(vectors, norms)

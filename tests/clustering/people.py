"""Synthetic people for tests: unit vectors around random directions."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from facesets.identity.table import FaceTable


def people(sizes: list[int], *, seed: int = 0, d: int = 64, spread: float = 0.5) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit vectors float32 [n, d] of ``len(sizes)`` people and who each is; ``spread`` is the length of the noise beside 1."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(len(sizes)), sizes)
    centres = rng.standard_normal((len(sizes), d))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    noise = rng.standard_normal((len(who), d)) * (spread / np.sqrt(d))
    x = centres[who] + noise
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), who


def table_of(vectors: NDArray[np.float32], *, photos: list[int] | None = None, **signals: list[float]) -> FaceTable:
    """A face table with one photo a face (or as in ``photos``), all signals good unless given."""
    n = len(vectors)
    where = photos or list(range(n))
    columns = {
        name: np.array(signals.get(name, [value] * n), dtype=np.float64)
        for name, value in (("det_score", 0.9), ("face_short", 200.0), ("sharpness", 1.0))
    }
    return FaceTable(
        face_ids=tuple(f"f{i:05d}" for i in range(n)),
        sha256s=tuple(hashlib.sha256(b"%d" % p).hexdigest() for p in where),
        vectors=vectors,
        boxes=np.array([[10.0 * i, 0.0, 10.0 * i + 200, 200.0] for i in range(n)]).reshape(-1, 4),
        taken_at=(None,) * n,
        **columns,
    )

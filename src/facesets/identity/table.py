"""Identity: the faces it decides on, as columns in canonical order. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import lt

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import Ints
from facesets.records import Face


@dataclass(frozen=True, slots=True)
class FaceTable:
    """Faces as columns of equal length n: ids, SHA-256 of their photos, vectors float32 [n, d], boxes float64 [n, 4] and signals.

    ``det_score``, ``face_short`` and ``sharpness`` are float64 [n], NaN where not known (a gate cannot fail on what is not known).
    ``taken_at`` is ISO 8601 or None. ``exposure`` (mean brightness, 0 black to 1 white) and ``others_in_crop`` (how many other faces a
    crop of the face would show) float64 [n]; None: known of nobody.
    """

    face_ids: tuple[str, ...]
    sha256s: tuple[str, ...]
    vectors: NDArray[np.float32]
    boxes: NDArray[np.float64]
    det_score: NDArray[np.float64]
    face_short: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    taken_at: tuple[str | None, ...]
    exposure: NDArray[np.float64] | None = None
    others_in_crop: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = len(self.face_ids)
        columns = (self.sha256s, self.vectors, self.boxes, self.det_score, self.face_short, self.sharpness, self.taken_at)
        if any(len(c) != n for c in columns):
            raise ValueError(f"every column of a face table must have {n} entries")
        if len(set(self.face_ids)) != n:
            raise ValueError("a face table names a face twice")

    def __len__(self) -> int:
        return len(self.face_ids)

    @classmethod
    def of(cls, faces: Sequence[Face], vectors: NDArray[np.float32], taken_at: Sequence[str | None] = ()) -> FaceTable:
        """The table of ``faces`` with their ``vectors`` [n, d] and, where known, when their photos were taken."""
        return cls(
            face_ids=tuple(f.face_id for f in faces),
            sha256s=tuple(f.sha256 for f in faces),
            vectors=np.asarray(vectors, dtype=np.float32),
            boxes=np.array([f.box for f in faces], dtype=np.float64).reshape(-1, 4),
            det_score=np.array([f.det_score for f in faces], dtype=np.float64),
            face_short=np.array([f.face_short for f in faces], dtype=np.float64),
            sharpness=np.array([f.sharpness for f in faces], dtype=np.float64),
            taken_at=tuple(taken_at) or (None,) * len(faces),
            exposure=np.array([f.signals.get("exposure", np.nan) for f in faces], dtype=np.float64),
            others_in_crop=np.array([f.signals.get("others_in_crop", np.nan) for f in faces], dtype=np.float64),
        )

    def take(self, rows: Ints) -> FaceTable:
        """The table of these rows, in this order."""
        at = rows.tolist()
        return FaceTable(
            tuple(self.face_ids[i] for i in at),
            tuple(self.sha256s[i] for i in at),
            self.vectors[rows],
            self.boxes[rows],
            self.det_score[rows],
            self.face_short[rows],
            self.sharpness[rows],
            tuple(self.taken_at[i] for i in at),
            None if self.exposure is None else self.exposure[rows],
            None if self.others_in_crop is None else self.others_in_crop[rows],
        )

    def canonical(self) -> FaceTable:
        """The same faces ordered by content: photo hash, box, id. What is computed in this order is the same every time."""
        keys = list(zip(self.sha256s, self.boxes.tolist(), self.face_ids, strict=True))
        if all(map(lt, keys, keys[1:])):  # as the registry gives them
            return self
        return self.take(np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64))

"""One photo's pixels into its faces. Pure but for the pack's networks."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from facesets.faces.quality import others_in_crop, overlaps, quality
from facesets.models import AgeEstimator, Detection, Pack
from facesets.photos import Decoded
from facesets.records import Box, Face

#: Where eyes, nose and mouth corners lie in a detector's box, as shares of its sides: medians over upright faces.
_IN_BOX: Final = ((0.31, 0.40), (0.69, 0.40), (0.50, 0.58), (0.35, 0.77), (0.65, 0.77))
GUESSED: Final = "landmarks_from_box"  # the signal of a face whose landmarks no detector gave
UNSEEN: Final = "seen_by_source_only"  # the signal of a face that the source has as somebody's, and where no detector sees one
OTHERS: Final = "others_in_crop"  # how many other faces have their middle in this one's crop
_MARGIN: Final = 0.5  # of that crop: the default of [export] margin, so that a signal does not change with a setting


class PhotoFaces(NamedTuple):
    """A photo's faces, ordered by box, and their unit vectors float32 [k, d]."""

    faces: tuple[Face, ...]
    vectors: npt.NDArray[np.float32]


def faces_of(photo: Decoded, sha256: str, pack: Pack) -> PhotoFaces:
    """The faces of ``photo``, whose bytes have the digest ``sha256``. The order depends on the boxes alone."""
    return described(photo, sha256, pack, pack.detect(photo.rgb))


def described(photo: Decoded, sha256: str, pack: Pack, detections: list[Detection]) -> PhotoFaces:
    """The faces of ``detections`` in ``photo``: signals and vectors."""
    found = sorted(_inside(photo, detections), key=lambda face: face[0])
    boxes = [box for box, _ in found]
    points = np.array([detection.landmarks for _, detection in found], np.float64).reshape(-1, 5, 2)
    embedded = pack.embed(photo.rgb, points)
    ages = pack.ages(photo.rgb, [detection.box for _, detection in found]) if isinstance(pack, AgeEstimator) else None
    others = others_in_crop([detection.box for _, detection in found], points, _MARGIN)
    faces = []
    for index, ((box, detection), signals, norm, overlap, more) in enumerate(
        zip(found, quality(photo.rgb, points), embedded.norms.tolist(), overlaps(boxes), others, strict=True)
    ):
        sharpness = signals.pop("sharpness")
        faces.append(
            Face(
                face_id=face_id(sha256, pack.id, box),
                sha256=sha256,
                index=index,
                box=box,
                landmarks=tuple((round(x / photo.scale, 2), round(y / photo.scale, 2)) for x, y in detection.landmarks),
                det_score=round(detection.score, 4),
                face_short=round(min(box[2] - box[0], box[3] - box[1]), 2),
                sharpness=sharpness,
                pack=pack.id,
                signals={
                    **signals,
                    "norm": round(norm, 4),
                    "overlap": overlap,
                    OTHERS: float(more),
                    **({"age": ages[index]} if ages else {}),
                    **({} if detection.score else {GUESSED: 1.0, UNSEEN: 1.0}),
                },
            )
        )
    return PhotoFaces(tuple(faces), embedded.vectors)


def landmarks_in(box: Box) -> tuple[tuple[float, float], ...]:
    """Where the landmarks of an upright face with this box are likely to lie."""
    x1, y1, x2, y2 = box
    return tuple((round(x1 + across * (x2 - x1), 2), round(y1 + down * (y2 - y1), 2)) for across, down in _IN_BOX)


def face_id(sha256: str, pack: str, box: Box) -> str:
    """A face's name, derived from content: the photo's bytes, the pack, the box in whole pixels; 32 hex digits."""
    return hashlib.sha256(f"{sha256} {pack} {' '.join(str(round(side)) for side in box)}".encode()).hexdigest()[:32]


def _inside(photo: Decoded, detections: list[Detection]) -> list[tuple[Box, Detection]]:
    """Boxes in original pixels, cut to the photo; a face that lies outside altogether is none."""
    inside = []
    for detection in detections:
        x1, y1, x2, y2 = (round(side / photo.scale, 2) for side in detection.box)
        box = (max(x1, 0.0), max(y1, 0.0), min(x2, float(photo.width)), min(y2, float(photo.height)))
        if box[2] - box[0] >= 1 and box[3] - box[1] >= 1:
            inside.append((box, detection))
    return inside

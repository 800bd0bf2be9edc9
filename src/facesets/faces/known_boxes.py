"""A photo's faces for the least work. Pure but for the pack's networks and the decoder it is given.

Where the source has named boxes, a JPEG is decoded only as large as its wanted faces need it, and the detector runs around the boxes.
Where that leaves a box without a face, or finds a face that deserves more pixels, and in pictures far from square, the whole photo is
gone through as if nothing had been known. benchmarks/fast_path.py measures how alike the two ways are. A box that the source has as
somebody's, drawn by hand perhaps, is then looked at by itself, and measured as it stands where no detector sees a face.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import numpy as np

from facesets.faces.describe import PhotoFaces, described, landmarks_in
from facesets.models import Detection, NearDetector, Pack, RegionDetector, is_elongated, moved, same_face
from facesets.photos import Decoded, Pixels, decode
from facesets.records import Box

#: Short side in original pixels of a face that counts; the size gate's default. Smaller ones do not hold a photo to full size.
WANTED: Final = 90.0
_CHIP = 112  # pixels: the input of recognition, so more of them are kept
_MOSTLY = 0.7  # of the smaller of two boxes in the larger: a hand draws around a head, a detector around its face
_SHRINK = 2  # decoding at a quarter or an eighth is hardly cheaper than at a half, and vectors begin to move


class Decoder(Protocol):
    """As :func:`facesets.photos.decode`."""

    def __call__(self, source: bytes, *, shrink: int = 1) -> Decoded:
        """The photo in ``source``, at ``1 / shrink`` of its size where that is cheaper."""


def find_known(
    data: bytes,
    sha256: str,
    pack: Pack,
    known: Sequence[Box] = (),
    people: Sequence[Box] = (),
    *,
    wanted: float = WANTED,
    decoder: Decoder = decode,
) -> tuple[Decoded, PhotoFaces]:
    """The photo in ``data`` and its faces; ``known`` boxes (oriented original pixels) are tried first.

    ``people`` are boxes of faces that the source has as somebody's, and none of them goes without a vector. ``wanted`` is the short
    side in original pixels from which a face counts. Raises errors.UnreadableImage.
    """
    shrink = shrink_for(known, wanted)
    if known and isinstance(pack, RegionDetector):
        photo = decoder(data, shrink=shrink)
        regions = [(x1 * photo.scale, y1 * photo.scale, x2 * photo.scale, y2 * photo.scale) for x1, y1, x2, y2 in known]
        if not is_elongated(photo.width, photo.height):
            found = pack.detect_in(photo.rgb, regions)
            if _each_has_a_face(regions, found) and not _needs_more(photo, found, wanted):
                return photo, described(photo, sha256, pack, found)
        if photo.scale == 1:
            return photo, _all_faces(photo, sha256, pack, people)
        del photo  # its memory may be what the whole one waits for
    photo = decoder(data)
    return photo, _all_faces(photo, sha256, pack, people)


def shows(box: Box, face: Box) -> bool:
    """Whether a box of the source, which a hand may have drawn, is around this face: they overlap, or one lies in the other."""
    if same_face(box, face):
        return True
    width, height = min(box[2], face[2]) - max(box[0], face[0]), min(box[3], face[3]) - max(box[1], face[1])
    sizes = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (box, face)]
    return min(width, height) > 0 and width * height >= _MOSTLY * min(sizes)


def _all_faces(photo: Decoded, sha256: str, pack: Pack, people: Sequence[Box]) -> PhotoFaces:
    found = pack.detect(photo.rgb)
    for box in people:
        if not any(shows(box, face.box) for face in found) and (face := _closer(photo.rgb, box, pack)) is not None:
            found = [*found, face]
    return described(photo, sha256, pack, found)


def _closer(rgb: Pixels, box: Box, pack: Pack) -> Detection | None:
    """What is to be seen in and around ``box`` alone; where that is no face, the box as it stands, with a score of 0.

    None: the pack cannot measure what it does not see, or the box is not in the photo.
    """
    height, width = rgb.shape[:2]
    around = max(box[2] - box[0], box[3] - box[1])
    left, top = (max(0, math.floor(side - around)) for side in box[:2])
    right, bottom = (min(end, math.ceil(side + around)) for side, end in zip(box[2:], (width, height), strict=True))
    if right <= left or bottom <= top:
        return None
    if isinstance(pack, NearDetector):
        return pack.detect_near(rgb, (left, top, right, bottom), lambda face: shows(box, face))
    seen = (moved(one, (left, top)) for one in pack.detect(np.ascontiguousarray(rgb[top:bottom, left:right])))
    return next((one for one in seen if shows(box, one.box)), None) or Detection(box, 0.0, landmarks_in(box))


def landmarks_at(rgb: Pixels, boxes: Sequence[Box], pack: Pack | None) -> list[tuple[tuple[tuple[float, float], ...], bool]]:
    """For each of ``boxes`` in ``rgb`` the landmarks of the face that ``pack`` sees there, else (True) where they are likely to lie."""
    if pack is None or not boxes:
        return [(landmarks_in(box), True) for box in boxes]
    found = pack.detect_in(rgb, boxes) if isinstance(pack, RegionDetector) else pack.detect(rgb)
    placed: list[tuple[tuple[tuple[float, float], ...], bool]] = []
    for box in boxes:
        best = next((face for face in found if same_face(box, face.box)), None)  # the best comes first
        seen = tuple((round(x, 2), round(y, 2)) for x, y in best.landmarks) if best else landmarks_in(box)
        placed.append((seen, best is None))
    return placed


def shrink_for(boxes: Iterable[Box], wanted: float = WANTED) -> int:
    """How much smaller a JPEG may be decoded so that each wanted face keeps 112 pixels: 2, or 1 for not at all."""
    sides = [side for side in map(_short, boxes) if side >= wanted]
    return _SHRINK if sides and min(sides) >= _CHIP * _SHRINK else 1


def _each_has_a_face(regions: Sequence[Box], found: Sequence[Detection]) -> bool:
    return all(any(same_face(box, face.box) for face in found) for box in regions)


def _needs_more(photo: Decoded, found: Sequence[Detection], wanted: float) -> bool:
    """Whether a face that was not known is too small in a photo that was shrunk for the known ones, whose boxes differ a little."""
    return photo.scale < 1 and any(wanted * photo.scale <= _short(face.box) < 0.9 * _CHIP for face in found)


def _short(box: Box) -> float:
    return min(box[2] - box[0], box[3] - box[1])

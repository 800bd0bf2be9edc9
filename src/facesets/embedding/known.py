"""Embedding room: a photo's faces for the least work. Pure but for the pack's networks and the decoder it is given.

Where the source has named boxes, a JPEG is decoded only as large as its wanted faces need it and only as far down as they lie, and
the detector looks around the boxes. Where that leaves a box without a face, or finds a face that deserves more pixels, the whole
photo is gone through as if nothing had been known. benchmarks/fast_path.py measures how alike the two ways are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from facesets.embedding.align import Pixels
from facesets.embedding.decode import Decoded, decode
from facesets.embedding.faces import PhotoFaces, described, faces_of, landmarks_in
from facesets.embedding.jpeg import frame
from facesets.embedding.packs.detection import Detection, same_face
from facesets.embedding.packs.model import LooksNear, Pack
from facesets.embedding.pixels import upright
from facesets.records import Box

#: Short side in original pixels of a face that counts; the size gate's default. Smaller ones do not hold a photo to full size.
WANTED: Final = 90.0
_CHIP = 112  # pixels: what recognition looks at, so more of them are kept
_ROUND_A_FACE = 0.35  # of its long side: an upright chip has less around the box
_SHRINK = 2  # decoding at a quarter or an eighth is hardly cheaper than at a half, and vectors begin to move


class Decoder(Protocol):
    """As :func:`facesets.embedding.decode`."""

    def __call__(self, source: bytes, *, shrink: int = 1, part: Box | None = None) -> Decoded:
        """The photo in ``source``, at ``1 / shrink`` of its size and no more than ``part`` of it, where that is cheaper."""


def find_known(
    data: bytes, sha256: str, pack: Pack, known: Sequence[Box] = (), *, wanted: float = WANTED, decoder: Decoder = decode
) -> tuple[Decoded, PhotoFaces]:
    """The photo in ``data`` and its faces; ``known`` boxes (oriented original pixels) are looked at first.

    ``wanted`` is the short side in original pixels from which a face counts. Raises errors.UnreadableImage.
    """
    shrink = shrink_for(known, wanted)
    if known and isinstance(pack, LooksNear):
        photo = decoder(data, shrink=shrink, part=_part(data, pack, known, shrink))
        near = [(x1 * photo.scale, y1 * photo.scale, x2 * photo.scale, y2 * photo.scale) for x1, y1, x2, y2 in known]
        found = pack.detect_near(photo.rgb, near)
        if _each_has_a_face(near, found) and _shows(photo, found) and not _needs_more(photo, found, wanted):
            return photo, described(photo, sha256, pack, found)
        if photo.full:
            return photo, faces_of(photo, sha256, pack)
        del photo  # its memory may be what the whole one waits for
    photo = decoder(data)
    return photo, faces_of(photo, sha256, pack)


def _part(data: bytes, pack: LooksNear, known: Sequence[Box], shrink: int) -> Box | None:
    """What of a JPEG the pack will look at, in oriented original pixels; None for all of it, or where that cannot be told."""
    if (cut := frame(data)) is None:
        return None
    width, height = upright(cut.shrunk(shrink), cut.orientation)
    scale = width / upright((cut.columns, cut.rows), cut.orientation)[0]
    part = pack.part_near(width, height, [(x1 * scale, y1 * scale, x2 * scale, y2 * scale) for x1, y1, x2, y2 in known])
    return part and (part[0] / scale, part[1] / scale, part[2] / scale, part[3] / scale)


def _shows(photo: Decoded, found: Sequence[Detection]) -> bool:
    """Whether ``photo`` has all that is cut out around the faces, which need not be quite where they were known to be."""
    if photo.seen is None:
        return True
    left, top, right, bottom = photo.seen
    height, width = photo.rgb.shape[:2]
    for x1, y1, x2, y2 in (face.box for face in found):
        room = _ROUND_A_FACE * max(x2 - x1, y2 - y1)
        if left > max(x1 - room, 0) or top > max(y1 - room, 0) or right < min(x2 + room, width) or bottom < min(y2 + room, height):
            return False
    return True


def landmarks_at(rgb: Pixels, boxes: Sequence[Box], pack: Pack | None) -> list[tuple[tuple[tuple[float, float], ...], bool]]:
    """For each of ``boxes`` in ``rgb`` the landmarks of the face that ``pack`` sees there, else (True) where they are likely to lie."""
    if pack is None or not boxes:
        return [(landmarks_in(box), True) for box in boxes]
    found = pack.detect_near(rgb, boxes) if isinstance(pack, LooksNear) else pack.detect(rgb)
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


def _each_has_a_face(near: Sequence[Box], found: Sequence[Detection]) -> bool:
    return all(any(same_face(box, face.box) for face in found) for box in near)


def _needs_more(photo: Decoded, found: Sequence[Detection], wanted: float) -> bool:
    """Whether a face that was not known is too small in a photo that was shrunk for the known ones, whose boxes differ a little."""
    return photo.scale < 1 and any(wanted * photo.scale <= _short(face.box) < 0.9 * _CHIP for face in found)


def _short(box: Box) -> float:
    return min(box[2] - box[0], box[3] - box[1])

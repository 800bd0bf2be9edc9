"""Cuts of a photo for training: which part of it shows a person as a close-up, a portrait or from the waist up. Pure.

A framing is a share of the picture that the face takes: close-up from 8 %, portrait from 2.5 %, half figure from .8 %. Cuts have one of
three aspects, lie within the photo, and leave out everybody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from facesets.records import Box

ASPECTS = {"portrait": 3 / 4, "square": 1.0, "landscape": 16 / 9}  # width over height
SHARES = {"close-up": (0.08, 0.16), "portrait": (0.025, 0.05), "half figure": (0.008, 0.014)}  # at least, aimed at
QUOTA = {"close-up": 0.3, "portrait": 0.5, "half figure": 0.2}
_CLOSER = (0.2, 0.26, 0.34)  # shares of a close-up where the photo has no more around the face
_EYES = 0.42  # of the cut's height: where the middle of the face is aimed at


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a photo in whole pixels, ``left, top, right, bottom``."""

    box: tuple[int, int, int, int]
    framing: str

    @property
    def shortest(self) -> int:
        """Pixels of its shorter side."""
        return min(self.box[2] - self.box[0], self.box[3] - self.box[1])


def cut(face: Box, framing: str, width: int, height: int, others: Sequence[Box], aspect: float) -> Cut | None:
    """The cut of a photo of ``width x height`` with this framing and aspect; None where it would not fit, or show somebody else."""
    least, aim = SHARES[framing]
    for share in (aim, (least + aim) / 2, least * 1.02, *(_CLOSER if framing == "close-up" else ())):
        area = _area(face) / share
        high = (area / aspect) ** 0.5
        wide = high * aspect
        if wide > width or high > height or wide < face[2] - face[0] or high < face[3] - face[1]:
            continue
        x, y = (face[0] + face[2]) / 2, (face[1] + face[3]) / 2
        left = min(max(x - wide / 2, 0.0), width - wide)
        top = min(max(y - high * _EYES, 0.0), height - high)
        left, top = _away(left, top, wide, high, face, others, width, height)
        box = (round(left), round(top), min(round(left + wide), width), min(round(top + high), height))
        if _holds(box, face) and not any(_meets(box, other) for other in others):
            return Cut(box, framing)
    return None


def _away(
    left: float, top: float, wide: float, high: float, face: Box, others: Sequence[Box], width: int, height: int
) -> tuple[float, float]:
    """Where the cut may be moved to, so that nobody else is in it; as it was where that does not help."""
    for other in others:
        if not _meets((left, top, left + wide, top + high), other):
            continue
        moves = ((other[0] - wide, top), (other[2], top), (left, other[1] - high), (left, other[3]))
        fits = [
            (x, y) for x, y in moves
            if 0 <= x <= width - wide and 0 <= y <= height - high and _holds((x, y, x + wide, y + high), face)
        ]  # fmt: skip
        if fits:
            left, top = min(fits, key=lambda to: abs(to[0] - left) + abs(to[1] - top))
    return left, top


def _area(box: Sequence[float]) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _holds(box: Sequence[float], face: Box) -> bool:
    return box[0] <= face[0] + 1 and box[1] <= face[1] + 1 and box[2] >= face[2] - 1 and box[3] >= face[3] - 1


def _meets(box: Sequence[float], other: Box) -> bool:
    return min(box[2], other[2]) - max(box[0], other[0]) > 1 and min(box[3], other[3]) - max(box[1], other[1]) > 1

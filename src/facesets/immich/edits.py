"""Immich room: the steps by which somebody edited a photo, and the way back through them. Touches the network only.

An edit changes no original. It is a crop (in pixels of the upright original) and quarter turns and mirrorings of what the crop left:
the crop comes first wherever it stands among the steps, the others in their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from facesets.errors import BadAnswer
from facesets.immich import wire
from facesets.immich.transport import Client
from facesets.records import Asset, Box, FaceBox

_TURNS: Mapping[float, int] = {0: 0, 90: 1, 180: 2, 270: 3}
_AXES = ("horizontal", "vertical")
_CROP = ("x", "y", "width", "height")


@dataclass(frozen=True, slots=True)
class Edits:
    """``crop`` is x, y, width, height, or None; ``steps`` are numbers of clockwise quarter turns and axes of mirrorings."""

    crop: tuple[float, float, float, float] | None = None
    steps: tuple[int | str, ...] = ()

    def undone(self, found: Iterable[FaceBox], asset: Asset) -> tuple[FaceBox, ...]:
        """Boxes that stand in the edited picture, in the frame of the upright original. One whose frame has no size stays as it is.

        Raises BadAnswer where boxes, edits and the asset's size do not fit together.
        """
        if not asset.width or not asset.height:
            raise BadAnswer(f"edits of {asset.asset_id}: the size of the original is missing")
        size = asset.width, asset.height
        return wire.ordered(box if min(box.image_width, box.image_height) <= 0 else self._undone(box, size) for box in found)

    def _undone(self, box: FaceBox, size: tuple[int, int]) -> FaceBox:
        width, height = self._uncut(size)
        if sum(step for step in self.steps if isinstance(step, int)) % 2:
            width, height = height, width
        across, down = box.image_width, box.image_height
        if abs(across * height - down * width) > width + height:  # more than the rounding of a smaller picture
            raise BadAnswer(f"edits: a frame of {across} x {down} for an edited picture of {width:g} x {height:g}")
        corners = box.x1 * width / across, box.y1 * height / down, box.x2 * width / across, box.y2 * height / down
        for step in reversed(self.steps):
            if isinstance(step, int):
                for _ in range(-step % 4):
                    corners, width, height = _turned(corners, height), height, width
            else:
                corners = _mirrored(corners, step, width, height)
        left, top = self.crop[:2] if self.crop else (0.0, 0.0)
        x1, y1, x2, y2 = corners
        return replace(box, x1=x1 + left, y1=y1 + top, x2=x2 + left, y2=y2 + top, image_width=size[0], image_height=size[1])

    def _uncut(self, size: tuple[float, float]) -> tuple[float, float]:
        """What the crop left of the original."""
        if self.crop is None:
            return size
        left, top, width, height = self.crop
        inside = min(left, top) >= 0 and min(width, height) >= 1 and left + width <= size[0] + 1 and top + height <= size[1] + 1
        if not inside:  # nor where one is no number
            raise BadAnswer(f"edits: a crop of {width:g} x {height:g} at {left:g}, {top:g} in a photo of {size[0]:g} x {size[1]:g}")
        return width, height


def of(client: Client, asset_id: str) -> Edits:
    """The edits of an asset. Raises as :func:`read`, MissingPermission (``asset.edit.get``), NotFound, Unreachable."""
    return read(client.get(f"/assets/{asset_id}/edits"), f"edits of {asset_id}")


def read(answer: Any, where: str) -> Edits:
    """What the wire says. Raises BadAnswer where a step is not understood."""
    crops: list[tuple[float, float, float, float]] = []
    others: list[int | str] = []
    for step in wire.field(answer, "edits", list, where):
        action, given = wire.field(step, "action", str, where), wire.field(step, "parameters", dict, where)
        if action == "crop":
            left, top, width, height = (float(wire.field(given, name, (int, float), where)) for name in _CROP)
            crops.append((left, top, width, height))
        elif action == "rotate":
            others.append(_known(given, "angle", (int, float), _TURNS, where))
        elif action == "mirror":
            others.append(_known(given, "axis", str, dict(zip(_AXES, _AXES, strict=True)), where))
        else:
            raise BadAnswer(f"{where}: a step {action[:40]!r}, which this version of facesets does not know")
    if len(crops) > 1:
        raise BadAnswer(f"{where}: {len(crops)} crops")
    return Edits(crops[0] if crops else None, tuple(others))


def _known(given: Any, name: str, kind: type | tuple[type, ...], values: Mapping[Any, Any], where: str) -> Any:
    value = wire.field(given, name, kind, where)
    if value not in values:
        raise BadAnswer(f"{where}: {name!r} is {str(value)[:40]!r}, which this version of facesets does not know")
    return values[value]


def _turned(box: Box, height: float) -> Box:
    """A box after a clockwise quarter turn of a picture of this height."""
    x1, y1, x2, y2 = box
    return height - y2, x1, height - y1, x2


def _mirrored(box: Box, axis: str, width: float, height: float) -> Box:
    """Left and right change places in a ``horizontal`` mirror."""
    x1, y1, x2, y2 = box
    return (width - x2, y1, width - x1, y2) if axis == "horizontal" else (x1, height - y2, x2, height - y1)

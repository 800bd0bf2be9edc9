"""Which boxes of two lists show the same face: one to one, the best overlap first; also where a photo was turned. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from facesets.records import Box

SAME_PLACE = 0.5  # least intersection over union of two packs' boxes of one face
DRAWN = 0.3  # of a face and what another program or a hand drew around the head


def same_places(these: Sequence[Box], those: Sequence[Box], least: float = SAME_PLACE) -> dict[int, int]:
    """Index in ``these`` -> index in ``those``, each used once, from an overlap of ``least`` on. Ties go to the first."""
    found = sorted(
        (-share, i, j) for i, this in enumerate(these) for j, that in enumerate(those) if (share := _share(this, that)) >= least
    )
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in found:
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return pairs


Frame = tuple[int | None, int | None, int | None]  # a photo's width and height as it is shown, and its EXIF orientation (1 to 8)
_LYING = 5  # orientations from here on have rows stored as columns
_ROTATED = (1, 6, 8, 3)  # not at all, to the right, to the left, upside down


def frames(boxes: Sequence[Box], before: Frame, now: Frame) -> Iterator[tuple[list[Box], bool]]:
    """Where ``boxes`` of one photo may lie in another with the same picture, the likeliest first, and whether that is sure.

    Sure is where pixels were left as they are: the same, or scaled; or stored as before and shown by another orientation. Without
    sizes, only the first is known.
    """
    if not (before[0] and before[1] and now[0] and now[1]):
        yield list(boxes), True
        return
    was, tags = (before[0], before[1]), (before[2] or 1, now[2] or 1)
    turns = [(1, 1), (tags[0], tags[1])] if tags[0] != tags[1] else [(1, turn) for turn in _ROTATED]
    for first, second in turns:
        stored = was if first < _LYING else was[::-1]
        shown = stored if second < _LYING else stored[::-1]
        if abs(shown[0] * now[1] - shown[1] * now[0]) > 0.02 * shown[0] * now[1]:
            continue  # other proportions: not by this turn
        across, down = now[0] / shown[0], now[1] / shown[1]
        placed = (turned(stored_at(box, *stored, first), *stored, second) for box in boxes)
        yield [(x1 * across, y1 * down, x2 * across, y2 * down) for x1, y1, x2, y2 in placed], (first, second) in ((1, 1), tags)


def turned(box: Box, width: float, height: float, turn: int) -> Box:
    """A box in a photo stored as ``width x height``, where an EXIF orientation shows it."""
    x1, y1, x2, y2 = box
    if turn >= _LYING:
        x1, y1, x2, y2, width, height = y1, x1, y2, x2, height, width
    if turn in (2, 3, 6, 7):
        x1, x2 = width - x2, width - x1
    if turn in (3, 4, 7, 8):
        y1, y2 = height - y2, height - y1
    return x1, y1, x2, y2


def stored_at(box: Box, width: float, height: float, turn: int) -> Box:
    """A box in a photo that an EXIF orientation shows, where it lies in what is stored as ``width x height``: :func:`turned` undone."""
    shown = (width, height) if turn < _LYING else (height, width)
    return turned(box, *shown, {6: 8, 8: 6}.get(turn, turn))


def _share(a: Box, b: Box) -> float:
    """Intersection over union."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)

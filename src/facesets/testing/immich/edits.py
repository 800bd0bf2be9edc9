"""Non-destructive edits and the frames they make: original, edited, and the preview's of each. Pure."""

from __future__ import annotations

from facesets.testing.immich.records import Asset, Face

EDIT_ACTIONS = ("crop", "rotate", "mirror")
Steps = tuple[tuple[str, tuple[float, ...]], ...]


def _number(value: float | str) -> float:
    return float(value) if not isinstance(value, str) else 0.0


def steps(asset: Asset) -> Steps:
    """The edit in numbers: crop (x, y, width, height), rotate (clockwise degrees,), mirror (1 for left-right,)."""
    made: list[tuple[str, tuple[float, ...]]] = []
    for edit in sorted(asset.edits, key=lambda edit: edit.action != "crop"):  # which comes first wherever it stands
        p = edit.parameters
        if edit.action == "crop":
            made.append(("crop", tuple(_number(p[k]) for k in ("x", "y", "width", "height"))))
        elif edit.action == "rotate":
            made.append(("rotate", (_number(p["angle"]) % 360,)))
        else:
            made.append(("mirror", (1.0 if p.get("axis") == "horizontal" else 0.0,)))
    return tuple(made)


def edited_size(asset: Asset) -> tuple[int, int] | None:
    """Width and height after the edit; the upright original's without one."""
    size = asset.size_upright
    for action, numbers in steps(asset) if size else ():
        assert size is not None
        if action == "crop":
            size = round(numbers[2]), round(numbers[3])
        elif action == "rotate" and numbers[0] in (90, 270):
            size = size[1], size[0]
    return size


def edited_box(asset: Asset, face: Face) -> tuple[int, int, int, int, int, int]:
    """A face's box and frame after the edit: x1, y1, x2, y2, image width, image height. An edit's frame is the full picture's."""
    x1, y1, x2, y2 = float(face.x1), float(face.y1), float(face.x2), float(face.y2)
    width, height = float(face.image_width), float(face.image_height)
    full = asset.size_upright
    if asset.edits and full and width and height:
        across, down = full[0] / width, full[1] / height
        x1, y1, x2, y2, (width, height) = x1 * across, y1 * down, x2 * across, y2 * down, full
    for action, numbers in steps(asset) if full else ():
        if action == "crop":
            x1, y1, x2, y2 = x1 - numbers[0], y1 - numbers[1], x2 - numbers[0], y2 - numbers[1]
            width, height = numbers[2], numbers[3]
        elif action == "rotate":
            for _ in range(round(numbers[0] / 90) % 4):
                x1, y1, x2, y2 = height - y2, x1, height - y1, x2
                width, height = height, width
        elif numbers[0]:
            x1, x2 = width - x2, width - x1
        else:
            y1, y2 = height - y2, height - y1
    return round(x1), round(y1), round(x2), round(y2), round(width), round(height)


Numbers = tuple[float, float, float, float, float, float]  # x1, y1, x2, y2, frame's width and height


def original_box(asset: Asset, box: Numbers) -> Numbers:
    """A box drawn on the edited picture, in a frame of its shape, as a box of the original in full size: what ``edited_box`` undoes."""
    x1, y1, x2, y2, width, height = box
    full, size = asset.size_upright, edited_size(asset)
    if not full or not size or not width or not height:
        return box
    across, down = size[0] / width, size[1] / height
    x1, y1, x2, y2 = x1 * across, y1 * down, x2 * across, y2 * down
    frame = [float(n) for n in size]
    for action, numbers in reversed(steps(asset)):
        if action == "crop":
            x1, y1, x2, y2 = x1 + numbers[0], y1 + numbers[1], x2 + numbers[0], y2 + numbers[1]
        elif action == "rotate":
            for _ in range(-round(numbers[0] / 90) % 4):
                x1, y1, x2, y2 = frame[1] - y2, x1, frame[1] - y1, x2
                frame.reverse()
        elif numbers[0]:
            x1, x2 = frame[0] - x2, frame[0] - x1
        else:
            y1, y2 = frame[1] - y2, frame[1] - y1
    return x1, y1, x2, y2, *full

"""Photos of seven people, made from two pictures that installed packages carry. Reads those files, nothing else.

Each photo is one of few known faces seen anew: the head turned a little in depth, another mouth, light, lens, frame and print.
The face boxes are the known ones, carried through the same geometry. The same packages give the same bytes.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from facesets import extras
from facesets.errors import PackUnavailable
from facesets.records import Box

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sitter:
    """Where a person is in a picture: ``frame`` holds no other face, ``box`` is the face, both x1, y1, x2, y2."""

    picture: str
    frame: Box
    box: Box
    mouth: tuple[tuple[float, float], tuple[float, float]]  # its corners
    enlarge: float = 1.0  # on top of what a look asks, for a face that is small in its picture


GROUP = "insightface/data/images/t1.jpg"
ASTRONAUT = "skimage/data/astronaut.png"  # Eileen Collins, NASA, public domain

# measured with two detectors (SCRFD and CenterFace), which agree within a few pixels
SITTERS = {
    "auburn": Sitter(GROUP, (0, 150, 262, 640), (59, 265, 169, 395), ((113, 367), (148, 351))),
    "lace": Sitter(GROUP, (178, 60, 462, 420), (271, 150, 371, 267), ((311, 246), (338, 234))),
    "charcoal": Sitter(GROUP, (376, 190, 738, 640), (464, 266, 572, 414), ((483, 368), (530, 380))),
    "crimson": Sitter(GROUP, (580, 212, 1122, 640), (746, 341, 847, 480), ((764, 444), (804, 445))),
    "slate": Sitter(GROUP, (850, 0, 1122, 420), (904, 56, 1012, 204), ((935, 172), (958, 167))),
    "satin": Sitter(GROUP, (1022, 215, 1280, 640), (1132, 270, 1226, 398), ((1156, 367), (1195, 363))),
    "astronaut": Sitter(ASTRONAUT, (20, 0, 440, 420), (180, 58, 271, 178), ((202, 140), (246, 141)), enlarge=1.15),
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a photo differs from the picture it is made from; angles in degrees, lengths as shares of the face's width."""

    scale: float = 1.6  # pixels for each of the picture's
    room: float = 1.0  # how much of the sitter's frame is seen; more than 1 shows the backdrop around it
    roll: float = 0.0
    yaw: float = 0.0  # the head turned to its side, as far as a flat picture lets it
    pitch: float = 0.0
    smile: float = 0.0
    stretch: float = 1.0  # another focal length: wider or longer faces
    keystone: float = 0.0  # the camera held low or high
    light: tuple[float, float] = (0.0, 0.0)  # how much brighter the right and the lower edge are
    gamma: float = 1.0
    contrast: float = 1.0
    warmth: float = 0.0
    colour: float = 1.0  # 0: black and white
    blur: float = 0.0  # sigma in pixels
    grain: float = 0.0  # standard deviation, of 255
    backdrop: str = ""
    quality: int = 88


LOOKS = (
    Look(smile=0.01),
    Look(scale=1.9, roll=9, yaw=13, pitch=-5, light=(0.9, 0.0), warmth=0.08, smile=0.05, backdrop="coffee.png", room=1.1),
    Look(scale=1.35, roll=-8, yaw=-13, light=(-0.8, 0.2), warmth=-0.10, stretch=0.93, smile=-0.02, quality=72),
    Look(scale=1.7, pitch=5, gamma=1.25, contrast=1.1, smile=-0.03, keystone=0.08, room=0.85),
    Look(scale=1.5, pitch=-12, gamma=0.65, stretch=1.08, blur=1.2, quality=80, backdrop="brick.png", room=1.15),
    Look(scale=2.1, colour=0.3, contrast=1.2, grain=7, yaw=-6, pitch=3, roll=4, smile=0.06),
    Look(scale=1.25, yaw=-9, pitch=-7, roll=-12, colour=0.6, warmth=0.15, contrast=0.75, grain=5, blur=0.8, quality=62),
    Look(
        scale=1.8,
        roll=11,
        yaw=3,
        pitch=3,
        light=(0.2, -0.9),
        gamma=0.9,
        stretch=0.94,
        smile=0.08,
        keystone=-0.08,
        backdrop="gravel.png",
        room=1.1,
    ),
    Look(scale=1.45, light=(-0.4, 0.6), contrast=1.2, yaw=12, pitch=-2, stretch=1.06, colour=0.5, warmth=0.1, smile=-0.05, quality=70),
)


@dataclass(frozen=True, slots=True)
class Shot:
    """A photo in pixels, uint8 [h, w, 3], and who is in it: box by sitter, in its pixels."""

    rgb: Pixels
    boxes: dict[str, Box]


def portrait(sitter: str, look: Look) -> Shot:
    """One person, seen with ``look``."""
    who = SITTERS[sitter]
    return _seen(who.picture, who.frame, {sitter: who}, replace(look, scale=look.scale * who.enlarge))


def group(look: Look) -> Shot:
    """All six of the group picture, each head turned its own way."""
    people = {name: who for name, who in SITTERS.items() if who.picture == GROUP}
    height, width = picture(GROUP).shape[:2]
    return _seen(GROUP, (0, 0, width, height), people, look)


def _seen(name: str, frame: Box, people: dict[str, Sitter], look: Look) -> Shot:
    source = picture(name)
    x1, y1, x2, y2 = frame
    centre = ((x1 + x2) / 2, (y1 + y2) / 2) if len(people) > 1 else _centre(next(iter(people.values())).box)
    left, right = ((side - centre[0]) * look.room * look.scale for side in (x1, x2))
    top, bottom = ((side - centre[1]) * look.room * look.scale for side in (y1, y2))
    xs, ys = np.meshgrid(np.arange(int(left), int(right), dtype=np.float32), np.arange(int(top), int(bottom), dtype=np.float32))
    (height, width), cos, sin = xs.shape, math.cos(math.radians(look.roll)), math.sin(math.radians(look.roll))
    depth = 1 + look.keystone * ys / height
    sx = np.asarray((xs * cos + ys * sin) * depth / (look.scale * look.stretch) + centre[0], np.float32)
    sy = np.asarray((ys * cos - xs * sin) * depth / look.scale + centre[1], np.float32)
    for index, who in enumerate(people.values()):
        _turn(sx, sy, who, look, -1 if index % 2 else 1)
    feather = 0.05 * min(x2 - x1, y2 - y1)
    inside = np.minimum(np.minimum(sx - x1, x2 - sx), np.minimum(sy - y1, y2 - sy))
    inside = np.clip(inside / feather, 0, 1)[..., None]
    boxes = {sitter: _box(sx, sy, who.box) for sitter, who in people.items()}
    rgb = cv2.remap(source, sx, sy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    backdrop = _backdrop(look.backdrop, source, frame, width, height)
    rgb -= backdrop
    rgb *= inside
    rgb += backdrop
    return Shot(_lit(rgb, look), boxes)


def _turn(sx: Floats, sy: Floats, who: Sitter, look: Look, side: int) -> None:
    """Change where pixels come from as if the head (taken as a paraboloid) were turned in depth and its mouth had moved."""
    x1, _, x2, _ = who.box
    wide, (cx, cy) = x2 - x1, _centre(who.box)
    at_head = (abs(sx - cx) < 1.2 * wide) & (abs(sy - cy) < 1.2 * wide)
    if not at_head.any():
        return
    left, top, right, bottom = _bounds(at_head)
    part = np.s_[top:bottom, left:right]
    px, py = sx[part].copy(), sy[part].copy()
    deep = np.clip(1 - ((px - cx) / (0.85 * wide)) ** 2 - ((py - cy) / (1.1 * wide)) ** 2, 0, None)
    sx[part] -= math.sin(math.radians(look.yaw)) * side * deep * wide
    sy[part] -= math.sin(math.radians(look.pitch)) * deep * wide
    for (mx, my), outward in zip(who.mouth, (-1, 1), strict=True):
        falloff = np.exp(-((px - mx) ** 2 + (py - my) ** 2) / (2 * (0.14 * wide) ** 2)) * look.smile * wide
        sx[part] -= falloff * outward
        sy[part] += falloff


def _box(sx: Floats, sy: Floats, box: Box) -> Box:
    """The frame of what shows the face: of the ellipse in its box, since a turned box would grow."""
    x1, y1, x2, y2 = box
    (cx, cy), rx, ry = _centre(box), (x2 - x1) / 2, (y2 - y1) / 2
    left, top, right, bottom = _bounds(((sx - cx) / rx) ** 2 + ((sy - cy) / ry) ** 2 <= 1)
    return (float(left), float(top), float(right), float(bottom))


def _bounds(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The smallest x1, y1, x2, y2 that holds all that is true."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _backdrop(name: str, source: Pixels, frame: Box, width: int, height: int) -> Floats:
    """What is seen beyond the sitter's frame: another picture, or the frame itself, far out of focus."""
    x1, y1, x2, y2 = (int(side) for side in frame)
    cloth = picture(f"skimage/data/{name}") if name else cv2.resize(source[y1:y2, x1:x2], (8, 8), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(cloth, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _lit(rgb: Floats, look: Look) -> Pixels:
    """Light, film and print, in place."""
    height, width = rgb.shape[:2]
    across, down = np.linspace(-0.5, 0.5, width, dtype=np.float32), np.linspace(-0.5, 0.5, height, dtype=np.float32)
    rgb *= np.exp(look.light[0] * across[None, :] + look.light[1] * down[:, None])[..., None]
    np.clip(rgb, 0, 255, out=rgb)
    if look.gamma != 1:
        rgb = cv2.pow(rgb / 255, look.gamma) * 255
    rgb -= 118
    rgb *= look.contrast
    rgb += 118
    if look.colour != 1:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)[..., None]
        rgb -= grey
        rgb *= look.colour
        rgb += grey
    rgb *= np.array([1 + look.warmth, 1, 1 - look.warmth], np.float32)
    if look.blur:
        rgb = cv2.GaussianBlur(rgb, (0, 0), look.blur)
    if look.grain:
        rgb += look.grain * np.random.default_rng(1).standard_normal((height, width, 1), np.float32)
    return np.clip(np.rint(rgb, out=rgb), 0, 255, out=rgb).astype(np.uint8)


@functools.lru_cache(maxsize=8)
def picture(name: str) -> Pixels:
    """A picture out of an installed package, ``package/path``, as uint8 RGB [h, w, 3]. Raises PackUnavailable."""
    package, _, rest = name.partition("/")
    found = importlib.util.find_spec(package)  # finds the folder without importing the package
    path = Path(found.origin).parent / rest if found and found.origin else None
    if path is None or not path.is_file():
        raise PackUnavailable(f"the sample photos come with the package {package}: {extras.get('open')}")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))

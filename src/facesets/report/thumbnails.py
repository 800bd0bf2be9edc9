"""Small and large pictures for the pages: WebP files beside them, named by what they show.

Photos and crops are decoded in processes of their own. A picture that was made by an earlier
report is used again, so that a library's second report is quick.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image, ImageOps

from facesets.errors import UnreadableImage
from facesets.photos import DecoderPool, crops
from facesets.records import Face

SMALL, LARGE = 112, 480
_COLOURS = 5  # a blurred face is 5 x 5 colours: no feature of it is left
# what every browser of these days shows; a large picture of another kind is made here
_SHOWN_BY_BROWSERS = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"))


@dataclass
class Thumbnails:
    """The folder of pictures. Methods may be called from several threads; ``used`` are the files that the pages show."""

    folder: Path
    decoders: DecoderPool
    used: set[str] = field(default_factory=set)

    def picture(self, path: Path, content: str, *, blur: bool, small: int = SMALL) -> tuple[str | None, str | None]:
        """``(small, large)`` of a picture file, as addresses; ``content`` stands for its bytes. None where it cannot be read.

        The large one is the file itself where a browser can show it, unless ``blur``.
        """
        name = _name("picture", content, small, blur)
        thumb = self._kept(name, lambda: _square(path, self.decoders, small, blur=blur))
        if thumb is None:
            return None, None
        if not blur and path.suffix.lower() in _SHOWN_BY_BROWSERS:
            return thumb, quote(os.path.relpath(os.fsencode(path), os.fsencode(self.folder)).replace(os.sep.encode(), b"/"))
        return thumb, self._kept(_name("large", content, LARGE, blur), lambda: _square(path, self.decoders, LARGE, blur=blur))

    def face(self, path: Path, of: Face, *, margin: float, blur: bool) -> tuple[str | None, str | None]:
        """``(small, large)`` of a face cut out of its photo, as addresses; None where the photo cannot be read."""
        names = [_name("face", f"{of.face_id}/{margin:g}", size, blur) for size in (SMALL, LARGE)]
        if not all(map(self._is_here, names)):
            cut = cut_face(path, self.decoders, of, margin)
            if cut is None:
                return None, None
            for name, size in zip(names, (SMALL, LARGE), strict=True):
                write_picture(self.folder / name, webp(cut.resize((size, size), Image.Resampling.LANCZOS), blur=blur))
        self.used.update(names)
        return names[0], names[1]

    def sweep(self) -> None:
        """Remove pictures that no page shows any more."""
        for path in [*self.folder.glob("*.webp"), *self.folder.glob(".*.tmp")]:
            if path.name not in self.used:
                path.unlink(missing_ok=True)

    def _kept(self, name: str, make: Callable[[], bytes | None]) -> str | None:
        if not self._is_here(name):
            data = make()
            if data is None:
                return None
            write_picture(self.folder / name, data)
        self.used.add(name)
        return name

    def _is_here(self, name: str) -> bool:
        path = self.folder / name
        return path.is_file() and path.stat().st_size > 0


def write_picture(path: Path, data: bytes) -> None:
    """Whole, but not flushed to the disk: what a power cut leaves empty is made again."""
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)  # readable by its owner alone
    with os.fdopen(handle, "wb") as out:
        out.write(data)
    Path(temporary).replace(path)


def _name(kind: str, content: str, size: int, blur: bool) -> str:
    key = f"{kind}\0{content}\0{size}\0{blur}"
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:24] + ".webp"


def _square(path: Path, decoders: DecoderPool, size: int, *, blur: bool) -> bytes | None:
    try:
        shown = decoders.header(path).size
        rgb = decoders(path, shrink=shrink_for(min(shown) / size) if shown else 1).rgb
    except (OSError, UnreadableImage):
        return None
    # of an upright photo the upper part: that is where faces are
    return webp(ImageOps.fit(Image.fromarray(rgb), (size, size), Image.Resampling.LANCZOS, centering=(0.5, 0.2)), blur=blur)


def cut_face(path: Path, decoders: DecoderPool, of: Face, margin: float) -> Image.Image | None:
    """A face cut out of its photo, ``LARGE`` pixels a side; None where the photo cannot be read."""
    try:
        photo = decoders(path, shrink=shrink_for(of.face_short * (1 + margin) / LARGE))
    except (OSError, UnreadableImage):
        return None
    landmarks = (np.array(of.landmarks) + 0.5) * photo.scale - 0.5
    return Image.fromarray(crops.crop(photo.rgb, landmarks, LARGE, margin))


def shrink_for(room: float) -> int:
    """The largest shrinking at decoding that leaves a picture's worth of pixels."""
    return max(s for s in (1, 2, 4, 8) if s == 1 or room >= s)


def webp(image: Image.Image, *, blur: bool) -> bytes:
    """A picture's bytes; ``blur``: of no feature of a face is anything left in them."""
    if blur:
        image = image.resize((_COLOURS, _COLOURS), Image.Resampling.BOX).resize(image.size, Image.Resampling.BICUBIC)
    out = io.BytesIO()
    image.save(out, "WEBP", quality=76, method=2)
    return out.getvalue()

"""What Immich's own jobs read off a file (size, orientation, camera) and make of it (thumbnails). No I/O but bytes."""

from __future__ import annotations

import functools
import io
import mimetypes
from dataclasses import dataclass
from datetime import UTC, datetime

import pillow_heif
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ExifTags import IFD, Base

PREVIEW_SHORT = 1440  # short side in pixels, never enlarged: 2.7.2 and 3.1.0 as recorded (1536x2048 -> 1440x1920)
THUMBNAIL_SHORT = 250
_MIMES = {".heic": "image/heic", ".heif": "image/heif", ".webp": "image/webp", ".avif": "image/avif", ".dng": "image/x-adobe-dng"}
_UNREADABLE = (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a file says of itself: stored (not yet turned) size, EXIF orientation, date and camera; None where it does not say."""

    width: int | None = None
    height: int | None = None
    orientation: int | None = None
    taken_at: datetime | None = None
    make: str | None = None
    model: str | None = None


@functools.cache
def _register_heif() -> None:
    pillow_heif.register_heif_opener()


def measure(data: bytes) -> Measured:
    """Read size and EXIF without decoding pixels; an unreadable file gives an empty answer, as Immich stores it."""
    _register_heif()
    try:
        with Image.open(io.BytesIO(data)) as image:
            exif = image.getexif()
            orientation = exif.get(Base.Orientation)
            stamp = exif.get_ifd(IFD.Exif).get(Base.DateTimeOriginal)
            return Measured(
                width=image.width,
                height=image.height,
                orientation=orientation if isinstance(orientation, int) else None,
                taken_at=_exif_time(stamp),
                make=_text(exif.get(Base.Make)),
                model=_text(exif.get(Base.Model)),
            )
    except _UNREADABLE:
        return Measured()


def _text(value: object) -> str | None:
    return value.strip("\x00 ") or None if isinstance(value, str) else None


def _exif_time(value: object) -> datetime | None:
    try:
        return datetime.strptime(str(value), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def oriented(width: int, height: int, orientation: int | None) -> tuple[int, int]:
    """Size as displayed: orientations 5 to 8 stand on their side."""
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def fit_short(width: int, height: int, short: int) -> tuple[int, int]:
    """Size with the short side brought down to ``short``; small pictures stay as they are."""
    scale = short / min(width, height)
    return (width, height) if scale >= 1 else (max(1, round(width * scale)), max(1, round(height * scale)))


def mime_type(file_name: str) -> str:
    """By the name's ending, as Immich does."""
    ending = "." + file_name.rsplit(".", 1)[-1].lower() if "." in file_name else ""
    return _MIMES.get(ending) or mimetypes.types_map.get(ending, "application/octet-stream")


def render(data: bytes, *, short: int, webp: bool, edit: tuple[tuple[str, tuple[float, ...]], ...] = ()) -> bytes | None:
    """A thumbnail of a file, turned upright, as JPEG or WebP; None where it cannot be decoded. ``edit``: see ``edits.steps``."""
    _register_heif()
    try:
        with Image.open(io.BytesIO(data)) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
    except _UNREADABLE:
        return None
    for action, numbers in edit:
        if action == "crop":
            x, y, w, h = numbers
            image = image.crop((round(x), round(y), round(x + w), round(y + h)))
        elif action == "rotate":
            image = image.rotate(-numbers[0], expand=True)  # Immich's angles are clockwise
        elif action == "mirror":
            image = ImageOps.mirror(image) if numbers[0] else ImageOps.flip(image)
    image = image.resize(fit_short(*image.size, short))
    out = io.BytesIO()
    image.save(out, "WEBP" if webp else "JPEG", quality=80)
    return out.getvalue()

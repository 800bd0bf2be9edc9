"""What a photo's header says of it: when it was taken, and its size. Bytes in, facts out; decodes no pixel."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from PIL import ExifTags

from facesets.photos.decode import is_raw, opened, shown_size
from facesets.photos.pixels import orientation

# A year, month, day and time with any of the separators that cameras and editors use; what follows (fractions, a zone) is left out.
_DATE: Final = re.compile(r"\s*(\d{4})[:\-/.](\d{1,2})[:\-/.](\d{1,2})[ T](\d{1,2}):(\d{2})(?::(\d{2}))?")
_XMP_DATES: Final = (rb"exif:DateTimeOriginal", rb"photoshop:DateCreated", rb"xmp:CreateDate")
_TAGS: Final = (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized)


@dataclass(frozen=True, slots=True)
class Header:
    """When a photo was taken (wall-clock time there, ISO 8601 without a zone), its width and height as shown, where known, and the EXIF
    orientation (1 to 8) by which it is shown so.
    """

    taken_at: str | None = None
    size: tuple[int, int] | None = None
    orientation: int = 1


def read_header(data: bytes) -> Header:
    """The header of the photo in ``data``; of a broken or foreign file nothing is known."""
    size: tuple[int, int] | None
    try:
        with opened(data) as image:
            size, turn = shown_size(image), orientation(image)
            if image.format == "TIFF" and is_raw(image):  # what it shows is its thumbnail
                size = None
            tags = image.getexif().get_ifd(ExifTags.IFD.Exif)
            xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    except Exception:  # noqa: BLE001 - a broken header raises anything; embedding decides whether the photo can be read
        return Header()
    texts = [str(tags.get(tag, "")) for tag in _TAGS]
    texts += _xmp_dates(xmp.encode() if isinstance(xmp, str) else xmp if isinstance(xmp, bytes) else b"")
    return Header(next((date for date in map(wall_clock, texts) if date), None), size, turn)


def wall_clock(text: str) -> str | None:
    """A date as EXIF, XMP or an editor writes it, as ISO 8601 to the second and without its zone; None for no date."""
    found = _DATE.match(text)
    if found is None:
        return None
    try:
        return datetime(*(int(part or 0) for part in found.groups())).isoformat()  # type: ignore[arg-type] # noqa: DTZ001 - no zone is wanted
    except ValueError:
        return None


def _xmp_dates(xmp: bytes) -> list[str]:
    found = (re.search(name + rb"""(?:=["']|>)([^"'<]{1,64})""", xmp) for name in _XMP_DATES)
    return [match.group(1).decode(errors="replace") for match in found if match]

"""Embedding room: photo files into pixels. Reads the one file it is given; decodes through Pillow and pillow-heif, JPEG XL and
cameras' RAW through pillow-jxl-plugin and rawpy where those are installed.

What comes out is oriented (EXIF orientations 1 to 8, HEIF and AVIF turns), 8 bit, RGB, transparency laid on white, the first
frame of an animation. What cannot be decoded raises errors.UnreadableImage with the reason.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pillow_heif
from PIL import Image

from facesets.embedding.jpeg import Frame, frame
from facesets.errors import UnreadableImage
from facesets.records import Box, Reason

Pixels = npt.NDArray[np.uint8]

#: Where Pillow itself refuses: 179 megapixels. Its warning at half of that would turn away phones of 108 megapixels.
MAX_PIXELS: Final = 2 * 89_478_485
MAX_BYTES: Final = 1 << 30

pillow_heif.register_heif_opener()
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MAX_PIXELS is checked before anything is decoded

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION, _SUBFILE, _DNG_VERSION = 274, 254, 50706  # EXIF and TIFF tags

# What files begin with that Pillow does not take: offset, bytes, name, and whether it is a photo format that was damaged.
_SIGNS: Final = (
    (0, b"\xff\xd8\xff", "JPEG", True),
    (0, b"\x89PNG\r\n\x1a\n", "PNG", True),
    (0, b"GIF8", "GIF", True),
    (8, b"WEBP", "WebP", True),
    (4, b"ftypheic", "HEIC", True),
    (4, b"ftypheix", "HEIC", True),
    (4, b"ftypmif1", "HEIF", True),
    (4, b"ftypavif", "AVIF", True),
    (4, b"ftypcrx ", "Canon RAW", False),
    (4, b"ftyp", "a video", False),
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAW", False),
    (0, b"IIU\0", "Panasonic RAW", False),
    (0, b"IIRO", "Olympus RAW", False),
    (0, b"FOVb", "Sigma RAW", False),
    (0, b"%PDF", "PDF", False),
    (0, b"<", "HTML or XML", False),
    (0, b"{", "JSON", False),
)

_JXL: Final = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
_RAW: Final = ((4, b"ftypcrx "), (0, b"FUJIFILMCCD-RAW"), (0, b"IIU\0"), (0, b"IIRO"), (0, b"FOVb"))  # beside those that are TIFFs
_TIFF: Final = (b"II*\0", b"MM\0*")
_WORTH_CUTTING: Final = 0.9  # of a photo's rows
_CUT_OFF: Final = ("truncat", "broken data stream", "unexpected end", "end of file")  # how decoders say it


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels [h, w, 3] RGB and the size of the oriented original; ``scale`` is decoded pixels per original pixel.

    Where only a part was asked for, ``of`` is the width and height that all of it would have in decoded pixels, and ``at`` the
    part's left and top in it.
    """

    rgb: Pixels
    width: int
    height: int
    at: tuple[int, int] = (0, 0)
    of: tuple[int, int] | None = None

    @property
    def scale(self) -> float:
        """1 for a full decode, about .5, .25 or .125 for a shrunk one."""
        return float((self.of[0] if self.of else self.rgb.shape[1]) / self.width)

    @property
    def full(self) -> bool:
        """Whether every pixel of the original is here."""
        return self.of is None and self.scale == 1

    def laid_out(self) -> Pixels:
        """The photo at its whole size, black where it was not decoded."""
        if self.of is None:
            return self.rgb
        rows, columns = self.rgb.shape[:2]
        canvas = np.zeros((self.of[1], self.of[0], 3), np.uint8)
        canvas[self.at[1] : self.at[1] + rows, self.at[0] : self.at[0] + columns] = self.rgb
        return canvas


def decode(source: bytes | Path, *, shrink: int = 1, part: Box | None = None, max_pixels: int = MAX_PIXELS) -> Decoded:
    """The photo in ``source``. A JPEG is decoded at ``1 / shrink`` (1, 2, 4 or 8) of its size; other formats always whole.

    With ``part`` (oriented original pixels) no more than that need be decoded, where less is less work.
    Raises errors.UnreadableImage for bytes that give no photo, and OSError where the file itself cannot be read.
    """
    data = source if isinstance(source, bytes) else _read(source)
    if not data:
        raise UnreadableImage(Reason.EMPTY_FILE, "the file has no bytes")
    if data.startswith(_JXL):
        _know_jpeg_xl()
    if any(data.startswith(sign, offset) for offset, sign in _RAW):
        return _developed(data, max_pixels)
    cut = frame(data) if part else None
    if part and cut and cut.columns * cut.rows <= max_pixels and (seen := _in_part(data, cut, part, shrink)):
        return seen
    try:
        image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise UnreadableImage(Reason.TOO_LARGE, str(error)) from error
    except Exception as error:  # plugins raise whatever broken bytes make them raise
        if data.startswith(_TIFF):
            return _developed(data, max_pixels)  # most cameras' RAW is a TIFF, and some of them in a way of their own
        raise _unrecognised(data) from error
    with image:
        _small_enough(image.width, image.height, max_pixels)
        if image.format == "TIFF" and _is_raw(image):
            return _developed(data, max_pixels)
        full = image.size
        try:
            if shrink > 1:
                image.draft(None, (max(1, image.width // shrink), max(1, image.height // shrink)))
            drafted = image.size != full
            pixels = _eight_bit_rgb(image)
        except Exception as error:
            raise _broken(error) from error
        orientation = _orientation(image)  # after loading: Pillow turns TIFFs itself, then
    rgb = _turned(pixels, orientation)
    if not drafted:
        return Decoded(rgb, rgb.shape[1], rgb.shape[0])
    return Decoded(rgb, *(full if orientation < 5 else full[::-1]))


def _in_part(data: bytes, cut: Frame, part: Box, shrink: int) -> Decoded | None:
    """``part`` of a JPEG, decoded no further down than it reaches; None where that saves little, or is not to be had."""
    shown, whole = cut.shown(part, shrink)
    box, rows = cut.stored(shown, shrink)
    if rows > _WORTH_CUTTING * cut.rows or shown[0] >= shown[2] or shown[1] >= shown[3]:
        return None
    try:
        with Image.open(io.BytesIO(cut.cut(data, rows))) as image:
            if shrink > 1:
                image.draft(None, (cut.columns // shrink, rows // shrink))
            if _orientation(image) != cut.orientation or image.size != (-(-cut.columns // shrink), -(-rows // shrink)):
                return None
            rgb = _turned(_eight_bit_rgb(image.crop(box)), cut.orientation)
    except Exception:  # noqa: BLE001 - whatever it is, decoding all of it will say it better
        return None
    return Decoded(rgb, *cut.size, shown[:2], whole)


def _small_enough(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UnreadableImage(Reason.TOO_LARGE, f"{width} x {height} pixels, the limit is {max_pixels}")


def _know_jpeg_xl() -> None:
    try:
        import pillow_jxl  # noqa: F401, PLC0415 - registers itself; a plugin that not everybody has
    except ImportError as error:
        problem = "this is JPEG XL, which no decoder here takes: pip install pillow-jxl-plugin (GPL)"
        raise UnreadableImage(Reason.UNSUPPORTED, problem) from error


def _developed(data: bytes, max_pixels: int) -> Decoded:
    """A camera's RAW, developed with its own white balance, turned as the camera says."""
    try:
        import rawpy  # noqa: PLC0415 - heavy, and not everybody has it
    except ImportError as error:
        problem = "a camera's RAW file, of which only the thumbnail could be read: pip install 'facesets[raw]'"
        raise UnreadableImage(Reason.UNSUPPORTED, problem) from error
    try:
        with rawpy.imread(io.BytesIO(data)) as raw:
            _small_enough(raw.sizes.width, raw.sizes.height, max_pixels)
            rgb = np.ascontiguousarray(raw.postprocess(use_camera_wb=True, output_bps=8), np.uint8)
    except UnreadableImage:
        raise
    except rawpy.LibRawFileUnsupportedError as error:
        raise UnreadableImage(Reason.UNSUPPORTED, "neither a photo that a decoder here takes nor a RAW that LibRaw knows") from error
    except Exception as error:
        raise _broken(error) from error
    return Decoded(rgb, rgb.shape[1], rgb.shape[0])


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise UnreadableImage(Reason.TOO_LARGE, f"the file has more than {MAX_BYTES >> 20} MB")
    return path.read_bytes()


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - a photo with damaged EXIF is still a photo
        return 1
    return value if value in _TURNS else 1


def _turned(pixels: Pixels, orientation: int) -> Pixels:
    if orientation not in _TURNS:
        return pixels
    return np.asarray(Image.fromarray(pixels).transpose(_TURNS[orientation]))


def _is_raw(image: Image.Image) -> bool:
    tags = image.getexif()
    return _DNG_VERSION in tags or bool(int(tags.get(_SUBFILE, 0)) & 1)


def _eight_bit_rgb(image: Image.Image) -> Pixels:
    image.load()
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.uint16) >> 8  # convert("RGB") would cut off at 255
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        grey = np.asarray(image, np.float64)
        top = float(np.nanmax(grey, initial=0))
        full = next((full for full in (1.0, 255.0, 65535.0) if top <= full), top)
        grey = np.nan_to_num(np.clip(grey, 0, full) * (255.0 / full))
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.new("RGB", layer.size, (255, 255, 255))
        image.paste(layer, mask=layer.getchannel("A"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))  # a copy costs as much as decoding at half size


def _unrecognised(data: bytes) -> UnreadableImage:
    for offset, sign, name, photo in _SIGNS:
        if data.startswith(sign, offset):
            if photo:
                return UnreadableImage(Reason.UNREADABLE, f"begins as {name} but is damaged")
            return UnreadableImage(Reason.UNSUPPORTED, f"this is {name}, which no decoder here takes")
    return UnreadableImage(Reason.UNSUPPORTED, "no decoder here recognises it")


def _broken(error: Exception) -> UnreadableImage:
    if isinstance(error, MemoryError):
        return UnreadableImage(Reason.TOO_LARGE, "decoding it takes more memory than there is")
    detail = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    short = isinstance(error, EOFError) or any(sign in detail.lower() for sign in _CUT_OFF)
    return UnreadableImage(Reason.TRUNCATED if short else Reason.UNREADABLE, detail)

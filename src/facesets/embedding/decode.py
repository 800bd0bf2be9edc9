"""Embedding room: photo files into pixels. Reads the one file it is given; decodes through Pillow and pillow-heif, JPEG XL and
cameras' RAW through pillow-jxl-plugin and rawpy where those are installed.

What comes out is oriented (EXIF orientations 1 to 8, HEIF and AVIF turns), 8 bit, RGB, transparency laid on white, the first
frame of an animation. What cannot be decoded raises errors.UnreadableImage with the reason.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pillow_heif
from PIL import Image

from facesets.embedding.jpeg import Frame, frame
from facesets.embedding.pixels import PIECE, Piece, Pixels, Rect, orientation, pieces, stored, upright
from facesets.errors import UnreadableImage
from facesets.records import Box, Reason

#: Where Pillow itself refuses: 179 megapixels. Its warning at half of that would turn away phones of 108 megapixels.
MAX_PIXELS: Final = 2 * 89_478_485
MAX_BYTES: Final = 1 << 30

pillow_heif.register_heif_opener()
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MAX_PIXELS is checked before anything is decoded

_SUBFILE, _DNG_VERSION = 254, 50706  # TIFF tags

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
_BYTES_A_PIXEL: Final = {"JPEG": 4, "MPO": 4, "PNG": 4, "TIFF": 5, "HEIF": 11, "AVIF": 11}  # in the decoder, at its height
_BYTES_FOR_A_PIECE: Final = 10  # a pixel
_MOST_BYTES_A_PIXEL: Final = 20
_WORTH_CUTTING: Final = 0.9  # of a photo's rows
_CUT_OFF: Final = ("truncat", "broken data stream", "unexpected end", "end of file")  # how decoders say it


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels [h, w, 3] RGB and the size of the oriented original; ``scale`` is decoded pixels per original pixel.

    Where only a part was asked for, ``seen`` may say which: the rest is black.
    """

    rgb: Pixels
    width: int
    height: int
    seen: Rect | None = None

    @property
    def scale(self) -> float:
        """1 for a full decode, about .5, .25 or .125 for a shrunk one."""
        return float(self.rgb.shape[1] / self.width)

    @property
    def full(self) -> bool:
        """Whether every pixel of the original is here."""
        return self.seen is None and self.scale == 1


@dataclass(frozen=True, slots=True)
class Loaded:
    """A photo that a decoder is through with: width and height as decoded, those of the original, and the pixels in pieces."""

    size: tuple[int, int]
    original: tuple[int, int]
    seen: Rect | None
    pieces: Iterator[Piece]


@dataclass(frozen=True, slots=True)
class Opened:
    """A photo of which the header was read. ``given`` bytes come of it, and ``taken`` bytes are in use until they have."""

    given: int
    taken: int
    load: Callable[[], Loaded]  # raises errors.UnreadableImage


def decode(source: bytes | Path, *, shrink: int = 1, part: Box | None = None, max_pixels: int = MAX_PIXELS) -> Decoded:
    """The photo in ``source``. A JPEG is decoded at ``1 / shrink`` (1, 2, 4 or 8) of its size; other formats always whole.

    With ``part`` (oriented original pixels) no more than that need be decoded, where less is less work.
    Raises errors.UnreadableImage for bytes that give no photo, and OSError where the file itself cannot be read.
    """
    loaded = opened(source if isinstance(source, bytes) else read(source), shrink=shrink, part=part, max_pixels=max_pixels).load()
    some = list(loaded.pieces)
    if len(some) == 1 and some[0][2].shape[1::-1] == loaded.size:
        return Decoded(some[0][2], *loaded.original)
    rgb = np.zeros((loaded.size[1], loaded.size[0], 3), np.uint8)
    for left, top, piece in some:
        rgb[top : top + piece.shape[0], left : left + piece.shape[1]] = piece
    return Decoded(rgb, *loaded.original, loaded.seen)


def opened(data: bytes, *, shrink: int = 1, part: Box | None = None, max_pixels: int = MAX_PIXELS) -> Opened:
    """The photo in ``data`` by its header. Raises errors.UnreadableImage."""
    if not data:
        raise UnreadableImage(Reason.EMPTY_FILE, "the file has no bytes")
    if data.startswith(_JXL):
        _know_jpeg_xl()
    if any(data.startswith(sign, offset) for offset, sign in _RAW):
        return _raw(data, max_pixels)
    cut = frame(data) if part else None
    if part and cut and cut.columns * cut.rows <= max_pixels and (some := _part(data, cut, part, shrink)):
        return some
    return _whole(data, shrink, max_pixels)


def _part(data: bytes, cut: Frame, part: Box, shrink: int) -> Opened | None:
    """``part`` of a JPEG, to be decoded no further down than it reaches; None where that saves little, or is not to be had."""
    size, seen = cut.shrunk(shrink), cut.shown(part, shrink)
    rect = stored(seen, size, cut.orientation)
    rows = cut.down_to(rect[3], shrink)
    if rows > _WORTH_CUTTING * cut.rows or seen[0] >= seen[2] or seen[1] >= seen[3]:
        return None
    try:
        image = Image.open(io.BytesIO(cut.cut(data, rows)))
        if shrink > 1:
            image.draft(None, (cut.columns // shrink, rows // shrink))
        if orientation(image) != cut.orientation or image.size != (size[0], -(-rows // shrink)):
            return None
    except Exception:  # noqa: BLE001 - whatever it is, decoding all of it will say it better
        return None
    whole, original = (upright(of, cut.orientation) for of in (size, (cut.columns, cut.rows)))

    def load() -> Loaded:
        try:
            image.load()
        except Exception:  # noqa: BLE001 - as above
            return _whole(data, shrink, cut.columns * cut.rows).load()
        return Loaded(whole, original, seen, _reported(pieces(image, cut.orientation, rect, size)))

    return Opened(3 * size[0] * size[1], _taken(image), load)


def _whole(data: bytes, shrink: int, max_pixels: int) -> Opened:
    try:
        image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise UnreadableImage(Reason.TOO_LARGE, str(error)) from error
    except Exception as error:  # plugins raise whatever broken bytes make them raise
        if data.startswith(_TIFF):
            return _raw(data, max_pixels)  # most cameras' RAW is a TIFF, and some of them in a way of their own
        raise _unrecognised(data) from error
    _small_enough(image.width, image.height, max_pixels)
    if image.format == "TIFF" and _is_raw(image):
        return _raw(data, max_pixels)
    full = image.size
    try:
        if shrink > 1:
            image.draft(None, (max(1, image.width // shrink), max(1, image.height // shrink)))
    except Exception as error:
        raise _broken(error) from error
    drafted = image.size != full

    def load() -> Loaded:
        try:
            image.load()
            turn = orientation(image)  # after loading: Pillow turns TIFFs itself, then
            size = upright(image.size, turn)
            return Loaded(size, upright(full, turn) if drafted else size, None, _reported(pieces(image, turn)))
        except Exception as error:
            raise _broken(error) from error

    return Opened(3 * image.width * image.height, _taken(image), load)


def _reported(some: Iterator[Piece]) -> Iterator[Piece]:
    try:
        yield from some
    except Exception as error:
        raise _broken(error) from error


def _taken(image: Image.Image) -> int:
    """About how many bytes a decoder has in use; measured."""
    pixels = image.width * image.height
    of_all = _BYTES_A_PIXEL.get(image.format or "", _MOST_BYTES_A_PIXEL)
    return pixels * of_all + min(pixels, PIECE) * _BYTES_FOR_A_PIECE


def _small_enough(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UnreadableImage(Reason.TOO_LARGE, f"{width} x {height} pixels, the limit is {max_pixels}")


def _know_jpeg_xl() -> None:
    try:
        import pillow_jxl  # noqa: F401, PLC0415 - registers itself; a plugin that not everybody has
    except ImportError as error:
        problem = "this is JPEG XL, which no decoder here takes: pip install pillow-jxl-plugin (GPL)"
        raise UnreadableImage(Reason.UNSUPPORTED, problem) from error


def _raw(data: bytes, max_pixels: int) -> Opened:
    """A camera's RAW, to be developed with its own white balance, turned as the camera says."""
    try:
        import rawpy  # noqa: PLC0415 - heavy, and not everybody has it
    except ImportError as error:
        problem = "a camera's RAW file, of which only the thumbnail could be read: pip install 'facesets[raw]'"
        raise UnreadableImage(Reason.UNSUPPORTED, problem) from error
    try:
        raw = rawpy.imread(io.BytesIO(data))
    except rawpy.LibRawFileUnsupportedError as error:
        raise UnreadableImage(Reason.UNSUPPORTED, "neither a photo that a decoder here takes nor a RAW that LibRaw knows") from error
    except Exception as error:
        raise _broken(error) from error
    width, height = raw.sizes.width, raw.sizes.height
    _small_enough(width, height, max_pixels)

    def load() -> Loaded:
        try:
            with raw:
                rgb = np.ascontiguousarray(raw.postprocess(use_camera_wb=True, output_bps=8), np.uint8)
        except Exception as error:
            raise _broken(error) from error
        size = (rgb.shape[1], rgb.shape[0])
        return Loaded(size, size, None, iter([(0, 0, rgb)]))

    return Opened(3 * width * height, _MOST_BYTES_A_PIXEL * width * height, load)


def read(path: Path) -> bytes:
    """The bytes of a photo. Raises OSError, and errors.UnreadableImage for more than any photo has."""
    if path.stat().st_size > MAX_BYTES:
        raise UnreadableImage(Reason.TOO_LARGE, f"the file has more than {MAX_BYTES >> 20} MB")
    return path.read_bytes()


def _is_raw(image: Image.Image) -> bool:
    tags = image.getexif()
    return _DNG_VERSION in tags or bool(int(tags.get(_SUBFILE, 0)) & 1)


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

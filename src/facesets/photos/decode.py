"""Photo files into pixels. Reads the one file it is given; decodes through Pillow and pillow-heif, JPEG XL and cameras' RAW through
pillow-jxl-plugin and rawpy where those are installed.

What comes out is oriented (EXIF orientations 1 to 8, HEIF and AVIF turns), 8 bit, RGB in sRGB's colours, transparency laid on white,
the first frame of an animation. What cannot be decoded raises errors.UnreadableImage with the reason; so does what a decoder would
get wrong: wrong pixels are worse than none.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pillow_heif
from PIL import Image, PngImagePlugin, TiffImagePlugin

from facesets import extras
from facesets.errors import UnreadableImage
from facesets.photos.code_points import with_chunks
from facesets.photos.colour import profile_of
from facesets.photos.pixels import STRIP, Encoding, Pixels, Strip, orientation, strips, upright
from facesets.records import Reason

#: 268 megapixels: phones make 200. Such a photo takes 1.9 GB while it is decoded, and is decoded alone (:mod:`facesets.photos.memory`).
MAX_PIXELS: Final = 1 << 28
MAX_BYTES: Final = 1 << 30
_TEXT_BYTES: Final = 64 << 20  # of a PNG's texts; Pillow stops at 1 MB, and editors write more of XMP than that

pillow_heif.register_heif_opener()
Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS and max(Image.MAX_IMAGE_PIXELS, MAX_PIXELS)
PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, _TEXT_BYTES)
PngImagePlugin.MAX_TEXT_MEMORY = max(PngImagePlugin.MAX_TEXT_MEMORY, 2 * _TEXT_BYTES)
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # MAX_PIXELS is checked before anything is decoded
# What Pillow thinks of damaged headers: the photo's reason says what came of it.
logging.getLogger("PIL").addHandler(logging.NullHandler())
warnings.filterwarnings("ignore", module=r"PIL\.")

# What photos are kept in. Pillow knows 40 formats more; some of them take any bytes for a picture, and one runs Ghostscript.
_FORMATS: Final = ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "HEIF", "AVIF", "JPEG2000", "PSD", "PPM")
_COLOURS: Final = (b"iCCP", b"cICP", b"sRGB", b"gAMA", b"cHRM")  # of a PNG
_SIGNED: Final = 2  # TIFF's SampleFormat
_GREYS: Final = (0, 1)  # TIFF's PhotometricInterpretation
_SUBFILE, _BITS, _PHOTOMETRIC, _PLANES, _EXTRA, _SAMPLES, _DNG_VERSION = 254, 258, 262, 284, 338, 339, 50706
_MAKE, _SUBFOLDERS = 271, 330  # TIFF tags

# What files begin with that Pillow does not take: offset, bytes, name, and whether it is a photo format that was damaged.
_SIGNS: Final = (
    (0, b"\xff\xd8\xff", "JPEG", True),
    (0, b"\x89PNG\r\n\x1a\n", "PNG", True),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000", True),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", True),
    (0, b"BM", "BMP", True),
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
    (0, b"%!", "PostScript", False),
    (0, b"8BPS", "Photoshop's format of a kind", False),
    (0, b"<", "HTML or XML", False),
    (0, b"{", "JSON", False),
)

_JXL: Final = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
_RAW: Final = ((4, b"ftypcrx "), (0, b"FUJIFILMCCD-RAW"), (0, b"IIU\0"), (0, b"IIRO"), (0, b"FOVb"))  # beside those that are TIFFs
_TIFF: Final = (b"II*\0", b"MM\0*")
_BYTES_A_PIXEL: Final = {"JPEG": 4, "MPO": 4, "PNG": 4, "TIFF": 5, "HEIF": 11, "AVIF": 11}  # in the decoder, at its height
_BYTES_OF_COEFFICIENTS: Final = 6  # a pixel of a progressive JPEG's full size, whatever size it is decoded at
_BYTES_FOR_A_STRIP: Final = 13  # a pixel
_MOST_BYTES_A_PIXEL: Final = 20
_CUT_OFF: Final = ("truncat", "broken data stream", "unexpected end", "end of file")  # how decoders say it


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels [h, w, 3] RGB and the size of the oriented original; ``scale`` is decoded pixels per original pixel.

    ``orientation`` is how the file has it stored (EXIF, 1 to 8; 1 where the decoder itself turns it).
    """

    rgb: Pixels
    width: int
    height: int
    orientation: int = 1

    @property
    def scale(self) -> float:
        """1 for a full decode, about .5, .25 or .125 for a shrunk one."""
        return float(self.rgb.shape[1] / self.width)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A photo that a decoder is through with: width and height as decoded, those of the original, the pixels in strips, EXIF turn."""

    size: tuple[int, int]
    original: tuple[int, int]
    strips: Iterator[Strip]
    orientation: int = 1


@dataclass(frozen=True, slots=True)
class Opened:
    """A photo of which the header was read: bytes of its pixels, bytes that decoding them needs beside, and what decodes them."""

    pixel_bytes: int
    decoder_bytes: int
    load: Callable[[], Loaded]  # raises errors.UnreadableImage


def decode(source: bytes | Path, *, shrink: int = 1, max_pixels: int = MAX_PIXELS) -> Decoded:
    """The photo in ``source``. A JPEG is decoded at ``1 / shrink`` (1, 2, 4 or 8) of its size; other formats always whole.

    Raises errors.UnreadableImage for bytes that give no photo, and OSError where the file itself cannot be read.
    """
    loaded = open_photo(source if isinstance(source, bytes) else read(source), shrink=shrink, max_pixels=max_pixels).load()
    some = list(loaded.strips)
    if len(some) == 1:
        return Decoded(some[0][2], *loaded.original, loaded.orientation)
    rgb = np.empty((loaded.size[1], loaded.size[0], 3), np.uint8)
    for left, top, strip in some:
        rgb[top : top + strip.shape[0], left : left + strip.shape[1]] = strip
    return Decoded(rgb, *loaded.original, loaded.orientation)


def open_photo(data: bytes, *, shrink: int = 1, max_pixels: int = MAX_PIXELS) -> Opened:
    """The photo in ``data`` by its header. Raises errors.UnreadableImage."""
    if not data:
        raise UnreadableImage(Reason.EMPTY_FILE, "the file has no bytes")
    if data[0] == 0 and data.count(0) == len(data):
        raise UnreadableImage(Reason.UNREADABLE, "the file holds zeros only")
    if data.startswith(_JXL):
        _know_jpeg_xl()
    if any(data.startswith(sign, offset) for offset, sign in _RAW):
        return _raw(data, max_pixels)
    try:
        image = opened(data)
    except Image.DecompressionBombError as error:
        raise UnreadableImage(Reason.TOO_LARGE, str(error)) from error
    except Exception as error:  # plugins raise whatever broken bytes make them raise
        if data.startswith(_TIFF) and _may_be_raw(data):  # in a way of its maker's own
            return _raw(data, max_pixels, otherwise=_refused_tiff(data))
        raise (_refused_tiff(data) if data.startswith(_TIFF) else _unrecognised(data)) from error
    _small_enough(image.width, image.height, max_pixels)
    full = image.size
    try:
        if image.format == "TIFF" and is_raw(image):
            return _raw(data, max_pixels)
        encoding, garbled = _encoding(image, data), _garbled(image)
        if shrink > 1:
            image.draft(None, (max(1, image.width // shrink), max(1, image.height // shrink)))
    except UnreadableImage:
        raise
    except Exception as error:
        raise _broken(error) from error
    if garbled:
        raise UnreadableImage(Reason.UNSUPPORTED, f"a TIFF {garbled}, which no decoder here takes")
    drafted = image.size != full
    coefficients = _BYTES_OF_COEFFICIENTS * full[0] * full[1] if image.info.get("progressive") else 0

    def load() -> Loaded:
        try:
            image.load()
            turn = orientation(image)  # after loading: Pillow turns TIFFs itself, then
            size = upright(image.size, turn)
            return Loaded(size, upright(full, turn) if drafted else size, _reported(strips(image, turn, encoding)), turn)
        except Exception as error:
            raise _broken(error) from error

    return Opened(3 * image.width * image.height, _decoder_bytes(image) + coefficients, load)


def shown_size(image: Image.Image) -> tuple[int, int]:
    """Width and height of an opened photo as it is shown; no pixel is decoded."""
    return image.size if image.format == "TIFF" else upright(image.size, orientation(image))  # Pillow turns TIFFs itself


def opened(data: bytes) -> Image.Image:
    """The photo in ``data`` with its header read. Raises whatever broken bytes make Pillow raise.

    A PNG is not lost by what stands beside its pixels: damaged texts are left out, and then what it says of its colours.
    """
    try:
        return Image.open(io.BytesIO(data), formats=None if data.startswith(_JXL) else _FORMATS)
    except Exception as error:
        if isinstance(error, Image.DecompressionBombError) or not data.startswith(b"\x89PNG"):
            raise
        for chunks in (_COLOURS, ()):
            with suppress(Exception):
                return Image.open(io.BytesIO(with_chunks(data, chunks)), formats=("PNG",))
        raise


def _garbled(image: Image.Image) -> str:
    """What Pillow would make a wrong picture of, as OpenCV does: of a plane it takes what it holds for all three colours, and of values
    it does not know their sign.
    """
    if image.format != "TIFF":
        return ""
    if _tag(image, _PLANES) == 2 and max(_tags(image, _BITS), default=8) > 8:
        return "with a plane of more than 8 bit for each colour"
    return "of 8 or 16 bit with a sign" if _is_signed(image) and max(_tags(image, _BITS), default=8) < 32 else ""


def _is_signed(image: Image.Image) -> bool:
    return _SIGNED in _tags(image, _SAMPLES)


def _encoding(image: Image.Image, data: bytes) -> Encoding:
    known = profile_of(image, data)
    opaque = image.format == "TIFF" and image.mode == "RGBA" and _tag(image, _EXTRA) is None
    if image.format != "TIFF" or not (image.mode.startswith("I;16") or image.mode in ("I", "F")):
        return Encoding(profile=known, opaque=opaque)
    return Encoding(max(_tags(image, _BITS), default=16), _tag(image, _PHOTOMETRIC) == 0, known, signed=_is_signed(image))


def _tags(image: Image.Image, tag: int) -> tuple[int, ...]:
    value: Any = getattr(image, "tag_v2", {}).get(tag, ())
    return value if isinstance(value, tuple) else (value,)


def _tag(image: Image.Image, tag: int) -> int | None:
    return next(iter(_tags(image, tag)), None)


def _reported(some: Iterator[Strip]) -> Iterator[Strip]:
    try:
        yield from some
    except Exception as error:
        raise _broken(error) from error


def _decoder_bytes(image: Image.Image) -> int:
    """About how many bytes a decoder has in use; measured."""
    pixels = image.width * image.height
    of_all = _BYTES_A_PIXEL.get(image.format or "", _MOST_BYTES_A_PIXEL)
    return pixels * of_all + min(pixels, STRIP) * _BYTES_FOR_A_STRIP


def _small_enough(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UnreadableImage(Reason.TOO_LARGE, f"{width} x {height} pixels, the limit is {max_pixels}")


def _know_jpeg_xl() -> None:
    try:
        import pillow_jxl  # noqa: F401, PLC0415 - registers itself; a plugin that not everybody has
    except ImportError as error:
        problem = "this is JPEG XL, which no decoder here takes: pip install pillow-jxl-plugin (GPL)"
        raise UnreadableImage(Reason.UNSUPPORTED, problem) from error


def _raw(data: bytes, max_pixels: int, otherwise: UnreadableImage | None = None) -> Opened:
    """A camera's RAW, to be developed with its own white balance, turned as the camera says. ``otherwise``: what is to be said where
    it may be none.
    """
    try:
        import rawpy  # noqa: PLC0415 - heavy, and not everybody has it
    except ImportError as error:
        if otherwise is not None:
            raise UnreadableImage(otherwise.reason, f"{otherwise.detail}; if it is a camera's RAW: {extras.get('raw')}") from error
        problem = f"a camera's RAW file, of which only the thumbnail could be read: {extras.get('raw')}"
        raise UnreadableImage(Reason.UNSUPPORTED, problem) from error
    try:
        raw = rawpy.imread(io.BytesIO(data))
    except rawpy.LibRawFileUnsupportedError as error:
        problem = "neither a photo that a decoder here takes nor a RAW that LibRaw knows"
        raise otherwise or UnreadableImage(Reason.UNSUPPORTED, problem) from error
    except Exception as error:
        raise otherwise or _broken(error) from error
    width, height = raw.sizes.width, raw.sizes.height
    _small_enough(width, height, max_pixels)

    def load() -> Loaded:
        try:
            with raw:
                rgb = np.ascontiguousarray(raw.postprocess(use_camera_wb=True, output_bps=8), np.uint8)
        except Exception as error:
            raise _broken(error) from error
        size = (rgb.shape[1], rgb.shape[0])
        return Loaded(size, size, iter([(0, 0, rgb)]))

    return Opened(3 * width * height, _MOST_BYTES_A_PIXEL * width * height, load)


def read(path: Path) -> bytes:
    """The bytes of a photo. Raises OSError, and errors.UnreadableImage for more than any photo has."""
    if path.stat().st_size > MAX_BYTES:
        raise UnreadableImage(Reason.TOO_LARGE, f"the file has more than {MAX_BYTES >> 20} MB")
    return path.read_bytes()


def is_raw(image: Image.Image) -> bool:
    """Whether an opened TIFF is a camera's RAW, of which Pillow sees the thumbnail."""
    tags = image.getexif()
    return _DNG_VERSION in tags or bool(int(tags.get(_SUBFILE, 0)) & 1)


def _may_be_raw(data: bytes) -> bool:
    """Whether a TIFF that Pillow does not open is a camera's. LibRaw develops others, too, and makes negatives and noise of them."""
    try:
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        made = _DNG_VERSION in tags or (_MAKE in tags and (_SUBFOLDERS in tags or tags.get(_PHOTOMETRIC) not in _GREYS))
    except Exception:  # noqa: BLE001 - whatever broken bytes raise
        return False
    return made


def _refused_tiff(data: bytes) -> UnreadableImage:
    """Why Pillow does not open a TIFF."""
    try:
        TiffImagePlugin.TiffImageFile(io.BytesIO(data))
    except SyntaxError as error:
        if str(error).startswith(("unknown", "Invalid value for samples")):  # pixels, how they are stored, or their order
            return UnreadableImage(Reason.UNSUPPORTED, f"a TIFF of a kind that no decoder here takes ({error})")
    except Exception as error:  # noqa: BLE001 - whatever broken bytes raise
        return UnreadableImage(Reason.UNREADABLE, f"begins as TIFF but is damaged ({type(error).__name__})")
    return UnreadableImage(Reason.UNREADABLE, "begins as TIFF but is damaged")


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

"""Colours as sRGB, by the ICC profile that a photo carries, or by what it says without one. Pure: bytes and images in, images out.

The transform is lcms2's, by way of Pillow. A profile that is damaged, of another kind than the pixels, or that turns white into
something dark is ignored: such files are shown as if they had none.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Final

import numpy as np
from PIL import ExifTags, Image, ImageCms

from facesets.photos.code_points import cicp_of_png, nclx_of_avif
from facesets.photos.coded_colour import ADOBE_RGB, ColourSpace, by_codes, by_png, to_srgb

_MODES: Final = ("RGB", "CMYK", "L")
_SRGB: Final = ImageCms.createProfile("sRGB")
_SAME: Final = 2  # levels: rounding moves sRGB's own profile by no more
_DARK, _LIGHT = 96, 160  # what black must stay below and white above
_STEPS: Final = (0, 64, 128, 192, 255)


def as_srgb(image: Image.Image, profile: bytes | ColourSpace | None) -> Image.Image:
    """``image`` (RGB, CMYK or L) in sRGB's colours; itself where ``profile`` says nothing else, or nothing that makes sense."""
    if not profile or image.mode not in _MODES:
        return image
    if isinstance(profile, ColourSpace):
        return image if image.mode == "CMYK" else Image.fromarray(to_srgb(np.asarray(image.convert("RGB")), profile))
    transform = _transform(profile, image.mode)
    return image if transform is None else transform.apply(image)


def profile_of(image: Image.Image, data: bytes) -> bytes | ColourSpace | None:
    """What the photo in ``data``, opened as ``image``, says of its colours: an ICC profile, or a space; None for nothing or sRGB.

    Code points of HDR stand before a profile, which older programs are meant to read; then the profile, then any code points,
    then PNG's sRGB, gAMA and cHRM, then a camera's Adobe RGB.
    """
    codes = _codes(image, data)
    space = by_codes(*codes) if codes else None
    profile = image.info.get("icc_profile")
    if isinstance(profile, bytes) and profile and not (space and space.is_hdr):
        return profile
    if codes:
        return space
    if image.format == "PNG":
        return None if "srgb" in image.info else by_png(image.info.get("gamma"), image.info.get("chromaticity"))
    return ADOBE_RGB if _is_adobe_rgb(image) else None


def _codes(image: Image.Image, data: bytes) -> tuple[int, int] | None:
    """Primaries and transfer."""
    if image.format == "PNG":
        return cicp_of_png(data)
    if image.format == "AVIF":
        return nclx_of_avif(data)
    nclx = image.info.get("nclx_profile")
    return (int(nclx["color_primaries"]), int(nclx["transfer_characteristics"])) if isinstance(nclx, dict) else None


def _is_adobe_rgb(image: Image.Image) -> bool:
    """As cameras say it (DCF 2.0): a colour space that is not sRGB, and "R03"."""
    try:
        exif = image.getexif()
        index = exif.get_ifd(ExifTags.IFD.Interop).get(1)
        return exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace) == 0xFFFF and str(index).startswith("R03")
    except Exception:  # noqa: BLE001 - a photo with damaged EXIF is still a photo
        return False


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From ``profile`` to sRGB; None where that changes nothing, or where the profile is not to be trusted."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.ImageCmsTransform(
            source, ImageCms.ImageCmsProfile(_SRGB), mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
        probe = _probe(mode)
        seen = np.asarray(transform.apply(probe), int)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None
    greys = seen[0, : len(_STEPS)].mean(axis=1)
    if greys[0] > _DARK or greys[-1] < _LIGHT or (np.diff(greys) < 0).any():
        return None
    return None if np.abs(seen - np.asarray(probe.convert("RGB"), int)).max() <= _SAME else transform


def _probe(mode: str) -> Image.Image:
    """Greys from black to white, then mixed colours, in one row."""
    greys = [(step,) * 3 for step in _STEPS]
    mixed = [(r, g, b) for r in _STEPS for g in _STEPS for b in _STEPS]
    row = Image.fromarray(np.array([greys + mixed], np.uint8))
    if mode == "CMYK":  # Pillow's own way there leaves black ink out, which profiles take for a dark brown
        ink = Image.fromarray(np.array([[255 - step for step in _STEPS]], np.uint8))
        none = Image.new("L", ink.size)
        return Image.merge("CMYK", (none, none, none, ink))
    return row.convert(mode)

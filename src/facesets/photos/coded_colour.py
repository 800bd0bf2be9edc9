"""Colours as sRGB, by what photos say of them without an ICC profile: code points (ITU-T H.273: HEIF, AVIF, PNG's cICP), PNG's gAMA
and cHRM, and the EXIF of cameras set to Adobe RGB. Pure: numbers and arrays in, arrays out.

HDR (PQ and HLG) is shown as BT.2408 does: white at 203 nits is white, and what is brighter is compressed into the last quarter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Primaries = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]  # red, green, blue, white: x, y

_D65: Final = (0.3127, 0.3290)
_SRGB: Final[Primaries] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
_BY_CODE: Final[dict[int, Primaries]] = {
    1: _SRGB,
    2: _SRGB,  # unspecified
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    7: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351)),
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _D65),
}
_SRGB_CURVE, _PQ, _HLG = 13, 16, 18  # transfer code points
_AS_SRGB: Final = (1, 2, 6, _SRGB_CURVE, 14, 15)  # video's curves are meant for screens, as sRGB's is
_GAMMAS: Final = {4: 2.2, 5: 2.8, 8: 1.0}
_SAME_GAMMA: Final = 0.05  # share within which a gamma is called 2.2
_SANE_GAMMAS: Final = (0.9, 3.5)
_SAME_PLACE: Final = 0.002  # in x, y
_WHITE_NITS, _PEAK_NITS, _PQ_NITS = 203.0, 1000.0, 10000.0
_KNEE: Final = 0.75
_CHUNK: Final = 1 << 18  # pixels at a time: as floats they are 12 bytes each, several times over
_LEVELS: Final = 1 << 14  # at which sRGB's curve is tabled
_BRADFORD: Final = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True, slots=True)
class ColourSpace:
    """Which colours numbers mean: primaries and white, and the curve: an H.273 transfer code, or ``gamma``."""

    primaries: Primaries = _SRGB
    transfer: int = _SRGB_CURVE
    gamma: float | None = None

    @property
    def is_hdr(self) -> bool:
        """Whether it reaches far beyond white."""
        return self.transfer in (_PQ, _HLG)


ADOBE_RGB: Final = ColourSpace(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65), gamma=2.19921875)


def by_codes(primaries: int, transfer: int) -> ColourSpace | None:
    """The space of these code points; None for sRGB, and for what is not known here."""
    known = _BY_CODE.get(primaries)
    if known is None:
        return None
    if transfer in _AS_SRGB:
        return None if known is _SRGB else ColourSpace(known)
    if transfer in _GAMMAS:
        return _unless_srgb(known, _GAMMAS[transfer])
    return ColourSpace(known, transfer) if transfer in (_PQ, _HLG) else None


def by_png(gamma: float | None, chromaticities: tuple[float, ...] | None) -> ColourSpace | None:
    """The space of PNG's gAMA (about .45) and cHRM (white, red, green, blue: x, y); None for sRGB, and for what makes no sense."""
    primaries = _SRGB
    if chromaticities is not None:
        pairs = list(zip(chromaticities[::2], chromaticities[1::2], strict=True))
        primaries = (pairs[1], pairs[2], pairs[3], pairs[0])
        if not _makes_sense(primaries):
            return None
    if not gamma:
        return None if _same(primaries, _SRGB) else ColourSpace(primaries)
    return _unless_srgb(primaries, 1 / gamma) if _SANE_GAMMAS[0] <= 1 / gamma <= _SANE_GAMMAS[1] else None


def to_srgb(rgb: npt.NDArray[np.uint8], space: ColourSpace) -> npt.NDArray[np.uint8]:
    """``rgb`` [h, w, 3] of ``space`` in sRGB's numbers."""
    curve, matrix, encoded = _curve(space), _matrix(space.primaries), _srgb_levels()
    result = np.empty_like(rgb)
    rows = max(1, _CHUNK // max(1, rgb.shape[1]))
    for top in range(0, rgb.shape[0], rows):
        linear = curve[rgb[top : top + rows]]
        if space.transfer == _HLG:
            luminance = linear @ np.array([0.2627, 0.6780, 0.0593], np.float32)
            linear *= (luminance**0.2)[..., None] * np.float32(_PEAK_NITS / _WHITE_NITS)
        if space.is_hdr:
            linear = _compressed(linear)
        linear = np.clip(linear @ matrix.T, 0, 1)
        result[top : top + rows] = encoded[(linear * (_LEVELS - 1) + 0.5).astype(np.uint16)]
    return result


def _compressed(linear: Floats) -> Floats:
    """Up to the knee as it is; from there to the peak ever more compressed, by one factor for all three colours."""
    brightest = linear.max(axis=2, keepdims=True)
    above = np.maximum(brightest - _KNEE, 0) / (1 - _KNEE)
    peak = (_PEAK_NITS / _WHITE_NITS - _KNEE) / (1 - _KNEE)
    shown = _KNEE + (1 - _KNEE) * above * (1 + above / peak**2) / (1 + above)
    return np.where(brightest > _KNEE, linear * (np.minimum(shown, 1) / np.maximum(brightest, _KNEE)), linear).astype(np.float32)


@lru_cache(maxsize=8)
def _curve(space: ColourSpace) -> Floats:
    """Light for each of 256 values, white being 1; of HLG the light of the scene."""
    v = np.arange(256) / 255
    if space.gamma is not None:
        light = v**space.gamma
    elif space.transfer == _PQ:  # SMPTE ST 2084
        root = v ** (32 / 2523)
        light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (8192 / 1305) * (_PQ_NITS / _WHITE_NITS)
    elif space.transfer == _HLG:  # ARIB STD-B67
        light = np.where(v <= 0.5, v * v / 3, (np.exp((v - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    else:
        light = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@lru_cache(maxsize=1)
def _srgb_levels() -> npt.NDArray[np.uint8]:
    light = np.linspace(0, 1, _LEVELS)
    return np.asarray(np.rint(255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)), np.uint8)


@lru_cache(maxsize=8)
def _matrix(primaries: Primaries) -> Floats:
    """From linear light of these primaries to that of sRGB, white onto white."""
    white, target = _white(primaries), _white(_SRGB)
    adapt = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ target) / (_BRADFORD @ white)) @ _BRADFORD
    return np.asarray(np.linalg.inv(_to_xyz(_SRGB)) @ adapt @ _to_xyz(primaries), np.float32)


def _white(primaries: Primaries) -> npt.NDArray[np.float64]:
    x, y = primaries[3]
    return np.array([x / y, 1, (1 - x - y) / y])


def _to_xyz(primaries: Primaries) -> npt.NDArray[np.float64]:
    columns = np.array([[x, y, 1 - x - y] for x, y in primaries[:3]]).T
    return columns * np.linalg.solve(columns, _white(primaries))


def _makes_sense(primaries: Primaries) -> bool:
    """Whether they span a triangle of some size with its white inside."""
    (rx, ry), (gx, gy), (bx, by), (_, wy) = primaries
    if any(not -0.1 < value < 1.1 for pair in primaries for value in pair) or wy < 0.1:
        return False
    if abs((gx - rx) * (by - ry) - (bx - rx) * (gy - ry)) < 0.02:
        return False
    columns = np.array([[x, y, 1 - x - y] for x, y in primaries[:3]]).T
    return bool((np.linalg.solve(columns, _white(primaries)) > 0).all())


def _same(a: Primaries, b: Primaries) -> bool:
    return bool(np.abs(np.array(a) - np.array(b)).max() <= _SAME_PLACE)


def _unless_srgb(primaries: Primaries, gamma: float) -> ColourSpace | None:
    same = abs(gamma / 2.2 - 1) <= _SAME_GAMMA and _same(primaries, _SRGB)
    return None if same else ColourSpace(primaries, gamma=gamma)

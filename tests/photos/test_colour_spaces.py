"""Colours that a photo states without an ICC profile, by the standards' own formulas: each has the colours of its sRGB twin."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from facesets.photos.code_points import cicp_of_png, nclx_of_avif
from facesets.photos.decode import decode
from facesets.photos.pixels import Pixels

from .test_field_formats import P3, PROPHOTO, RAMP, SRGB, apart, icc, in_space, saved, to_xyz

BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290))
ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), (0.3127, 0.3290))
Space = tuple[tuple[float, float], ...]
Values = npt.NDArray[np.float64]


def light(srgb: Pixels, space: Space) -> Values:
    """Linear light of ``srgb`` in the primaries of ``space``, white being 1."""
    value = srgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.clip(linear @ to_xyz(SRGB).T @ np.linalg.inv(to_xyz(space)).T, 0, 1), np.float64)


def srgb_curve(linear: Values) -> Values:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def pq(linear: Values) -> Values:
    """SMPTE ST 2084, with white at 203 nits (BT.2408)."""
    y = (linear * 203 / 10000) ** (2610 / 16384)
    return np.asarray(((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32), np.float64)


def hlg(linear: Values) -> Values:
    """ARIB STD-B67 for a screen of 1000 nits, with white at 203 nits (BT.2100's inverse OOTF, gamma 1.2)."""
    display = linear * 203 / 1000
    luminance = display @ np.array([0.2627, 0.6780, 0.0593])
    scene = display * (np.maximum(luminance, 1e-9) ** (1 / 1.2 - 1))[..., None]
    curved = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), curved), np.float64)


def bytes_of(values: Values) -> Pixels:
    return np.asarray(np.rint(255 * values), np.uint8)


CURVES = {13: srgb_curve, 16: pq, 18: hlg}


def png(pixels: Pixels, *chunks: tuple[bytes, bytes]) -> bytes:
    data = saved(pixels, "PNG")
    more = b"".join(struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks)
    return data[:33] + more + data[33:]


def heif(pixels: Pixels, primaries: int, transfer: int, **more: Any) -> bytes:
    out = io.BytesIO()
    numbers = {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": 6, "full_range_flag": 1}
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(out, quality=98, **numbers, **more)
    return out.getvalue()


def avif(pixels: Pixels, primaries: int, transfer: int) -> bytes:
    data, stated = saved(pixels, "AVIF", quality=98), b"colrnclx" + struct.pack(">HH", 1, 13)
    assert data.count(stated) == 1
    return data.replace(stated, b"colrnclx" + struct.pack(">HH", primaries, transfer))


def cicp(pixels: Pixels, primaries: int, transfer: int) -> bytes:
    return png(pixels, (b"cICP", bytes([primaries, transfer, 0, 1])))


@pytest.mark.parametrize("written", [cicp, heif, avif], ids=["PNG", "HEIF", "AVIF"])
@pytest.mark.parametrize(("primaries", "space"), [(12, P3), (9, BT2020)], ids=["Display P3", "BT.2020"])
@pytest.mark.parametrize("transfer", [13, 16, 18], ids=["SDR", "PQ", "HLG"])
def test_wide_colours_and_hdr_have_the_colours_of_their_twin(written: Any, primaries: int, space: Space, transfer: int) -> None:
    dim: Pixels = (
        RAMP if transfer == 13 else (RAMP * 0.85).astype(np.uint8)
    )  # HDR is left as it is up to three quarters of white's light
    numbers = bytes_of(CURVES[transfer](light(dim, space)))
    assert apart(decode(written(numbers, primaries, transfer)).rgb, dim) < 3
    assert apart(numbers, dim) > 5  # taken as they stand they would be another picture


def test_ten_bits_of_pq_as_cameras_write_them_are_a_picture() -> None:
    dim = (RAMP * 0.85).astype(np.uint8)
    deep = np.rint(65535 * pq(light(dim, BT2020))).astype(np.uint16)
    out = io.BytesIO()
    image = pillow_heif.from_bytes("RGB;16", (deep.shape[1], deep.shape[0]), deep.tobytes())
    image.save(out, quality=98, color_primaries=9, transfer_characteristics=16, matrix_coefficients=9, full_range_flag=1)
    assert pillow_heif.open_heif(io.BytesIO(out.getvalue()), convert_hdr_to_8bit=False).info["bit_depth"] >= 10
    assert apart(decode(out.getvalue()).rgb, dim) < 3


@pytest.mark.parametrize("transfer", [16, 18])
def test_what_is_brighter_than_white_is_compressed_and_not_cut_off(transfer: int) -> None:
    nits = np.geomspace(50, 1000, 64)
    ramp = np.repeat((nits / 203)[None, :, None], 3, axis=2)
    shown = decode(cicp(np.repeat(bytes_of(CURVES[transfer](ramp)), 8, axis=0), 9, transfer)).rgb[0].astype(int)
    assert (np.diff(shown[:, 0]) >= 0).all()
    assert 250 <= shown[-1, 0] <= 255
    assert shown[np.searchsorted(nits, 203), 0] < shown[np.searchsorted(nits, 400), 0] < shown[-1, 0]
    assert np.ptp(shown, axis=1).max() <= 1  # grey stays grey


GAMA = (b"gAMA", struct.pack(">I", 45455))


def chrm(space: Space) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(v * 1e5) for pair in (space[3], *space[:3]) for v in pair))


@pytest.mark.parametrize("space", [P3, PROPHOTO], ids=["Display P3", "ProPhoto"])
def test_a_png_is_seen_by_its_chromaticities_and_gamma(space: Space) -> None:
    numbers = in_space(RAMP, space, 2.2)
    assert apart(decode(png(numbers, GAMA, chrm(space))).rgb, RAMP) < 1.5
    assert apart(numbers, RAMP) > 6


def test_a_png_of_linear_light_is_no_dark_picture() -> None:
    numbers = in_space(RAMP, SRGB, 1.0)
    assert apart(decode(png(numbers, (b"gAMA", struct.pack(">I", 100000)))).rgb, RAMP) < 2.5
    assert apart(numbers, RAMP) > 30


@pytest.mark.parametrize(
    "chunks",
    [
        [GAMA],
        [GAMA, chrm(SRGB)],
        [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100000))],  # sRGB stands before gamma
        [(b"gAMA", struct.pack(">I", 0))],
        [(b"gAMA", struct.pack(">I", 0xFFFFFFFF))],
        [(b"gAMA", struct.pack(">I", 3))],
        [GAMA, chrm(((0.3, 0.3), (0.3, 0.3), (0.3, 0.3), (0.3, 0.3)))],
        [GAMA, chrm(((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), (0.0, 0.0)))],
        [GAMA, (b"cHRM", b"\xff" * 32)],
        [(b"cICP", bytes([1, 13, 0, 1])), (b"gAMA", struct.pack(">I", 100000))],
        [(b"cICP", bytes([99, 99, 0, 1]))],
        [(b"cICP", bytes([12]))],
    ],
)
def test_srgb_stated_in_any_way_and_nonsense_change_no_pixel(chunks: list[tuple[bytes, bytes]]) -> None:
    assert np.array_equal(decode(png(RAMP, *chunks)).rgb, RAMP)


def test_a_profile_stands_before_code_points_of_sdr_and_behind_those_of_hdr() -> None:
    out = io.BytesIO()
    numbers = in_space(RAMP, PROPHOTO, 1.8)
    Image.fromarray(numbers).save(out, "HEIF", quality=98, icc_profile=icc(PROPHOTO, 1.8))
    assert apart(decode(out.getvalue()).rgb, RAMP) < 2.5
    dim = (RAMP * 0.85).astype(np.uint8)
    data = saved(bytes_of(pq(light(dim, BT2020))), "PNG", icc_profile=icc(PROPHOTO, 1.8))
    body = b"cICP" + bytes([9, 16, 0, 1])
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    assert apart(decode(data[:33] + chunk + data[33:]).rgb, dim) < 2.5


def test_a_camera_set_to_adobe_rgb_without_a_profile_is_seen_by_its_exif() -> None:
    numbers, exif = in_space(RAMP, ADOBE, 2.2), Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace] = 0xFFFF
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: "R03"}
    assert apart(decode(saved(numbers, "JPEG", quality=98, exif=exif)).rgb, RAMP) < 2
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.IFD.Interop] = {1: "R98"}
    assert apart(decode(saved(numbers, "JPEG", quality=98, exif=exif)).rgb, numbers) < 1.5


def test_grey_and_transparent_pictures_are_seen_by_their_gamma_too() -> None:
    grey = np.linspace(0, 255, 64).astype(np.uint8)[None].repeat(8, 0)
    linear = in_space(np.repeat(grey[..., None], 3, axis=2), SRGB, 1.0)
    chunk = (b"gAMA", struct.pack(">I", 100000))
    assert apart(decode(png(linear[..., 0], chunk)).rgb, grey[..., None]) < 8  # the darkest tones share few numbers
    layer = np.dstack([linear, np.full((8, 64), 255, np.uint8)])
    assert np.array_equal(decode(png(layer, chunk)).rgb, decode(png(linear, chunk)).rgb)


@given(st.integers(0, 400), st.binary(max_size=12), st.integers(0, 400))
def test_damaged_boxes_state_nothing_and_break_nothing(at: int, put: bytes, end: int) -> None:
    data = bytearray(_AVIF)
    data[at : at + len(put)] = put
    for some in (bytes(data), bytes(data[:end]), put):
        assert nclx_of_avif(some) is None or len(nclx_of_avif(some) or ()) == 2
        assert cicp_of_png(some) is None or len(cicp_of_png(some) or ()) == 2


_AVIF = avif(RAMP, 12, 13)


def test_the_colours_of_an_avif_sequence_are_those_of_its_track() -> None:
    """What decoders show of a sequence is its track's first frame, not the picture that stands beside it."""
    out = io.BytesIO()
    frames = [Image.fromarray(in_space(RAMP, P3, 2.2)), Image.new("RGB", (60, 40))]
    frames[0].save(out, "AVIF", save_all=True, append_images=frames[1:], quality=95)
    data, stated = out.getvalue(), b"nclx\0\1\0\x0d"
    assert data.count(stated) == 2  # the picture's, then the track's
    both = data.replace(stated, b"nclx\0\x0c\0\x0d")
    track = data[: data.rindex(stated)] + b"nclx\0\x0c\0\x0d" + data[data.rindex(stated) + len(stated) :]
    assert apart(decode(data).rgb, RAMP) > 6
    for stating in (both, track):
        assert nclx_of_avif(stating) == (12, 13)
        assert apart(decode(stating).rgb, RAMP) < 4
    assert nclx_of_avif(both.replace(b"moov", b"moof")) is None

"""Files as cameras, scanners and editors write them, each made here, each with the picture that its maker meant."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageCms, PngImagePlugin

from facesets.errors import UnreadableImage
from facesets.photos.decode import MAX_PIXELS, decode, open_photo
from facesets.photos.header import read_header, wall_clock
from facesets.photos.pixels import Pixels
from facesets.records import Reason

RAMP: Pixels = np.dstack([
    np.linspace(20, 230, 60).astype(np.uint8)[None].repeat(40, 0), np.linspace(200, 40, 40).astype(np.uint8)[:, None].repeat(60, 1),
    np.full((40, 60), 90, np.uint8),
])  # fmt: skip
# primaries and white points in xy, by the standards that define these spaces
P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290))
PROPHOTO = ((0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), (0.345704, 0.358540))
SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290))
D50 = np.array([0.96422, 1.0, 0.82521])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def to_xyz(space: tuple[tuple[float, float], ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """From linear RGB to XYZ under D50."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in space[:3]]).T
    white = np.array([space[3][0] / space[3][1], 1, (1 - sum(space[3])) / space[3][1]])
    adapt = np.linalg.inv(BRADFORD) @ np.diag((BRADFORD @ D50) / (BRADFORD @ white)) @ BRADFORD
    return np.asarray(adapt @ (columns * np.linalg.solve(columns, white)), np.float64)


def icc(space: tuple[tuple[float, float], ...], gamma: float) -> bytes:
    """A version 2 display profile with this gamma: what a camera or an editor puts into its photos, made by the standard."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    matrix = to_xyz(space)
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    text = b"test\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(79),
        b"cprt": b"text" + bytes(4) + b"none\0\0\0\0",
    }
    tags |= {b"wtpt": b"XYZ " + bytes(4) + fixed(*D50)}
    tags |= {name + b"XYZ": b"XYZ " + bytes(4) + fixed(*matrix[:, i]) for i, name in enumerate((b"r", b"g", b"b"))}
    tags |= {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    table, data, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += struct.pack(">4sII", name, at + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp" + bytes(28)
    return head + fixed(*D50) + bytes(48) + body


def in_space(srgb: Pixels, space: tuple[tuple[float, float], ...], gamma: float) -> Pixels:
    """The numbers that stand for the colours of ``srgb`` in another space."""
    value = srgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    other = np.clip(linear @ to_xyz(SRGB).T @ np.linalg.inv(to_xyz(space)).T, 0, 1)
    return np.asarray(np.rint(255 * other ** (1 / gamma)), np.uint8)


def saved(pixels: Pixels, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def apart(a: Pixels, b: Pixels) -> float:
    return float(np.abs(a.astype(int) - b).mean())


def reason_of(data: bytes) -> UnreadableImage:
    with pytest.raises(UnreadableImage) as caught:
        decode(data)
    return caught.value


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP", "HEIF", "AVIF"])
@pytest.mark.parametrize(("space", "gamma"), [(P3, 2.2), (PROPHOTO, 1.8)], ids=["Display P3", "ProPhoto"])
def test_a_photo_in_another_colour_space_has_the_colours_of_its_twin_in_srgb(
    kind: str, space: tuple[tuple[float, float], ...], gamma: float
) -> None:
    options: dict[str, Any] = {"quality": 98} if kind not in ("PNG", "TIFF") else {}
    twin = decode(saved(RAMP, kind, **options)).rgb
    same = decode(saved(in_space(RAMP, space, gamma), kind, icc_profile=icc(space, gamma), **options)).rgb
    unnamed = decode(saved(in_space(RAMP, space, gamma), kind, **options)).rgb
    assert apart(same, twin) < 2.5
    assert apart(unnamed, twin) > 6  # without its profile it would be another picture


def test_transparent_and_palette_pictures_are_seen_by_their_profiles_too() -> None:
    numbers = in_space(RAMP, PROPHOTO, 1.8)
    layer = np.dstack([numbers, np.full((40, 60), 255, np.uint8)])
    assert apart(decode(saved(layer, "PNG", icc_profile=icc(PROPHOTO, 1.8))).rgb, RAMP) < 2.5
    out = io.BytesIO()
    Image.fromarray(numbers).quantize(256).save(out, "PNG", icc_profile=icc(PROPHOTO, 1.8))
    assert apart(decode(out.getvalue()).rgb, RAMP) < 6


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"no profile at all",
        icc(P3, 2.2)[:200],
        icc(P3, 2.2).replace(b"RGB ", b"GRAY"),
        icc(((0.3127, 0.3290), (0.3127, 0.3291), (0.3128, 0.3290), (0.3127, 0.3290)), 2.2)[:-40],
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ],
    ids=["empty", "text", "cut off", "of grey", "all colours grey", "Lab", "sRGB"],
)
def test_a_wrong_profile_and_srgbs_own_change_no_pixel(profile: bytes) -> None:
    assert np.array_equal(decode(saved(RAMP, "PNG", icc_profile=profile)).rgb, RAMP)


@pytest.mark.parametrize("kind", ["text", "xmp"])
def test_a_png_with_more_than_a_megabyte_of_text_is_read(kind: str, tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    if kind == "text":
        info.add_text("Comment", "x" * 3_000_000, zip=True)
    else:
        info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta xmp:CreateDate='2019-05-04T10:20:30'>" + " " * 3_000_000, zip=True)
    data = saved(RAMP, "PNG", pnginfo=info)
    assert np.array_equal(decode(data).rgb, RAMP)
    (tmp_path / "a.png").write_bytes(data)
    assert read_header((tmp_path / "a.png").read_bytes()).size == (60, 40)
    assert read_header((tmp_path / "a.png").read_bytes()).taken_at == ("2019-05-04T10:20:30" if kind == "xmp" else None)


def tiff(tags: dict[int, tuple[int, ...]], planes: list[bytes], order: str = "<") -> bytes:
    """A small TIFF with these tags, all of them LONG, and its data in ``planes``, in this order of bytes."""
    tags = dict(sorted({**tags, 273: (0,) * len(planes), 279: tuple(map(len, planes))}.items()))
    at = 8 + 2 + 12 * len(tags) + 4
    beyond = sum(4 * len(values) for values in tags.values() if len(values) > 1)
    places, start = [], at + beyond
    for plane in planes:
        places.append(start)
        start += len(plane)
    tags[273] = tuple(places)
    entries, more = b"", b""
    for tag, values in tags.items():
        packed = struct.pack(f"{order}{len(values)}I", *values)
        field = packed if len(values) == 1 else struct.pack(f"{order}I", at + len(more))
        more += packed if len(values) > 1 else b""
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + field
    return (
        struct.pack(f"{order}2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(tags)) + entries + bytes(4) + more + b"".join(planes)
    )


def basic(bits: tuple[int, ...], photometric: int, **more: int) -> dict[int, tuple[int, ...]]:
    tags = {256: (60,), 257: (40,), 258: bits, 259: (1,), 262: (photometric,), 277: (len(bits),), 278: (40,)}
    return tags | {int(tag[1:]): (value,) for tag, value in more.items()}


@pytest.mark.parametrize("bits", [16, 32])
def test_a_tiff_whose_colours_lie_in_planes_of_16_bit_is_refused_rather_than_garbled(bits: int) -> None:
    planes = [np.ascontiguousarray(RAMP[..., i]).astype(f"<u{bits // 8}").tobytes() for i in range(3)]
    error = reason_of(tiff(basic((bits,) * 3, 2, t284=2), planes))
    assert error.reason in (Reason.UNSUPPORTED, Reason.UNREADABLE)
    assert bits != 16 or "a plane of more than 8 bit for each colour" in error.detail


def test_a_tiff_whose_colours_lie_in_planes_of_8_bit_is_read() -> None:
    planes = [np.ascontiguousarray(RAMP[..., i]).tobytes() for i in range(3)]
    assert np.array_equal(decode(tiff(basic((8, 8, 8), 2, t284=2), planes)).rgb, RAMP)


def test_a_tiff_of_16_bit_colours_side_by_side_is_read() -> None:
    pixels = (RAMP.astype("<u2") * 257).tobytes()
    assert np.array_equal(decode(tiff(basic((16, 16, 16), 2, t284=1), [pixels])).rgb, RAMP)


@pytest.mark.parametrize("white_is_zero", [True, False])
def test_sixteen_bit_grey_is_no_negative(white_is_zero: bool) -> None:
    grey = RAMP[..., 0].astype("<u2") * 257
    photo = decode(tiff(basic((16,), 0 if white_is_zero else 1), [(65535 - grey if white_is_zero else grey).tobytes()]))
    assert np.array_equal(photo.rgb[..., 1], RAMP[..., 0])


def test_twelve_bit_grey_is_as_bright_as_it_was_meant() -> None:
    grey = RAMP[..., 0].astype(np.uint16) << 4
    first, second = grey[:, ::2], grey[:, 1::2]
    packed = np.dstack([first >> 4, (first & 15) << 4 | second >> 8, second & 255]).astype(np.uint8)
    photo = decode(tiff(basic((12,), 1), [packed.tobytes()]))
    assert np.array_equal(photo.rgb[..., 1], RAMP[..., 0])


def test_whole_numbers_of_32_bit_are_as_bright_as_they_were_meant() -> None:
    photo = decode(tiff(basic((32,), 1), [(RAMP[..., 0].astype("<u4") * 0x01010101).tobytes()]))
    assert np.array_equal(photo.rgb[..., 1], RAMP[..., 0])
    dark = RAMP[..., 0].astype("<i4") - 125
    assert np.array_equal(decode(tiff(basic((32,), 1, t339=2), [dark.tobytes()])).rgb[..., 1], np.maximum(dark, 0))


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan, 40.0, -3.0])
def test_light_as_fractions_is_no_dark_picture_for_highlights_and_for_values_that_are_none(odd: float) -> None:
    grey = (RAMP[..., 0] / 255).astype("<f4")
    grey[:2, :10] = odd
    seen = decode(tiff(basic((32,), 1, t339=3), [grey.tobytes()])).rgb[..., 1]
    assert apart(seen[2:], RAMP[2:, :, 0]) < 1
    assert (seen[:2, :10] == (255 if odd > 1 else 0)).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_of_values_with_a_sign_is_refused_rather_than_garbled(bits: int) -> None:
    values = (RAMP[..., 0].astype(int) - 128).astype(f"<i{bits // 8}")
    error = reason_of(tiff(basic((bits,), 1, t339=2), [values.tobytes()]))
    assert (error.reason, "of 8 or 16 bit with a sign" in error.detail) == (Reason.UNSUPPORTED, True)


def test_a_fourth_value_that_a_tiff_does_not_call_transparency_is_none() -> None:
    layer = np.dstack([RAMP, np.zeros((40, 60), np.uint8)])
    assert np.array_equal(decode(tiff(basic((8,) * 4, 2), [layer.tobytes()])).rgb, RAMP)
    assert (decode(tiff(basic((8,) * 4, 2, t338=2), [layer.tobytes()])).rgb == 255).all()  # wholly transparent, and says so


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (tiff(basic((64,), 1, t339=3), [bytes(60 * 40 * 8)]), Reason.UNSUPPORTED, "a TIFF of a kind that no decoder here takes"),
        (tiff(basic((8,) * 7, 2), [bytes(60 * 40 * 7)]), Reason.UNSUPPORTED, "a TIFF of a kind that no decoder here takes"),
        (tiff(basic((8,), 1), [bytes(60 * 40)])[:12] + bytes(100), Reason.UNREADABLE, "begins as TIFF but is damaged"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), Reason.UNREADABLE, "begins as JPEG 2000 but is damaged"),
        (b"BM" + bytes(100), Reason.UNREADABLE, "begins as BMP but is damaged"),
        (b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 4, 4, 32, 3), Reason.UNSUPPORTED, "this is Photoshop's format of a kind,"),
    ],
)
def test_a_damaged_photo_and_one_of_a_rare_kind_are_told_apart(data: bytes, reason: Reason, detail: str) -> None:
    error = reason_of(data)
    assert (error.reason, error.detail[: len(detail)]) == (reason, detail)


def test_a_scanners_tiff_is_never_developed_as_a_cameras_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    """LibRaw would: what comes of it is a negative, or noise."""
    grey = (65535 - RAMP[..., 0].astype(">u2") * 257).astype(">u2")
    scan = tiff(basic((16,), 0), [grey.tobytes()], order=">")
    both = tiff(basic((16, 16), 1, t338=2), [np.dstack([grey, grey]).astype("<u2").tobytes()])
    for data in (scan, both, tiff(basic((16,), 1, t339=3), [(RAMP[..., 0] / 255).astype("<f2").tobytes()])):
        error = reason_of(data)
        assert (error.reason, "RAW" in error.detail) == (Reason.UNSUPPORTED, False)
    camera = tiff(basic((16,), 32803, t271=0), [grey.tobytes()])  # a mosaic, with its maker's name
    monkeypatch.setitem(sys.modules, "rawpy", None)  # as where it is not installed
    assert "facesets[raw]" in reason_of(camera).detail


@pytest.mark.parametrize("kind", ["EPS", "TGA", "PCX", "ICO", "ICNS", "DDS", "SGI", "SPIDER"])
def test_what_no_camera_writes_is_no_photo_whatever_pillow_makes_of_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch '{ran}'\n")
    (tmp_path / "gs").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # so that it is looked for anew
    data = saved(RAMP, kind)
    assert reason_of(data).reason is Reason.UNSUPPORTED
    assert read_header(data).size is None
    assert not ran.exists()


def zipped(body: bytes) -> bytes:
    return b"name\0\0" + zlib.compress(body, 9)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"iCCP", zipped(bytes(80 << 20))), (b"zTXt", zipped(bytes(80 << 20))), (b"iCCP", b""), (b"iCCP", b"no end of its name"),
        (b"sRGB", b""), (b"gAMA", b"\0"), (b"cHRM", b"\0\0\0\1"), (b"pHYs", b""), (b"acTL", b"\xff"), (b"fcTL", b"\xff" * 26),
    ],
    ids=lambda value: value.decode() if len(value) == 4 else f"{len(value)} bytes",
)  # fmt: skip
def test_a_png_is_not_lost_by_what_stands_beside_its_pixels(kind: bytes, body: bytes) -> None:
    exif = Image.Exif()
    exif[274] = 6
    data = saved(RAMP, "PNG", exif=exif)
    for checksum in (zlib.crc32(kind + body), 0):
        odd = data[:33] + struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum) + data[33:]
        assert np.array_equal(decode(odd).rgb, RAMP.transpose(1, 0, 2)[:, ::-1])  # turned as its EXIF says
        assert read_header(odd).size == (40, 60)


def test_damaged_text_in_a_png_takes_no_colours_with_it() -> None:
    data = saved(in_space(RAMP, PROPHOTO, 1.8), "PNG", icc_profile=icc(PROPHOTO, 1.8))
    odd = data[:33] + struct.pack(">I", 3) + b"tEXta\0b" + bytes(4) + data[33:]
    assert apart(decode(odd).rgb, RAMP) < 2.5


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["TIFF", "JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
def test_the_size_on_record_is_that_of_the_picture_as_shown(kind: str, turn: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = turn
    data = saved(np.zeros((200, 300, 3), np.uint8), kind, exif=exif.tobytes())
    (tmp_path / "a").write_bytes(data)
    photo, expected = decode(data), (300, 200) if turn < 5 else (200, 300)
    assert (photo.width, photo.height) == photo.rgb.shape[1::-1] == read_header((tmp_path / "a").read_bytes()).size == expected


def test_a_stereo_photo_is_its_first_picture() -> None:
    out = io.BytesIO()
    left, right = Image.fromarray(RAMP), Image.fromarray(255 - RAMP)
    left.save(out, "MPO", save_all=True, append_images=[right], quality=98)
    assert apart(decode(out.getvalue()).rgb, RAMP) < 3


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_file_of_zeros_is_unreadable_and_says_why(size: int) -> None:
    error = reason_of(bytes(size))
    assert (error.reason, error.detail) == (Reason.UNREADABLE, "the file holds zeros only")


def test_a_phone_photo_of_200_megapixels_is_taken_and_its_memory_told_beforehand() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 16320, 12240, 8, 2, 0, 0, 0)
    photo = open_photo(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))
    assert photo.pixel_bytes == 3 * 16320 * 12240
    assert photo.pixel_bytes + photo.decoder_bytes < 2e9
    assert 16320 * 12240 < MAX_PIXELS < 20_000**2


def test_a_progressive_jpeg_reserves_its_coefficients_at_any_size() -> None:
    plain, progressive = (saved(np.zeros((800, 1200, 3), np.uint8), "JPEG", progressive=way) for way in (False, True))
    for shrink in (1, 8):
        more = open_photo(progressive, shrink=shrink).decoder_bytes - open_photo(plain, shrink=shrink).decoder_bytes
        assert more == 6 * 800 * 1200


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2019:05:04 10:20:30", "2019-05-04T10:20:30"),
        ("2019-05-04 10:20:30", "2019-05-04T10:20:30"),
        ("2019:05:04 10:20:30.123", "2019-05-04T10:20:30"),
        ("2019:05:04 10:20:30+02:00", "2019-05-04T10:20:30"),
        ("2019-05-04T10:20:30.5Z", "2019-05-04T10:20:30"),
        ("2019/05/04 10:20", "2019-05-04T10:20:00"),
        ("2019:05:04 10:20:30\0\0", "2019-05-04T10:20:30"),
        ("2019:13:45 10:20:30", None),
        ("0000:00:00 00:00:00", None),
        ("    :  :     :  :  ", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates_are_read_however_they_are_written(text: str, date: str | None) -> None:
    assert wall_clock(text) == date


def with_dates(tags: dict[int, str]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        exif = Image.Exif()
        exif.get_ifd(34665).update(tags)
        Image.fromarray(RAMP).save(path, "JPEG", exif=exif)

    return write


@pytest.mark.parametrize(
    "write",
    [
        with_dates({36867: "2019:05:04 10:20:30"}),
        with_dates({36867: "2019-05-04 10:20:30+09:00"}),
        with_dates({36868: "2019:05:04 10:20:30"}),
        with_dates({36867: "0000:00:00 00:00:00", 36868: "2019:05:04 10:20:30.25"}),
        lambda path: Image.fromarray(RAMP).save(path, "JPEG", xmp=b'<rdf xmp:CreateDate="2019-05-04T10:20:30-03:00"/>'),
        lambda path: Image.fromarray(RAMP).save(path, "JPEG", xmp=b"<xmp:CreateDate>2019-05-04T10:20:30.12</xmp:CreateDate>"),
    ],
)
def test_the_day_a_photo_was_taken_is_found(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / "a.jpg")
    assert read_header((tmp_path / "a.jpg").read_bytes()).taken_at == "2019-05-04T10:20:30"
    assert read_header((tmp_path / "a.jpg").read_bytes()).size == (60, 40)


def test_of_a_foreign_file_nothing_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"<html>")
    assert (read_header((tmp_path / "a.jpg").read_bytes()).taken_at, read_header((tmp_path / "a.jpg").read_bytes()).size) == (
        None,
        None,
    )

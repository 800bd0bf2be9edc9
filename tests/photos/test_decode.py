from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facesets.errors import UnreadableImage
from facesets.photos.decode import decode
from facesets.photos.pixels import Pixels
from facesets.records import Reason

# Red, green, blue, white from the upper left, in a frame that is wider than high: every turn gives another picture.
SCENE = np.zeros((48, 64, 3), np.uint8)
SCENE[:24, :32], SCENE[:24, 32:], SCENE[24:, :32], SCENE[24:, 32:] = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)

# How a camera stores the scene for each orientation: the inverse of what a viewer does to show it.
STORED = {
    1: SCENE,
    2: SCENE[:, ::-1],
    3: SCENE[::-1, ::-1],
    4: SCENE[::-1],
    5: SCENE.transpose(1, 0, 2),
    6: SCENE.transpose(1, 0, 2)[::-1],
    7: SCENE[::-1, ::-1].transpose(1, 0, 2),
    8: SCENE.transpose(1, 0, 2)[:, ::-1],
}


def saved(pixels: Pixels, kind: str, *, orientation: int = 1, **options: Any) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, kind, exif=exif.tobytes(), **options)
    return out.getvalue()


def reason_of(data: bytes, **options: Any) -> Reason:
    with pytest.raises(UnreadableImage) as caught:
        decode(data, **options)
    return Reason(caught.value.reason)


def looks_like(pixels: Pixels, expected: Pixels) -> bool:
    """Lossy formats move the edges' colours; the picture is the same if the medians of the differences are small."""
    return pixels.shape == expected.shape and float(np.abs(pixels.astype(int) - expected).mean()) < 12


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG", "WEBP", "HEIF", "AVIF"])
def test_every_orientation_is_shown_upright(kind: str, orientation: int) -> None:
    photo = decode(saved(STORED[orientation], kind, orientation=orientation))

    assert looks_like(photo.rgb, SCENE)
    assert (photo.width, photo.height, photo.scale) == (64, 48, 1.0)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "JPEG2000", "PPM"])
def test_formats_without_orientation_are_read(kind: str) -> None:
    out = io.BytesIO()
    Image.fromarray(SCENE).save(out, kind)
    assert looks_like(decode(out.getvalue()).rgb, SCENE)


def test_a_progressive_jpeg_and_a_cmyk_jpeg_are_read() -> None:
    assert looks_like(decode(saved(SCENE, "JPEG", progressive=True)).rgb, SCENE)
    out = io.BytesIO()
    Image.fromarray(SCENE).convert("CMYK").save(out, "JPEG", quality=95)
    assert looks_like(decode(out.getvalue()).rgb, SCENE)


def test_sixteen_bit_grey_keeps_its_tones() -> None:
    ramp = np.linspace(0, 65535, 64, dtype=np.uint16)[None].repeat(48, axis=0)
    for kind in ("PNG", "TIFF"):
        out = io.BytesIO()
        Image.fromarray(ramp).save(out, kind)
        rgb = decode(out.getvalue()).rgb
        assert np.abs(rgb[0, :, 0].astype(int) - (ramp[0] >> 8)).max() <= 1
        assert (rgb[..., 0] == rgb[..., 1]).all()


def test_floating_point_and_32_bit_tiffs_are_scaled_to_eight_bits() -> None:
    for values, kind in ((np.linspace(0, 1, 64), np.float32), (np.linspace(0, 65535, 64), np.int32)):
        out = io.BytesIO()
        Image.fromarray(values.astype(kind)[None].repeat(48, axis=0)).save(out, "TIFF")
        row = decode(out.getvalue()).rgb[0, :, 0]
        assert row[0] == 0
        assert row[-1] == 255
        assert (np.diff(row.astype(int)) >= 0).all()


def test_transparent_parts_lie_on_white_whatever_colour_hides_there() -> None:
    layer = np.dstack([SCENE, np.where(np.arange(64) < 32, 255, 0)[None].repeat(48, axis=0)]).astype(np.uint8)
    expected = np.where(layer[..., 3:] == 255, SCENE, 255).astype(np.uint8)
    for kind in ("PNG", "WEBP", "TIFF"):
        out = io.BytesIO()
        Image.fromarray(layer).save(out, kind, **({"lossless": True} if kind == "WEBP" else {}))
        assert looks_like(decode(out.getvalue()).rgb, expected)


def test_a_palette_with_a_transparent_colour_is_read() -> None:
    image = Image.fromarray(SCENE).quantize(4)
    red = int(np.asarray(image)[0, 0])
    out = io.BytesIO()
    image.save(out, "PNG", transparency=red)
    rgb = decode(out.getvalue()).rgb
    assert tuple(rgb[0, 0]) == (255, 255, 255)
    assert tuple(rgb[0, -1]) == (0, 255, 0)


def test_the_first_frame_stands_for_an_animation() -> None:
    out = io.BytesIO()
    Image.fromarray(SCENE).save(out, "GIF", save_all=True, append_images=[Image.fromarray(255 - SCENE)])
    assert looks_like(decode(out.getvalue()).rgb, SCENE)


@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_a_jpeg_is_decoded_smaller_and_says_by_how_much(shrink: int) -> None:
    big = np.kron(SCENE, np.ones((10, 10, 1), np.uint8))
    photo = decode(saved(STORED[6].repeat(10, axis=0).repeat(10, axis=1), "JPEG", orientation=6), shrink=shrink)

    assert (photo.width, photo.height) == (640, 480)
    assert photo.scale == pytest.approx(1 / shrink)
    assert looks_like(photo.rgb, big[::shrink, ::shrink])


def test_a_format_that_cannot_be_decoded_smaller_is_decoded_whole() -> None:
    assert decode(saved(SCENE, "PNG"), shrink=4).scale == 1.0


def test_the_label_does_not_matter_the_content_does(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(saved(SCENE, "PNG"))
    assert looks_like(decode(path).rgb, SCENE)


def test_a_zero_byte_file_is_empty(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(UnreadableImage) as caught:
        decode(tmp_path / "photo.jpg")
    assert caught.value.reason == Reason.EMPTY_FILE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "HEIF", "AVIF", "WEBP"])
def test_a_truncated_file_is_never_half_a_photo(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    data = saved(noise, kind)
    assert reason_of(data[: len(data) * 2 // 3]) in (Reason.TRUNCATED, Reason.UNREADABLE)


def test_a_truncated_jpeg_and_png_are_called_so() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    for kind in ("JPEG", "PNG"):
        data = saved(noise, kind)
        assert reason_of(data[: len(data) // 2]) is Reason.TRUNCATED


def test_a_photo_cut_off_in_its_header_is_unreadable_rather_than_of_an_unknown_format() -> None:
    assert reason_of(saved(SCENE, "JPEG")[:16]) is Reason.UNREADABLE


@pytest.mark.parametrize(
    "data",
    [
        b"<html><body>502 Bad Gateway</body></html>",
        b'{"message": "Not found"}',
        b"\0\0\0\x20ftypisom\0\0\2\0isomiso2mp41",
        b"%PDF-1.7\n",
        bytes(range(256)),
    ],
)
def test_what_is_no_photo_is_named_unsupported(data: bytes) -> None:
    assert reason_of(data) is Reason.UNSUPPORTED


def test_a_camera_raw_is_not_mistaken_for_its_thumbnail() -> None:
    tags = Image.Exif()
    tags[254] = 1  # NewSubfileType: a reduced version of another image in this file
    out = io.BytesIO()
    Image.fromarray(SCENE).save(out, "TIFF", tiffinfo=tags)
    assert reason_of(out.getvalue()) is Reason.UNSUPPORTED


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    assert reason_of(bomb) is Reason.TOO_LARGE
    assert reason_of(saved(SCENE, "PNG"), max_pixels=1000) is Reason.TOO_LARGE


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_phone_photo_of_108_megapixels_is_no_bomb() -> None:
    out = io.BytesIO()
    Image.new("L", (12000, 9000), 128).save(out, "JPEG")
    photo = decode(out.getvalue(), shrink=8)
    assert (photo.width, photo.height) == (12000, 9000)
    assert photo.rgb.shape == (1125, 1500, 3)


def test_damaged_exif_does_not_cost_the_photo() -> None:
    data = saved(SCENE, "JPEG", orientation=6)
    at = data.index(b"Exif\0\0") + 6
    assert looks_like(decode(data[:at] + b"\xff" * 20 + data[at + 20 :]).rgb, SCENE)


def test_a_missing_file_is_an_os_error_not_a_bad_photo(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        decode(tmp_path / "gone.jpg")


def without(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)


def test_jpeg_xl_is_read_where_its_plugin_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_jxl", reason="needs pillow-jxl-plugin, which is no dependency: its licence is the GPL")
    assert looks_like(decode(saved(SCENE, "JXL")).rgb, SCENE)
    assert reason_of(b"\xff\x0a\xfa\x1f") in (Reason.UNREADABLE, Reason.UNSUPPORTED)


def test_without_its_plugin_jpeg_xl_is_unsupported_and_says_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "pillow_jxl")
    for data in (b"\xff\x0a\xfa\x1f", b"\0\0\0\x0cJXL \r\n\x87\n....."):
        with pytest.raises(UnreadableImage, match="pip install pillow-jxl-plugin") as caught:
            decode(data)
        assert caught.value.reason == Reason.UNSUPPORTED


def dng(*, orientation: int = 1, height: int = 96, width: int = 128) -> bytes:
    """A small uncompressed camera RAW: the left half is red, the right half blue, seen through a Bayer filter."""
    y, x = np.mgrid[:height, :width]
    sensor = np.full((height, width), 2000, "<u2")
    sensor[(y % 2 == 0) & (x % 2 == 0) & (x < width // 2)] = 60000
    sensor[(y % 2 == 1) & (x % 2 == 1) & (x >= width // 2)] = 60000
    one, none = struct.pack("<ii", 1, 1), struct.pack("<ii", 0, 1)

    def short(*values: int) -> bytes:
        return struct.pack(f"<{len(values)}H", *values)

    def long(value: int) -> bytes:
        return struct.pack("<I", value)

    tags: list[tuple[int, int, int, bytes]] = [
        (254, 4, 1, long(0)), (256, 4, 1, long(width)), (257, 4, 1, long(height)), (258, 3, 1, short(16)), (259, 3, 1, short(1)),
        (262, 3, 1, short(32803)), (271, 2, 6, b"Maker\0"), (272, 2, 6, b"Model\0"), (273, 4, 1, b"DATA"),
        (274, 3, 1, short(orientation)), (277, 3, 1, short(1)), (278, 4, 1, long(height)), (279, 4, 1, long(sensor.nbytes)),
        (284, 3, 1, short(1)), (33421, 3, 2, short(2, 2)), (33422, 1, 4, bytes([0, 1, 1, 2])), (50706, 1, 4, bytes([1, 4, 0, 0])),
        (50708, 2, 12, b"Maker Model\0"), (50717, 4, 1, long(65535)), (50721, 10, 9, (one + none * 3) * 2 + one),
        (50728, 5, 3, one * 3), (50778, 3, 1, short(21)),
    ]  # fmt: skip
    at = 8 + 2 + 12 * len(tags) + 4
    beyond = [value for _, _, _, value in tags if len(value) > 4]
    data, entries = at + sum(map(len, beyond)), b""
    for tag, kind, count, value in tags:
        field = long(data) if value == b"DATA" else value.ljust(4, b"\0") if len(value) <= 4 else long(at)
        at += len(value) if len(value) > 4 else 0
        entries += struct.pack("<HHI", tag, kind, count) + field
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + long(0) + b"".join(beyond) + sensor.tobytes()


def test_a_cameras_raw_is_developed_and_turned_where_rawpy_is_installed() -> None:
    pytest.importorskip("rawpy", reason="needs rawpy, which is optional: pip install rawpy")
    photo = decode(dng())
    assert (photo.width, photo.height, photo.scale) == (128, 96, 1.0)
    assert photo.rgb[48, 10].argmax() == 0
    assert photo.rgb[48, -10].argmax() == 2
    turned = decode(dng(orientation=6))
    assert (turned.width, turned.height) == (96, 128)
    assert turned.rgb[10, 48].argmax() == 0
    assert reason_of(dng(), max_pixels=1000) is Reason.TOO_LARGE
    assert reason_of(dng()[:4000]) in (Reason.UNREADABLE, Reason.TRUNCATED)


def test_without_rawpy_a_raw_is_unsupported_and_says_what_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "rawpy")
    for data in (dng(), b"FUJIFILMCCD-RAW 0201", b"....ftypcrx ...."):
        with pytest.raises(UnreadableImage, match=r"facesets\[raw\]") as caught:
            decode(data)
        assert caught.value.reason == Reason.UNSUPPORTED


def test_a_decoder_without_enough_memory_calls_the_photo_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "convert", no_room)
    out = io.BytesIO()
    Image.new("L", (64, 48)).save(out, "PNG")
    assert reason_of(out.getvalue()) is Reason.TOO_LARGE

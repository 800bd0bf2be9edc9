"""One run over a folder of what lies in people's folders: each file ends with the reason that is its own, and the run ends well."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from facesets.registry import assets
from facesets.testing.twins import twin_photo
from facesets.workspace import Workspace

from .world import configure

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the file systems elsewhere hold fewer of these")
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] if os.geteuid() == 0 else []
pillow_heif.register_heif_opener()
seeds = iter(range(10_000, 20_000))


def picture(person: int = 1, *, mode: str = "RGB") -> Image.Image:
    """Another exposure of one face each time."""
    return Image.fromarray(twin_photo([(320, 240, 160, person)], seed=next(seeds))).convert(mode)


def saved(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    out = io.BytesIO()
    (image or picture()).save(out, kind, **options)
    return out.getvalue()


def frames(kind: str, **options: Any) -> bytes:
    """The face first, then pictures without one."""
    empty = Image.new("RGB", (640, 480), (90, 90, 90))
    return saved(kind, picture(), save_all=True, append_images=[empty, Image.new("RGB", (640, 480), (9, 9, 9))], **options)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *more: tuple[bytes, bytes], pixels: bytes = b"") -> bytes:
    header = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in (header, *more, (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")))


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    return data[:33] + chunk(kind, body) + data[33:]


def with_exif(**tags: object) -> bytes:
    exif = Image.Exif()
    for name, value in tags.items():
        holder = exif.get_ifd(ExifTags.IFD.Exif) if name.startswith("Date") else exif
        holder[getattr(ExifTags.Base, name)] = value
    return saved("JPEG", quality=95, exif=exif)


def raw_exif(tiff: bytes) -> bytes:
    data, body = saved("JPEG", quality=95), b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def exif_with(tag: int, kind: int, count: int, value: bytes, following: int = 0) -> bytes:
    return (
        b"II*\0"
        + struct.pack("<IH", 8, 1)
        + struct.pack("<HHI", tag, kind, count)
        + value.ljust(4, b"\0")
        + struct.pack("<I", following)
    )


def turned(orientation: int) -> bytes:
    return raw_exif(exif_with(274, 3, 1, struct.pack("<H", orientation)))


def ycck() -> bytes:
    """Four inks stored as luminance, colours and black, as Photoshop does."""
    inks = np.asarray(picture().convert("CMYK"))
    stored = np.dstack([np.asarray(Image.fromarray(inks[..., :3]).convert("YCbCr")), 255 - inks[..., 3]])
    data = bytearray(saved("JPEG", Image.fromarray(255 - stored, "CMYK"), quality=95))  # Pillow turns them over
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def rgb16(image: Image.Image) -> bytes:
    rows = (np.asarray(image).astype(">u2") * 257).astype(">u2")
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", image.width, image.height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body, 1)) + chunk(b"IEND", b"")


def zeros_zipped(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("photo.jpg", b"x")
    return out.getvalue()


def heic_burst() -> bytes:
    burst = pillow_heif.from_pillow(picture())
    burst.add_from_pillow(Image.new("RGB", (640, 480), (90, 90, 90)))
    out = io.BytesIO()
    burst.save(out, quality=95)
    return out.getvalue()


def text_of_a_megabyte() -> bytes:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Notes", "x" * (3 << 20), zip=True)
    return saved("PNG", pnginfo=notes)


def huge_jpeg() -> bytes:
    small = saved("JPEG", Image.new("L", (1, 1)))
    return small.replace(b"\xff\xc0\0\x0b\x08\0\1\0\1", b"\xff\xc0\0\x0b\x08\xff\xdc\xff\xdc")


LATE = (253_402_300_000, 253_402_300_000)  # in the year 9999
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    # names
    os.fsdecode(b"caf\xe9 \xff.jpg"): (lambda: saved("JPEG"), "embedded"),
    "two\nlines\r.jpg": (lambda: saved("JPEG"), "embedded"),
    "gpj.\u202etfel ot thgir\u200f.jpg": (lambda: saved("JPEG"), "embedded"),
    "\x1b[31mred\x07.jpg": (lambda: saved("JPEG"), "embedded"),
    "n" * 251 + ".jpg": (lambda: saved("JPEG"), "embedded"),
    "-rf * $(id) `id` '\";&|.jpg": (lambda: saved("JPEG"), "embedded"),
    "e\u0301\U0001f469\u200d\U0001f467.JPG": (lambda: saved("JPEG"), "embedded"),
    "C:\\photos\\x.jpg": (lambda: saved("JPEG"), "embedded"),
    "%2e%2e%2fx {queue} {0}.jpg": (lambda: saved("JPEG"), "embedded"),
    " .jpg": (lambda: saved("JPEG"), "embedded"),
    "folder.jpg/x.jpg": (lambda: saved("JPEG"), "embedded"),
    "²³.jpg": (lambda: saved("JPEG"), "embedded"),
    # formats, and what Pillow and others make of them
    "progressive.jpg": (lambda: saved("JPEG", progressive=True), "embedded"),
    "inks.jpg": (lambda: saved("JPEG", picture(mode="CMYK"), quality=95), "embedded"),
    "inks as luminance.jpg": (ycck, "embedded"),
    "sixteen bit.png": (lambda: rgb16(picture()), "embedded"),
    "palette.png": (lambda: saved("PNG", picture().quantize(256)), "embedded"),
    "transparent.webp": (lambda: saved("WEBP", picture(mode="RGBA"), quality=95), "embedded"),
    "animated.png": (lambda: frames("PNG"), "embedded"),
    "animated.webp": (lambda: frames("WEBP", quality=95), "embedded"),
    "animated.gif": (lambda: frames("GIF"), "embedded"),
    "animated.avif": (lambda: frames("AVIF", quality=95), "embedded"),
    "pages.tif": (lambda: frames("TIFF"), "embedded"),
    "stereo.mpo": (lambda: frames("MPO"), "embedded"),
    "burst.heic": (heic_burst, "embedded"),
    "from top to bottom.bmp": (lambda: saved("BMP"), "embedded"),
    "jpeg by content.heic": (lambda: saved("JPEG"), "embedded"),
    "motion photo.jpg": (lambda: saved("JPEG") + b"\0\0\0\x18ftypmp42" + bytes(4000), "embedded"),
    "three megabytes of text.png": (text_of_a_megabyte, "embedded"),
    "gamma of nothing.png": (lambda: with_chunk(saved("PNG"), b"gAMA", bytes(4)), "embedded"),
    # EXIF
    **{f"orientation {n}.jpg": (partial(turned, n), "embedded") for n in (0, 9, 0xFFFF)},
    "orientation in words.jpg": (lambda: raw_exif(exif_with(274, 2, 4, b"top\0")), "embedded"),
    "exif in a ring.jpg": (lambda: raw_exif(exif_with(0x8769, 4, 1, struct.pack("<I", 8), following=8)), "embedded"),
    "exif that ends.jpg": (lambda: raw_exif(b"II*\0\xff\xff\xff\xff"), "embedded"),
    "taken never.jpg": (lambda: with_exif(DateTimeOriginal="0000:00:00 00:00:00"), "embedded"),
    "taken on day 45.jpg": (lambda: with_exif(DateTimeOriginal="2019:13:45 99:99:99"), "embedded"),
    "taken in 9999.jpg": (lambda: with_exif(DateTimeOriginal="9999:12:31 23:59:59"), "embedded"),
    "taken in bytes.jpg": (lambda: with_exif(DateTimeOriginal=b"\xff\xfe\0\0"), "embedded"),
    # nothing to see
    "1x1.png": (lambda: saved("PNG", Image.new("RGB", (1, 1))), "embedded_no_face"),
    "1x60000.png": (lambda: saved("PNG", Image.new("RGB", (1, 60000), (7, 7, 7))), "embedded_no_face"),
    "flat.jpg": (lambda: saved("JPEG", Image.new("RGB", (640, 480), (90, 90, 90))), "embedded_no_face"),
    # broken
    "0x0.png": (lambda: png(0, 0), "unreadable"),
    "0x0.gif": (lambda: b"GIF89a" + bytes(7) + b"\x2c" + bytes(9) + b"\x02\0;", "unreadable"),
    "zeros.jpg": (lambda: bytes(4096), "unreadable"),
    "header alone.jpg": (lambda: b"\xff\xd8\xff", "unreadable"),
    "cut off.jpg": (lambda: saved("JPEG")[:-2000], "truncated"),
    "cut off.png": (lambda: saved("PNG")[:-20_000], "truncated"),
    "empty.jpg": (lambda: b"", "empty_file"),
    # bombs
    "a profile that never ends.png": (lambda: with_chunk(saved("PNG"), b"iCCP", b"x\0\0" + zeros_zipped(80)), "embedded"),
    "60000x60000.png": (lambda: png(60_000, 60_000, pixels=bytes(1 << 16)), "too_large"),
    "4 billion a side.png": (lambda: png(0xFFFFFFFF, 0xFFFFFFFF), "too_large"),
    "65535x65535.gif": (lambda: b"GIF89a\xff\xff\xff\xff\0\0\0\x2c\0\0\0\0\xff\xff\xff\xff\0\x02\x02\x44\x01\0;", "too_large"),
    "65500x65500.jpg": (huge_jpeg, "too_large"),
    # no photos, whatever they are called
    "page.jpg": (lambda: b"<!DOCTYPE html><html></html>", "unsupported_format"),
    "drawing.png": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format"),
    "answer.jpg": (lambda: b'{"message":"Not found"}', "unsupported_format"),
    "paper.jpg": (lambda: b"%PDF-1.7\n", "unsupported_format"),
    "video.jpg": (lambda: b"\0\0\0\x18ftypmp42" + bytes(64), "unsupported_format"),
    "archive.jpg": (zipped, "unsupported_format"),
    "program.jpg": (lambda: b"\x7fELF" + bytes(range(1, 200)), "unsupported_format"),
    "notes.txt": (lambda: b"no photo", "not_image"),
    "IMG_1.jpg.xmp": (lambda: b"<x/>", "not_image"),
    ".IMG_2.jpg.icloud": (lambda: b"bplist00", "not_image"),
    "no ending": (lambda: saved("JPEG"), "not_image"),
    "clip.MOV": (lambda: b"\0\0\0\x14ftypqt  " + bytes(8), "not_image"),
    "Thumbs.db": (lambda: b"\xd0\xcf\x11\xe0", "not_image"),
    "._IMG_3.jpg": (lambda: b"\0\5\x16\7" + bytes(80), "excluded_path"),
    "$RECYCLE.BIN/deleted.jpg": (lambda: saved("JPEG"), "excluded_path"),
    ".trashed-1700000000-x.jpg": (lambda: saved("JPEG"), "excluded_path"),
}  # fmt: skip


@dataclass(frozen=True)
class Ran:
    code: int
    said: str
    reasons: dict[str, str]
    details: dict[str, str | None]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> Iterator[Ran]:
    base = tmp_path_factory.mktemp("field")
    root = base / "pictures"
    for name, (made, _) in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made())
    os.mkfifo(root / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(os.fspath(root / "socket.jpg"))
    (root / "null.jpg").symlink_to("/dev/null")
    for name, target in (
        ("self.jpg", "self.jpg"),
        ("a", "b"),
        ("b", "a"),
        ("up", ".."),
        ("gone.jpg", "nothing"),
        ("passwd.jpg", "/etc/passwd"),
    ):
        (root / name).symlink_to(target)
    (root / "once.jpg").write_bytes(saved("JPEG"))
    os.link(root / "once.jpg", root / "the same by another name.jpg")
    (root / "link to a photo.jpg").symlink_to("once.jpg")
    with (root / "sparse.jpg").open("wb") as file:
        file.truncate(32 << 20)
    os.utime(root / "flat.jpg", LATE)
    os.utime(root / "1x1.png", (-1e9, -1e9))
    (root / "closed.jpg").write_bytes(saved("JPEG"))
    (root / "closed.jpg").chmod(0)
    (root / "lost+found").mkdir(mode=0)
    workspace = base / "w"
    facesets = [*AS_ANYBODY, sys.executable, "-m", "facesets", "-C", str(workspace)]
    subprocess.run([*facesets, "init"], check=True, capture_output=True)
    configure(workspace, pack)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IMMICH_")}
    done = subprocess.run(
        [*facesets, "run", "--user", "box", "--folder", str(root)],
        env=environment | {"LC_ALL": "C"}, stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False,
    )  # fmt: skip
    with Workspace.open(workspace).registry() as registry:
        rows = list(assets.select(registry, labels=["box"]))
    yield Ran(
        done.returncode,
        done.stderr.decode() + done.stdout.decode(),
        {row.asset.original_path: str(row.reason) for row in rows},
        {row.asset.original_path: row.detail for row in rows},
    )
    (root / "lost+found").chmod(0o700)


def shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def test_the_run_ends_well_and_every_file_has_one_reason(ran: Ran) -> None:
    assert ran.code == 0, ran.said
    assert "Traceback" not in ran.said
    special = {"once.jpg", "pipe.jpg", "socket.jpg", "the same by another name.jpg", "link to a photo.jpg", "sparse.jpg", "closed.jpg"}
    assert set(ran.reasons) == {shown(name) for name in FILES} | special


@pytest.mark.parametrize("name", FILES, ids=ascii)
def test_a_file_ends_with_its_own_reason(ran: Ran, name: str) -> None:
    assert ran.reasons[shown(name)] == FILES[name][1], ran.details[shown(name)]


def test_what_is_no_regular_file_is_no_photo(ran: Ran) -> None:
    assert {ran.reasons[name] for name in ("pipe.jpg", "socket.jpg")} == {"not_image"}
    assert "null.jpg" not in ran.reasons
    assert "7 links" in ran.said


def test_a_file_by_two_names_is_one_photo(ran: Ran) -> None:
    same = ("once.jpg", "the same by another name.jpg", "link to a photo.jpg")
    assert sorted(ran.reasons[name] for name in same) == ["duplicate_of_staged", "duplicate_of_staged", "embedded"]


def test_a_file_of_holes_is_told_by_what_it_is(ran: Ran) -> None:
    assert (ran.reasons["sparse.jpg"], ran.details["sparse.jpg"]) == ("unreadable", "the file holds zeros only")


def test_what_may_not_be_read_is_named(ran: Ran) -> None:
    assert (ran.reasons["closed.jpg"], ran.details["closed.jpg"]) == ("no_access", "cannot be read: permission denied")
    assert "lost+found/ (permission denied)" in ran.said

"""Mutated photos of every format through the decoders' processes: nothing may crash, hang or end the run, whatever the bytes.

    python benchmarks/fuzz_photos.py [--files 2000] [--seed 0] [--format PNG --format HEIF] [--timeout 20]

``--files`` mutated files of each format are made from a few small whole ones (colour, grey, 16 bit, alpha, EXIF, profiles): bytes set,
stretches cut out, doubled, zeroed, swapped between files, and files cut off; half of the changes lie in the first 512 bytes, where
headers are. Each is decoded as a run would decode it, at full and at half size by turns, and its header is read as a folder's listing
would. Counted are photos, refusals by reason, and crashes of a decoder process that were caught (each of them costs that photo alone).
What must not be: another exception than a refusal, pixels that are not [h, w, 3] of 8 bit, a photo that takes longer than ``--timeout``
seconds twice over, or a pool that no longer decodes. Exit code 1 says that one of these was.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from facesets.errors import UnreadableImage
from facesets.photos import DecoderPool

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "HEIF", "AVIF", "JPEG2000", "MPO")


def originals(kind: str) -> list[bytes]:
    """Small whole files of a format, as different as it allows."""
    random = np.random.default_rng(0)
    colour = random.integers(0, 256, (48, 64, 3), np.uint8)
    exif = Image.Exif()
    exif[274] = 6
    exif.get_ifd(34665)[36867] = "2019:05:04 10:20:30"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pictures: list[tuple[Any, dict[str, Any]]] = [
        (colour, {"exif": exif.tobytes()}),
        (colour, {"icc_profile": profile}),
        (colour[..., 0], {}),
    ]
    if kind in ("PNG", "TIFF", "WEBP", "HEIF", "AVIF"):
        pictures.append((np.dstack([colour, colour[..., 0]]), {}))
    if kind in ("PNG", "TIFF"):
        pictures.append((colour[..., 0].astype(np.uint16) * 257, {}))
    if kind == "TIFF":
        pictures += [(colour, {"compression": how}) for how in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg")]
    if kind == "JPEG":
        pictures += [(colour, {"progressive": True}), (colour, {"restart_marker_blocks": 2})]
    files = []
    for pixels, options in pictures:
        out, image = io.BytesIO(), Image.fromarray(pixels)
        image.save(out, kind, **({"save_all": True, "append_images": [image]} if kind == "MPO" else options))
        files.append(out.getvalue())
    return files


def mutated(files: list[bytes], random: np.random.Generator) -> bytes:
    """One of ``files`` with one to eight changes."""
    data = bytearray(files[random.integers(len(files))])
    for _ in range(random.integers(1, 9)):
        if len(data) < 2:
            break
        at = int(random.integers(min(len(data), 512) if random.random() < 0.5 else len(data)))
        length = int(random.integers(1, 64))
        match random.integers(8):
            case 0 | 1:
                data[at] = random.integers(256)
            case 2:
                data[at : at + 4] = [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"][random.integers(4)]
            case 3:
                del data[at : at + length]
            case 4:
                data[at:at] = data[at : at + length]
            case 5:
                data[at : at + length] = bytes(length)
            case 6:
                other = files[random.integers(len(files))]
                start = int(random.integers(len(other)))
                data[at : at + length] = other[start : start + length]
            case _:
                if random.random() < 0.3:
                    del data[at:]
    return checksummed(bytes(data)) if random.random() < 0.7 else bytes(data)


def checksummed(data: bytes) -> bytes:
    """A PNG with the checksums that its chunks should have, so that more than checksums is tried; anything else as it is."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        end = at + 8 + int.from_bytes(out[at : at + 4], "big")
        out[end : end + 4] = zlib.crc32(out[at + 4 : end]).to_bytes(4, "big") if end + 4 <= len(out) else out[end : end + 4]
        at = end + 4
    return bytes(out)


def run(kind: str, count: int, seed: int, timeout: float, folder: Path) -> Iterator[str]:
    """Decode ``count`` mutated files of a format; yields what must not be, and prints the figures."""
    random, files, told = np.random.default_rng(seed), originals(kind), Counter[str]()
    slowest, begun = 0.0, time.perf_counter()
    with DecoderPool(timeout=timeout) as decoders:
        for number in range(count):
            data = mutated(files, random)
            started = time.perf_counter()
            try:
                photo = decoders(data, shrink=1 + number % 2)
                told["photos"] += 1
                if photo.rgb.dtype != np.uint8 or photo.rgb.ndim != 3 or photo.rgb.shape[2] != 3 or not photo.rgb.size:
                    yield f"{kind} {seed}/{number}: pixels {photo.rgb.shape} {photo.rgb.dtype}"
            except UnreadableImage as error:
                told[str(error.reason)] += 1
                told["decoder crashed"] += "crashes the decoder" in error.detail
                told["decoder stopped"] += "was stopped after" in error.detail
            except Exception as error:  # noqa: BLE001 - finding these is what this is for
                yield f"{kind} {seed}/{number}: {error!r}"
            slowest = max(slowest, time.perf_counter() - started)
            (folder / "photo").write_bytes(data)
            decoders.header(folder / "photo")
        for data in files:
            if decoders(data).rgb.shape[2] != 3:
                yield f"{kind}: whole files are no longer read"
    if slowest > 2 * timeout:
        yield f"{kind}: one file took {slowest:.0f} s"
    parts = ", ".join(f"{n} {what}" for what, n in sorted(told.items()) if n)
    print(f"{kind:9} {count} files: {parts}; slowest {slowest:.2f} s, {time.perf_counter() - begun:.0f} s in all", flush=True)


def main() -> None:
    """All formats, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", action="append", choices=FORMATS)
    parser.add_argument("--timeout", type=float, default=20.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        wrong = [
            problem
            for kind in options.format or FORMATS
            for problem in run(kind, options.files, options.seed, options.timeout, Path(name))
        ]
    for problem in wrong:
        print("WRONG:", problem)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

"""A JPEG decoded in part has the pixels that it has when it is decoded whole, and nothing that is wrong with it goes unseen."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from facesets.embedding import Decoded, Decoders, decode
from facesets.embedding.jpeg import frame
from facesets.errors import UnreadableImage
from facesets.records import Box, Reason

PARTS: list[Box] = [(0, 0, 120, 90), (130.5, 40.2, 261.9, 77.7), (90, 120, 200, 210), (-50, -50, 100, 100), (230, 0, 900, 60)]


def jpeg(*, width: int = 301, height: int = 243, mode: str = "RGB", orientation: int = 1, **options: Any) -> bytes:
    """A photo with detail, in the odd sizes that cameras do not have."""
    coarse = np.random.default_rng(1).integers(0, 256, (height // 9, width // 9, 3), np.uint8)
    out, exif = io.BytesIO(), Image.Exif()
    exif[274] = orientation
    image = Image.fromarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)).convert(mode)
    image.save(out, options.pop("kind", "JPEG"), exif=exif, **{"quality": 90, **options})
    return out.getvalue()


def parts_that_were_cut(data: bytes) -> int:
    """Decodes parts and the whole; returns how many were decoded in part."""
    cut = 0
    for shrink in (1, 2, 4):
        whole = decode(data, shrink=shrink)
        for wanted in PARTS:
            part = decode(data, shrink=shrink, part=wanted)
            assert (part.width, part.height, part.scale) == (whole.width, whole.height, whole.scale)
            assert part.rgb.shape == whole.rgb.shape
            left, top, right, bottom = part.seen or (0, 0, whole.rgb.shape[1], whole.rgb.shape[0])
            assert np.array_equal(whole.rgb[top:bottom, left:right], part.rgb[top:bottom, left:right])
            if part.seen is not None:
                cut += 1
                assert not part.full
                assert np.count_nonzero(part.rgb) == np.count_nonzero(part.rgb[top:bottom, left:right])  # black beyond
                assert left <= max(wanted[0], 0) * part.scale + 1
                assert top <= max(wanted[1], 0) * part.scale + 1
                assert right >= min(wanted[2], whole.width) * part.scale - 1
                assert bottom >= min(wanted[3], whole.height) * part.scale - 1
    return cut


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_a_part_has_the_pixels_that_it_has_in_the_whole(orientation: int, subsampling: int) -> None:
    assert parts_that_were_cut(jpeg(orientation=orientation, subsampling=subsampling)) >= 3


@pytest.mark.parametrize("options", [{"restart_marker_rows": 1}, {"restart_marker_blocks": 3}, {"mode": "L"}, {"mode": "CMYK"}])
def test_so_it_is_in_the_jpegs_that_are_rarer(options: dict[str, Any]) -> None:
    assert parts_that_were_cut(jpeg(**options)) >= 3


def test_a_photo_that_carries_a_second_one_is_cut_in_the_first() -> None:
    out = io.BytesIO()
    first, second = (Image.open(io.BytesIO(jpeg(orientation=turn))) for turn in (1, 3))
    first.save(out, "MPO", save_all=True, append_images=[second])
    assert parts_that_were_cut(out.getvalue()) >= 3
    assert parts_that_were_cut(jpeg() + b"a film of three seconds" * 1000) >= 3


@pytest.mark.parametrize("options", [{"progressive": True}, {"kind": "PNG"}, {"kind": "WEBP"}])
def test_what_cannot_be_cut_is_decoded_whole(options: dict[str, Any]) -> None:
    data = jpeg(**options)
    assert frame(data) is None
    assert parts_that_were_cut(data) == 0


def test_a_part_that_reaches_the_last_rows_is_not_cut() -> None:
    assert decode(jpeg(), part=(0, 200, 100, 243)).full
    assert decode(jpeg(), part=(1000, 1000, 1100, 1100)).full  # it lies elsewhere: whoever asked may be mistaken


@pytest.mark.parametrize("cut_off", [1, 1000, 4000])
def test_a_truncated_photo_is_no_less_so_for_its_upper_part(cut_off: int) -> None:
    with pytest.raises(UnreadableImage) as caught:
        decode(jpeg()[:-cut_off], part=PARTS[0])
    assert caught.value.reason == Reason.TRUNCATED


def test_a_bomb_is_refused_however_little_of_it_is_wanted() -> None:
    data = jpeg()
    known = frame(data)
    assert known is not None
    bomb = data[: known.place] + b"\xff\xdc\xff\xdc" + data[known.place + 4 :]
    with pytest.raises(UnreadableImage) as caught:
        decode(bomb, part=PARTS[0])
    assert caught.value.reason == Reason.TOO_LARGE


def test_what_a_broken_header_says_is_not_taken_for_true() -> None:
    data, random = jpeg(orientation=6), np.random.default_rng(0)
    known = frame(data)
    assert known is not None
    header = known.place + 200
    for _ in range(500):
        broken = bytearray(data)
        for at in random.integers(2, header, 3):
            broken[at] = random.integers(0, 256)
        frame(bytes(broken[: random.integers(0, len(broken))]))
        whole, part = (outcome(bytes(broken), part=wanted) for wanted in (None, PARTS[0]))
        if isinstance(whole, str) or isinstance(part, str):
            assert whole == part
            continue
        left, top, right, bottom = part.seen or (0, 0, whole.rgb.shape[1], whole.rgb.shape[0])
        assert np.array_equal(whole.rgb[top:bottom, left:right], part.rgb[top:bottom, left:right])


def outcome(data: bytes, **options: Any) -> Decoded | str:
    """The photo, or why there is none."""
    try:
        return decode(data, **options)
    except UnreadableImage as error:
        return str(error.reason)


def test_a_process_of_its_own_gives_the_same_part() -> None:
    with Decoders() as decoders:
        for orientation, wanted in ((1, PARTS[0]), (6, PARTS[2]), (8, PARTS[0])):
            data = jpeg(orientation=orientation)
            for shrink in (1, 2):
                here, there = (way(data, shrink=shrink, part=wanted) for way in (decode, decoders))
                assert here.seen is not None
                assert (here.seen, here.width, here.height) == (there.seen, there.width, there.height)
                assert np.array_equal(here.rgb, there.rgb)

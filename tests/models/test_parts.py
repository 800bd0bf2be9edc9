"""Pictures far from square are gone through in overlapping parts."""

from __future__ import annotations

import numpy as np
import pytest

from facesets.models.detection import Detection, detect_in_parts, is_elongated
from facesets.models.pack import Pack
from facesets.photos import Pixels
from facesets.testing.twins import twin_photo


def bright_squares(rgb: Pixels) -> list[Detection]:
    """A detector that sees white squares of 1/16 of the picture's long side or more, cut ones too."""
    columns, rows = (np.flatnonzero((rgb[..., 0] == 255).any(axis=axis)) for axis in (0, 1))
    along, across = (columns, rows) if rgb.shape[1] > rgb.shape[0] else (rows, columns)
    found = []
    for run in np.split(along, np.flatnonzero(np.diff(along) > 1) + 1):
        if len(run) >= max(rgb.shape[:2]) / 16:
            low, high, top, bottom = float(run[0]), float(run[-1] + 1), float(across[0]), float(across[-1] + 1)
            box = (low, top, high, bottom) if rgb.shape[1] > rgb.shape[0] else (top, low, bottom, high)
            found.append(Detection(box, 0.5 + len(run) / 1000, ((low, top),) * 5))
    return found


@pytest.mark.parametrize("upright", [False, True])
@pytest.mark.parametrize("start", [0, 100, 490, 700, 951, 4000, 7851])
def test_a_face_is_found_once_and_whole_wherever_the_parts_meet(start: int, upright: bool) -> None:
    strip = np.zeros((500, 8000, 3), np.uint8)
    strip[100:240, start : start + 149] = 255
    found = detect_in_parts(np.ascontiguousarray(strip.transpose(1, 0, 2)) if upright else strip, bright_squares)
    assert [face.box for face in found] == [(100, start, 240, start + 149) if upright else (start, 100, start + 149, 240)]


def test_a_picture_of_usual_shape_is_seen_once_as_it_is() -> None:
    calls: list[tuple[int, ...]] = []

    def detect(rgb: Pixels) -> list[Detection]:
        calls.append(rgb.shape)
        return []

    for width, height in ((640, 480), (1920, 1080), (1080, 2400)):
        assert not is_elongated(width, height)
        detect_in_parts(np.zeros((height, width, 3), np.uint8), detect)
    assert calls == [(480, 640, 3), (1080, 1920, 3), (2400, 1080, 3)]


def test_a_thin_strip_is_not_cut_into_hundreds_of_parts() -> None:
    calls: list[tuple[int, ...]] = []

    def detect(rgb: Pixels) -> list[Detection]:
        calls.append(rgb.shape)
        return []

    detect_in_parts(np.zeros((20, 30_000, 3), np.uint8), detect)
    assert len(calls) <= 1 + 30_000 // (640 - 20) + 1
    assert {shape[1] for shape in calls[1:-1]} == {640}


def test_faces_of_a_panorama_are_found_that_all_of_it_at_once_does_not_show(twin: Pack) -> None:
    photo = twin_photo([(320, 256, 128, 1), (5120, 256, 128, 2)], width=8000, height=640)
    faces = twin.detect(photo)
    assert sorted(round((face.box[0] + face.box[2]) / 2) for face in faces) == [320, 5120]
    assert [face.box for face in twin.detect(photo)] == [face.box for face in faces]

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from facesets.faces.embed import find_faces, read_image
from facesets.models.load import load_pack
from facesets.photos import crops
from facesets.photos.decode import Decoded
from tests.export.home import LANDMARKS

Pixels = npt.NDArray[np.uint8]


def dots(scale: float, turn: float, shift: tuple[float, float], size: tuple[int, int]) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """A photo with a white dot on each of five landmarks, and the landmarks."""
    angle = np.deg2rad(turn)
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (crops.template(112, 0.0) - 55.5) @ matrix.T + shift
    photo = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y in points:
        cv2.circle(photo, (round(x * 16), round(y * 16)), round(3 * scale * 16), (255, 255, 255), -1, cv2.LINE_AA, 4)
    return photo, points


@pytest.mark.parametrize("scale", [0.6, 1.0, 3.3, 11.0])
@pytest.mark.parametrize("turn", [0, -25, 90, 180])
def test_landmarks_land_on_the_template_whatever_the_size_and_turn(scale: float, turn: float) -> None:
    photo, points = dots(scale, turn, (1000.0, 900.0), (2000, 1800))
    cut = crops.crop(photo, points, 512, 0.5).astype(float)[..., 0]
    near = max(0.4, 0.6 / scale)  # pixels of the crop; a photo pixel is enlarged to 3 / scale of them
    for x, y in crops.template(512, 0.5):
        window = cut[round(y) - 20 : round(y) + 21, round(x) - 20 : round(x) + 21]
        ys, xs = np.mgrid[round(y) - 20 : round(y) + 21, round(x) - 20 : round(x) + 21]
        assert abs((xs * window).sum() / window.sum() - x) < near
        assert abs((ys * window).sum() / window.sum() - y) < near


def test_margin_is_the_share_of_room_around_the_arcface_square() -> None:
    def eyes(margin: float) -> float:
        points = crops.template(512, margin)
        return float(points[1, 0] - points[0, 0])

    assert eyes(0.0) == pytest.approx(eyes(1.0) * 2)
    assert eyes(0.5) * 1.5 == pytest.approx(eyes(0.0))


def test_shrinking_a_large_face_skips_no_pixel() -> None:
    """A fine checkerboard must turn into its mean, not into a moiré."""
    _, points = dots(20.0, 0.0, (2000.0, 2000.0), (1, 1))
    board = (np.indices((4000, 4000)).sum(axis=0) % 2 * 255).astype(np.uint8)
    cut = crops.crop(np.dstack([board] * 3), points, 512, 0.5)
    assert cut.std() < 3
    assert abs(float(cut.mean()) - 127.5) < 2


def test_a_face_at_the_photos_edge_has_no_black_wedge_and_no_second_face(astronaut: Pixels) -> None:
    light = (astronaut // 2 + 120).astype(np.uint8)
    at_edge = light[90:]  # cut through the forehead
    landmarks = np.array(LANDMARKS) - [0, 90]
    cut = crops.crop(at_edge, landmarks, 512, 0.5)
    assert cut.min() >= 100
    eyes_y = int(crops.template(512, 0.5)[0, 1])
    above = cut[: eyes_y - 160].astype(float)
    assert np.abs(np.diff(above, axis=0)).max() < 12  # blurred colour, no mirrored eyes


def test_a_face_that_lies_half_outside_its_photo_still_makes_a_crop(astronaut: Pixels) -> None:
    cut = crops.crop(astronaut[:120, :220], LANDMARKS, 512, 0.5)
    assert cut.shape == (512, 512, 3)
    assert cut[300:, 400:].std() < 60


def test_panoramas_wider_than_opencvs_16_bit_coordinates_work() -> None:
    photo, points = dots(1.0, 0.0, (39_000.0, 100.0), (40_000, 200))
    assert crops.crop(photo, points, 256, 0.5).max() == 255


def test_landmarks_on_one_point_give_some_crop_instead_of_an_error(astronaut: Pixels) -> None:
    assert crops.crop(astronaut, [(100.0, 100.0)] * 5, 512, 0.5).shape == (512, 512, 3)


def test_the_same_pixels_give_the_same_png_and_lose_nothing(astronaut: Pixels) -> None:
    cut = crops.crop(astronaut, LANDMARKS, 512, 0.5)
    data = crops.encode(cut)
    assert data == crops.encode(crops.crop(astronaut, LANDMARKS, 512, 0.5))
    assert (np.asarray(Image.open(io.BytesIO(data))) == cut).all()
    assert b"tIME" not in data
    assert b"tEXt" not in data


@pytest.mark.slow
def test_a_detector_finds_the_one_face_again_and_knows_it() -> None:
    """The six people of insightface's own photo, through the pack that every installation can have."""
    found = find_spec("insightface")
    assert found is not None
    assert found.origin is not None
    photo = read_image(Path(found.origin).parent / "data/images/t1.jpg")
    pack = load_pack("open")
    faces, vectors = find_faces(photo, "", pack)
    assert len(faces) == 6
    for face, vector in zip(faces, vectors, strict=True):
        again, (seen,) = find_faces(Decoded(crops.crop(photo.rgb, face.landmarks, 512, 0.5), 512, 512), "", pack)
        assert len(again) == 1
        x1, y1, x2, y2 = again[0].box
        assert max(x1, y1) < 226  # the face is in the middle, and all of it is there
        assert min(x2, y2) > 286
        assert min(x1, y1) > 40
        assert max(x2, y2) < 472
        assert ((seen - vector) ** 2).sum() / 2 < pack.thresholds.match / 2

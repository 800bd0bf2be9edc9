from __future__ import annotations

import cv2
import numpy as np
import pytest

from facesets.photos.align import ARCFACE_112, DLIB_150, Points, chips, similarity


def moved(points: Points, scale: float, degrees: float, x: float, y: float) -> Points:
    turn = np.radians(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(scale * points @ rotation.T + (x, y))


@pytest.mark.parametrize("degrees", [0, 30, 90, 180, -135])
def test_a_moved_face_is_brought_back_exactly(degrees: float) -> None:
    for template in (ARCFACE_112, DLIB_150):
        (matrix,) = similarity(moved(template, 3.7, degrees, 1200, -40), template)
        back = moved(template, 3.7, degrees, 1200, -40) @ matrix[:, :2].T + matrix[:, 2]
        np.testing.assert_allclose(back, template, atol=1e-9)


@pytest.mark.slow
def test_any_landmarks_are_mapped_as_by_scikit_images_umeyama() -> None:
    from skimage.transform import SimilarityTransform  # noqa: PLC0415 - half a second, which the fast tier does without

    random = np.random.default_rng(0)
    points = ARCFACE_112 * 2 + random.normal(0, 12, (50, 5, 2))
    for one, matrix in zip(points, similarity(points, ARCFACE_112), strict=True):
        np.testing.assert_allclose(matrix, SimilarityTransform.from_estimate(one, ARCFACE_112).params[:2], atol=1e-9)


def test_a_mirrored_face_is_turned_but_never_mirrored() -> None:
    (matrix,) = similarity(ARCFACE_112 * (-1, 1), ARCFACE_112)
    assert np.linalg.det(matrix[:, :2]) > 0


def test_landmarks_on_one_point_give_no_infinite_matrix() -> None:
    (matrix,) = similarity(np.full((5, 2), 33.0), ARCFACE_112)
    np.testing.assert_allclose(matrix @ (33, 33, 1), ARCFACE_112.mean(axis=0))


def test_no_faces_give_no_chips() -> None:
    photo = np.zeros((10, 10, 3), np.uint8)
    assert similarity(np.zeros((0, 5, 2)), ARCFACE_112).shape == (0, 2, 3)
    assert chips(photo, np.zeros((0, 5, 2)), ARCFACE_112, 112).shape == (0, 112, 112, 3)


def test_a_smooth_chip_of_a_large_face_is_in_the_same_place_and_loses_no_pixels() -> None:
    random = np.random.default_rng(1)
    coarse = random.integers(0, 256, (12, 12, 3), np.uint8)
    photo = np.asarray(cv2.resize(coarse, (1200, 1200), interpolation=cv2.INTER_CUBIC), np.uint8)
    landmarks = moved(ARCFACE_112, 9.3, 7, 80, 100)
    plain, smooth = (chips(photo, landmarks, ARCFACE_112, 112, smooth=how)[0].astype(int) for how in (False, True))
    inside = np.s_[10:90, 10:90]  # beyond is the photo's edge, which is soft in one and hard in the other
    assert np.abs(plain - smooth)[inside].max() <= 6

    speckled = random.integers(0, 2, (1200, 1200, 1), np.uint8).repeat(3, axis=2) * 255
    plain, smooth = (chips(speckled, landmarks, ARCFACE_112, 112, smooth=how)[0].astype(float) for how in (False, True))
    assert plain.std() > 50  # picks single pixels
    assert smooth.std() < 25  # averages what a pixel of the chip covers

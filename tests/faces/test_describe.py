from __future__ import annotations

import cv2
import numpy as np
import pytest

from facesets.faces.describe import face_id
from facesets.faces.embed import find_faces
from facesets.faces.quality import exposure, others_in_crop, overlaps, pose, quality, sharpness
from facesets.models.detection import Detection
from facesets.models.pack import Pack
from facesets.models.recognizer import Embedded
from facesets.photos.align import ARCFACE_112
from facesets.photos.decode import Decoded
from facesets.photos.pixels import Pixels
from facesets.testing.twins import twin_photo

FACES = [(512, 320, 64, 3), (128, 128, 128, 1), (384, 128, 64, 2)]


def photo(pixels: Pixels) -> Decoded:
    return Decoded(pixels, pixels.shape[1], pixels.shape[0])


def test_faces_are_ordered_by_box_and_numbered(twin: Pack) -> None:
    faces, vectors = find_faces(photo(twin_photo(FACES)), "ab" * 32, twin)
    assert [face.index for face in faces] == [0, 1, 2]
    assert [face.box for face in faces] == sorted(face.box for face in faces)
    assert vectors.shape == (3, 512)
    assert vectors.dtype == np.float32
    for face in faces:
        assert face.pack == twin.id
        assert face.sha256 == "ab" * 32
        assert len(face.landmarks) == 5
        assert set(face.signals) == {"exposure", "clipped", "yaw", "pitch", "roll", "norm", "overlap", "others_in_crop", "age"}
    assert [round(face.face_short) for face in faces] == [128, 64, 64]


def test_a_faces_id_follows_from_bytes_pack_and_box_alone() -> None:
    box = (10.2, 20.4, 110.1, 220.3)
    same = face_id("aa", "open@1", box)
    assert same == face_id("aa", "open@1", (10.4, 20.1, 109.9, 219.8))
    assert len({same, face_id("bb", "open@1", box), face_id("aa", "twin@1", box), face_id("aa", "open@1", (11.0, *box[1:]))}) == 4
    assert len(same) == 32


def test_the_same_photo_gives_the_same_bytes_of_vectors(twin: Pack) -> None:
    first, second = (find_faces(photo(twin_photo(FACES)), "00", twin) for _ in range(2))
    assert first.faces == second.faces
    assert first.vectors.tobytes() == second.vectors.tobytes()


def test_boxes_are_in_original_pixels_of_a_photo_that_was_decoded_smaller(twin: Pack) -> None:
    small = twin_photo(FACES)
    faces, _ = find_faces(Decoded(small, 2560, 1920), "00", twin)
    assert faces[0].box == pytest.approx((256, 256, 768, 768), abs=0.1)
    assert faces[0].face_short == pytest.approx(512, abs=0.1)
    assert faces[0].landmarks[2] == pytest.approx((512, 512 + (71.7366 - 56) / 112 * 512), abs=1)


class Fixed:
    """A pack that finds what it is told."""

    name, version, id, dim, licence, engine = "fixed", "1", "fixed@1", 2, "", "none"

    def __init__(self, twin: Pack, *boxes: tuple[float, float, float, float]) -> None:
        self.thresholds = twin.thresholds
        self._found = [Detection(box, 0.9, tuple((x, y) for x, y in (ARCFACE_112 + box[0]).tolist())) for box in boxes]

    def detect(self, rgb: Pixels) -> list[Detection]:
        return self._found

    def embed(self, rgb: Pixels, landmarks: object) -> Embedded:
        count = len(np.asarray(landmarks))
        return Embedded(np.tile(np.array([1, 0], np.float32), (count, 1)), np.ones(count, np.float32))


def test_boxes_are_cut_to_the_photo_and_faces_outside_are_none(twin: Pack) -> None:
    pack = Fixed(twin, (-20, -30, 60, 70), (250, 10, 330, 90), (400, 10, 500, 90))
    faces, vectors = find_faces(photo(np.zeros((200, 300, 3), np.uint8)), "00", pack)
    assert [face.box for face in faces] == [(0, 0, 60, 70), (250, 10, 300, 90)]
    assert faces[1].face_short == 50
    assert len(vectors) == 2


def test_a_face_over_another_shows_in_the_overlap_of_both() -> None:
    assert overlaps([(0, 0, 100, 100), (50, 0, 150, 100), (300, 0, 400, 100)]) == [0.5, 0.5, 0.0]
    assert overlaps([(0, 0, 100, 100), (25, 25, 75, 75)]) == [0.25, 1.0]
    assert overlaps([(0, 0, 1, 1)]) == [0.0]


@pytest.fixture(scope="module")
def textured() -> Pixels:
    rough = np.random.default_rng(3).integers(0, 256, (28, 28, 3), np.uint8)
    return np.asarray(cv2.resize(rough, (112, 112), interpolation=cv2.INTER_LINEAR), np.uint8)


def test_blur_lowers_sharpness_at_every_step(textured: Pixels) -> None:
    values = [sharpness(textured)] + [sharpness(cv2.GaussianBlur(textured, (0, 0), sigma)) for sigma in (1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 3 * values[2]


def test_light_and_contrast_leave_sharpness_alone(textured: Pixels) -> None:
    dim = (textured * 0.5 + 20).astype(np.uint8)
    assert sharpness(dim) == pytest.approx(sharpness(textured), rel=0.05)


def test_a_plain_surface_has_no_sharpness() -> None:
    assert sharpness(np.full((112, 112, 3), 77, np.uint8)) == 0.0


def test_exposure_tells_dark_from_light_and_counts_what_is_lost() -> None:
    assert exposure(np.full((112, 112, 3), 255, np.uint8)) == {"exposure": 1.0, "clipped": 1.0}
    assert exposure(np.zeros((112, 112, 3), np.uint8)) == {"exposure": 0.0, "clipped": 1.0}
    assert exposure(np.full((112, 112, 3), 51, np.uint8)) == {"exposure": 0.2, "clipped": 0.0}


def seen(yaw: float = 0, pitch: float = 0, roll: float = 0) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The landmarks of a head that is turned to the image's right, down and clockwise; z is towards the camera."""
    from facesets.faces.quality import _HEAD  # noqa: PLC0415

    y, p, r = np.radians([yaw, pitch, roll])
    turned = _HEAD @ np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]).T
    turned = turned @ np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]]).T
    flat = turned[:, :2] @ np.array([[np.cos(r), -np.sin(r)], [np.sin(r), np.cos(r)]]).T
    return np.asarray(flat * 1.7 + 300)


@pytest.mark.parametrize("angle", [-60, -20, 0, 20, 60])
def test_pose_names_the_turn_of_the_head(angle: float) -> None:
    assert pose(seen(yaw=angle)) == pytest.approx({"yaw": angle, "pitch": 0, "roll": 0}, abs=0.1)
    assert pose(seen(pitch=angle)) == pytest.approx({"yaw": 0, "pitch": angle, "roll": 0}, abs=0.1)
    assert pose(seen(roll=angle)) == pytest.approx({"yaw": 0, "pitch": 0, "roll": angle}, abs=0.1)


def test_landmarks_on_one_point_have_no_pose() -> None:
    assert pose(np.full((5, 2), 9.0)) == {"yaw": 0.0, "pitch": 0.0, "roll": 0.0}


def test_the_more_light_is_missing_the_lower_the_exposure_of_a_face(twin: Pack) -> None:
    bright = twin_photo([(256, 256, 256, 1)], width=512, height=512)
    (face,) = find_faces(photo(bright), "00", twin).faces
    values = [quality((bright * light).astype(np.uint8), [face.landmarks])[0]["exposure"] for light in (1.0, 0.3, 0.05)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.05
    assert face.signals["exposure"] > 0.3
    assert face.signals["exposure"] == pytest.approx(values[0], abs=0.01)


def test_a_face_whose_crop_shows_another_face_says_so() -> None:
    def others(*faces: tuple[float, float, float]) -> list[int]:
        boxes = [(x - side / 2, y - side / 2, x + side / 2, y + side / 2) for x, y, side in faces]
        points = [(ARCFACE_112 - 55.5) * side / 112 + (x, y) for x, y, side in faces]
        return others_in_crop(boxes, points, 0.5)

    assert others((100, 100, 80)) == [0]
    assert others((100, 100, 80), (155, 100, 80)) == [1, 1]  # the crop reaches 60 pixels to each side
    assert others((100, 100, 80), (165, 100, 80)) == [0, 0]
    assert others((100, 100, 200), (60, 60, 30), (150, 150, 30)) == [2, 0, 0]  # small ones in front of a large one
    assert others((100, 100, 80), (155, 155, 20)) == [1, 0]


def test_faces_of_a_photo_know_how_many_others_their_crops_show(twin: Pack) -> None:
    crowd = find_faces(photo(twin_photo([(256, 256, 128, 1), (320, 160, 32, 2), (576, 416, 32, 3)])), "00", twin).faces
    assert [(face.box[2] - face.box[0], face.signals["others_in_crop"]) for face in crowd] == [(128, 1.0), (32, 0.0), (32, 0.0)]

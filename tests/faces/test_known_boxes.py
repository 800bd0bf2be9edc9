from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facesets.exchange.queue import QueueEntry
from facesets.faces.embed import embed_photos
from facesets.faces.known_boxes import find_known, shrink_for
from facesets.models.detection import Floats, Pixels
from facesets.models.immich_ml import ImmichMl
from facesets.models.pack import Pack
from facesets.photos.decode import Decoded, decode
from facesets.records import Box
from facesets.testing.immich_ml import immich_ml_server
from facesets.testing.twins import twin_photo

FACES = [(256, 256, 256, 1), (768, 256, 256, 2), (640, 768, 256, 3)]
BOXES: tuple[Box, ...] = ((128, 128, 384, 384), (640, 128, 896, 384), (512, 640, 768, 896))


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    return encoded(twin_photo(FACES, width=1280, height=1280))


def encoded(pixels: Pixels, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95, **options)
    return out.getvalue()


def watch(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Heights and widths that the pack's detector will see."""
    network = pack.detector._network  # type: ignore[attr-defined]
    seen: list[tuple[int, ...]] = []
    run = network.run

    def watched(x: Floats) -> list[Floats]:
        seen.append(x.shape[2:])
        return list(run(x))

    monkeypatch.setattr(network, "run", watched)
    return seen


class Watched:
    """The decoder, and how large the photos were that it gave."""

    def __init__(self) -> None:
        self.shrinks: list[int] = []

    def __call__(self, source: bytes, *, shrink: int = 1) -> Decoded:
        self.shrinks.append(shrink)
        return decode(source, shrink=shrink)


@pytest.mark.parametrize(
    ("boxes", "shrink"),
    [
        ([], 1),
        ([(0, 0, 224, 300)], 2),
        ([(0, 0, 223, 300)], 1),
        ([(0, 0, 300, 300), (0, 0, 150, 150)], 1),
        ([(0, 0, 300, 300), (0, 0, 60, 60)], 2),  # too small to count
        ([(0, 0, 60, 60)], 1),
        ([(0, 0, 2000, 2000)], 2),
    ],
)
def test_a_photo_is_shrunk_as_far_as_each_face_that_counts_keeps_112_pixels(boxes: list[Box], shrink: int) -> None:
    assert shrink_for(boxes) == shrink


def test_around_known_boxes_the_same_faces_are_found_as_in_the_whole_photo(twin: Pack, jpeg: bytes) -> None:
    _, whole = find_known(jpeg, "aa", twin)
    watched = Watched()
    photo, near = find_known(jpeg, "aa", twin, BOXES, decoder=watched)
    assert watched.shrinks == [2]
    assert (photo.width, photo.height, photo.scale) == (1280, 1280, 0.5)
    assert [face.box for face in near.faces] == [face.box for face in whole.faces] == sorted(BOXES)
    assert [face.face_id for face in near.faces] == [face.face_id for face in whole.faces]
    assert (near.vectors * whole.vectors).sum(axis=1).min() > 0.99


def test_fewer_pixels_are_looked_at_where_boxes_are_known(twin: Pack, jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = watch(twin, monkeypatch)
    find_known(jpeg, "aa", twin)
    assert seen == [(128, 128), (640, 640)]
    seen.clear()
    find_known(jpeg, "aa", twin, BOXES[:1])
    assert seen == [(128, 128), (256, 256)]


def test_a_box_without_a_face_has_the_whole_photo_gone_through(twin: Pack, jpeg: bytes) -> None:
    watched = Watched()
    _, found = find_known(jpeg, "aa", twin, ((1000, 900, 1250, 1150),), decoder=watched)
    assert watched.shrinks == [2, 1]
    _, whole = find_known(jpeg, "aa", twin)
    assert [face.face_id for face in found.faces] == [face.face_id for face in whole.faces]
    assert found.vectors.tobytes() == whole.vectors.tobytes()


@pytest.mark.parametrize("box", [(-500, -500, -100, -100), (5000, 5000, 6000, 6000), (0, 0, 0.1, 0.1), (1279, 1279, 1280, 1280)])
def test_boxes_that_lie_elsewhere_do_no_harm(twin: Pack, jpeg: bytes, box: Box) -> None:
    _, whole = find_known(jpeg, "aa", twin)
    _, found = find_known(jpeg, "aa", twin, (box,))
    assert [face.face_id for face in found.faces] == [face.face_id for face in whole.faces]


def test_a_photo_with_more_faces_than_windows_are_worth_is_looked_at_whole(twin: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [(x, y, 64, x + y) for x in range(64, 640, 128) for y in range(64, 640, 128)]
    photo = encoded(twin_photo(places, width=640, height=640))
    boxes = tuple((x - 32.0, y - 32.0, x + 32.0, y + 32.0) for x, y, _, _ in places)
    seen = watch(twin, monkeypatch)
    _, found = find_known(photo, "aa", twin, boxes)
    assert seen == [(640, 640)]  # at 128 pixels nobody knows of a face that is to be seen
    assert len(found.faces) == 25


@pytest.mark.slow
def test_an_unknown_face_that_counts_gets_its_pixels(twin: Pack, jpeg: bytes) -> None:
    """The whole canvas is looked at here, because the known box fills it, and the unknown face is small at half the size."""
    photo = encoded(twin_photo([(1280, 1280, 512, 1), (512, 512, 128, 2)], width=2560, height=2560))
    watched = Watched()
    _, found = find_known(photo, "aa", twin, ((1024, 1024, 1536, 1536), (0, 0, 2560, 2560)), decoder=watched)
    assert watched.shrinks == [2, 1]
    assert len(found.faces) == 2


def test_the_worker_takes_known_boxes_from_the_queue_and_can_be_told_not_to(
    twin: Pack, jpeg: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg)
    entry = QueueEntry("a", "a.jpg", boxes=BOXES[:1])
    (near,) = embed_photos([entry], twin, root=tmp_path, workers=1)
    (whole,) = embed_photos([entry], twin, root=tmp_path, workers=1, known_boxes=False)
    assert [face.box for face in near.faces] == [BOXES[0]]
    assert sorted(face.box for face in whole.faces) == sorted(BOXES)
    assert near.size == whole.size == (1280, 1280)


def test_crops_are_cut_from_the_whole_photo(twin: Pack, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(twin_photo([(512, 512, 128, 1)], width=1280, height=1280)))
    sizes: list[tuple[int, ...]] = []
    entry = QueueEntry("a", "a.jpg", boxes=((448, 448, 576, 576),))
    (result,) = embed_photos([entry], twin, root=tmp_path, workers=1, after=lambda full, _: sizes.append(full().rgb.shape))
    assert (len(result.faces), sizes) == (1, [(1280, 1280, 3)])


def test_a_shrunk_photos_landmarks_are_those_of_the_original(twin: Pack, jpeg: bytes) -> None:
    _, whole = find_known(jpeg, "aa", twin)
    _, near = find_known(jpeg, "aa", twin, BOXES)
    for mine, other in zip(near.faces, whole.faces, strict=True):
        np.testing.assert_allclose(mine.landmarks, other.landmarks, atol=0.5)


SMALL_IN_LARGE = encoded(twin_photo([(512, 512, 1024, 1), (1280, 1280, 96, 2)], width=2560, height=2560))
AROUND: Box = (1200, 1200, 1360, 1360)  # as somebody draws it


def test_what_somebody_drew_is_looked_at_closely(twin: Pack) -> None:
    _, whole = find_known(SMALL_IN_LARGE, "aa", twin)
    _, drawn = find_known(SMALL_IN_LARGE, "aa", twin, (AROUND,), (AROUND,))
    new = [face for face in drawn.faces if face.face_id not in {one.face_id for one in whole.faces}]
    assert len(new) == 1
    assert np.allclose(new[0].box, (1232, 1232, 1328, 1328), atol=2)
    assert (new[0].det_score or 0) > 0.5
    assert "landmarks_from_box" not in new[0].signals
    _, without = find_known(SMALL_IN_LARGE, "aa", twin, (), (AROUND,))  # [embed] known_boxes = false
    assert [face.face_id for face in without.faces] == [face.face_id for face in drawn.faces]


@pytest.mark.parametrize("box", [(-500, -500, -100, -100), (5000, 5000, 6000, 6000), (0, 0, 0.1, 0.1), (9e9, 0, 1e10, 1e9)])
def test_what_somebody_drew_outside_of_the_photo_does_no_harm(twin: Pack, jpeg: bytes, box: Box) -> None:
    _, whole = find_known(jpeg, "aa", twin)
    _, found = find_known(jpeg, "aa", twin, (box,), (box,))
    assert [face.face_id for face in found.faces] == [face.face_id for face in whole.faces]


def test_a_machine_learning_service_is_shown_what_somebody_drew(twin: Pack) -> None:
    with immich_ml_server(twin) as server:
        pack = ImmichMl([server.url])
        _, here = find_known(SMALL_IN_LARGE, "aa", twin, (AROUND,), (AROUND,))
        _, there = find_known(SMALL_IN_LARGE, "aa", pack, (AROUND,), (AROUND,))
        assert len(there.faces) == len(here.faces)
        assert (np.einsum("ij,ij->i", here.vectors, there.vectors) > 0.999).all()
        nothing = (1800.0, 300.0, 2000.0, 500.0)
        _, unseen = find_known(SMALL_IN_LARGE, "aa", pack, (AROUND, nothing), (AROUND, nothing))
        assert [face.face_id for face in unseen.faces] == [face.face_id for face in there.faces]  # it measures what it sees

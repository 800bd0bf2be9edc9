from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facesets.embedding import Decoded, Pack, QueueEntry, decode, embed_photos
from facesets.embedding.known import find_known, shrink_for
from facesets.embedding.packs.detection import Floats, Pixels
from facesets.records import Box
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

    def __call__(self, source: bytes, *, shrink: int = 1, part: Box | None = None) -> Decoded:
        self.shrinks.append(shrink)
        return decode(source, shrink=shrink, part=part)


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


LARGE_PHOTO = [(512, 512, 256, 1), (2048, 512, 256, 2), (1024, 2048, 256, 3)]  # at 640 pixels they have 64, at 128 too few


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
def test_no_more_is_decoded_than_the_known_faces_need_and_the_faces_are_the_same(twin: Pack, turn: int) -> None:
    photo = np.rot90(twin_photo(LARGE_PHOTO, width=2560, height=2560), {1: 0, 3: 2, 6: 1, 8: 3}[turn])
    exif = Image.Exif()
    exif[274] = turn
    data = encoded(photo, exif=exif)
    for centres in ([(512, 512)], [(512, 512), (2048, 512)], [(1024, 2048)]):
        boxes = tuple((x - 128.0, y - 128.0, x + 128.0, y + 128.0) for x, y in centres)
        seen: list[Decoded] = []

        def watched(source: bytes, seen: list[Decoded] = seen, **options: Any) -> Decoded:
            seen.append(decode(source, **options))
            return seen[-1]

        def whole(source: bytes, *, shrink: int = 1, part: Box | None = None) -> Decoded:
            return decode(source, shrink=shrink)

        _, found = find_known(data, "aa", twin, boxes, decoder=watched)
        _, expected = find_known(data, "aa", twin, boxes, decoder=whole)
        assert len(seen) == 1
        assert (found.faces, found.vectors.tobytes()) == (expected.faces, expected.vectors.tobytes())
        assert [face.box for face in found.faces] == sorted(boxes)
        if turn == 1:
            assert (seen[0].seen is None) == (centres == [(1024, 2048)])  # which lies so low that all rows are needed


def test_a_face_that_is_not_quite_where_it_was_known_to_be_gets_all_its_pixels(twin: Pack) -> None:
    """The known box is so much smaller that its surroundings do not show all that is cut out for the face."""
    data = encoded(twin_photo([(1280, 512, 512, 1)], width=2560, height=2560))
    boxes = ((1180.0, 412.0, 1470.0, 702.0),)
    watched = Watched()
    _, found = find_known(data, "aa", twin, boxes, decoder=watched)
    assert watched.shrinks == [2, 1]
    assert [face.face_id for face in found.faces] == [face.face_id for face in find_known(data, "aa", twin)[1].faces]


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

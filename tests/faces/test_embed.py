from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from facesets.errors import CorruptFile, UnreadableImage
from facesets.exchange.queue import QueueEntry
from facesets.faces.embed import embed_photos, read_image
from facesets.models.pack import Pack
from facesets.photos.pixels import Pixels
from facesets.records import Reason
from facesets.testing.twins import twin_photo


def saved(path: Path, pixels: Pixels) -> QueueEntry:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=1)
    return QueueEntry(path.stem, path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture
def photos(tmp_path: Path) -> list[QueueEntry]:
    """Eight photos: faces of different people, and one without any."""
    entries = [
        saved(tmp_path / f"p{i}.png", twin_photo([(128, 128, 128, i), (384, 128, 64, i + 100)][: i % 3], seed=i)) for i in range(7)
    ]
    return [*entries, saved(tmp_path / "p7.png", np.zeros((64, 64, 3), np.uint8))]


def test_results_come_in_the_order_of_the_items_and_do_not_depend_on_the_workers(
    tmp_path: Path, photos: list[QueueEntry], twin: Pack
) -> None:
    runs = [list(embed_photos(photos, twin, root=tmp_path, workers=workers)) for workers in (1, 3)]
    for results in runs:
        assert [result.entry for result in results] == photos
        assert [len(result.faces) for result in results] == [0, 1, 2, 0, 1, 2, 0, 0]
        assert results[0].reason is Reason.EMBEDDED_NO_FACE
        assert results[1].reason is Reason.EMBEDDED
        assert results[1].size == (640, 480)
    for one, other in zip(*runs, strict=True):
        assert one.faces == other.faces
        assert one.vectors.tobytes() == other.vectors.tobytes()
        assert one.vectors.shape == (len(one.faces), 512)


def test_a_bad_photo_is_a_reason_and_the_rest_goes_on(tmp_path: Path, photos: list[QueueEntry], twin: Pack) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<html>")
    (tmp_path / "half.png").write_bytes((tmp_path / "p1.png").read_bytes()[:5000])
    bad = [QueueEntry(name, name) for name in ("empty.jpg", "page.jpg", "half.png", "gone.jpg", "nul\0.jpg", "x" * 4000)]
    changed = replace(photos[2], sha256="00" * 32)
    results = list(embed_photos([*bad, changed, photos[1]], twin, root=tmp_path, workers=2))
    assert [result.reason for result in results] == [
        Reason.EMPTY_FILE,
        Reason.UNSUPPORTED,
        Reason.TRUNCATED,
        Reason.EMBED_ERROR,
        Reason.EMBED_ERROR,
        Reason.EMBED_ERROR,
        Reason.EMBED_ERROR,
        Reason.EMBEDDED,
    ]
    assert all(result.detail and not result.faces for result in results[:-1])
    assert "its bytes have changed" in str(results[-2].detail)


def test_a_failing_engine_is_an_error_that_may_heal(tmp_path: Path, photos: list[QueueEntry], twin: Pack) -> None:
    class Failing:
        name, version, id, dim, thresholds, licence, engine = "failing", "1", "failing@1", 512, twin.thresholds, "", "none"

        def detect(self, rgb: Pixels) -> Any:
            raise RuntimeError("CUDA out of memory")

        def embed(self, rgb: Pixels, landmarks: Any) -> Any: ...

    (result,) = embed_photos(photos[:1], Failing(), root=tmp_path)
    assert result.reason is Reason.EMBED_ERROR
    assert result.detail == "RuntimeError: CUDA out of memory"


def test_a_missing_hash_is_filled_in(tmp_path: Path, photos: list[QueueEntry], twin: Pack) -> None:
    (result,) = embed_photos([replace(photos[1], sha256="")], twin, root=tmp_path)
    assert result.entry.sha256 == result.faces[0].sha256 == photos[1].sha256


def test_without_a_root_the_workers_own_path_is_opened(tmp_path: Path, photos: list[QueueEntry], twin: Pack) -> None:
    elsewhere = replace(photos[1], worker_path=str(tmp_path / photos[1].path))
    absolute = replace(photos[1], path=str(tmp_path / photos[1].path))
    assert [result.reason for result in embed_photos([elsewhere, absolute], twin)] == [Reason.EMBEDDED] * 2


def test_an_endless_source_is_read_only_a_little_ahead(tmp_path: Path, photos: list[QueueEntry], twin: Pack) -> None:
    taken = 0

    def endless() -> Iterator[QueueEntry]:
        nonlocal taken
        while True:
            taken += 1
            yield photos[0]

    results = embed_photos(endless(), twin, root=tmp_path, workers=2)
    for _ in range(5):
        next(results)
    assert taken < 20
    results.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embed")]


def test_photos_are_worked_on_side_by_side(tmp_path: Path, photos: list[QueueEntry], twin: Pack) -> None:
    class Together:
        name, version, id, dim, thresholds, licence, engine = "together", "1", "together@1", 512, twin.thresholds, "", "none"
        barrier, calls = threading.Barrier(3), itertools.count()

        def detect(self, rgb: Pixels) -> Any:
            if next(self.calls) < 3:
                self.barrier.wait(timeout=60)  # each of the first three sees the two others
            return []

        def embed(self, rgb: Pixels, landmarks: Any) -> Any:
            return twin.embed(rgb, landmarks)

    results = list(embed_photos(photos, Together(), root=tmp_path, workers=3))
    assert {result.reason for result in results} == {Reason.EMBEDDED_NO_FACE}


def test_a_file_larger_than_any_photo_is_not_read(tmp_path: Path, photos: list[QueueEntry], twin: Pack) -> None:
    with (tmp_path / "film.jpg").open("wb") as file:
        file.truncate(3 << 30)  # a hole: it takes no room on the disk
    (film, photo) = embed_photos([QueueEntry("film", "film.jpg"), photos[1]], twin, root=tmp_path, workers=1)
    assert (film.reason, film.detail) == (Reason.TOO_LARGE, "the file has more than 1024 MB")
    assert photo.reason is Reason.EMBEDDED


def test_opencvs_threads_are_given_back(tmp_path: Path, photos: list[QueueEntry], twin: Pack) -> None:
    before = cv2.getNumThreads()
    list(embed_photos(photos[:1], twin, root=tmp_path))
    assert cv2.getNumThreads() == before


def test_a_photo_that_changed_on_disk_is_not_read_as_the_old_one(tmp_path: Path, photos: list[QueueEntry]) -> None:
    path = tmp_path / photos[0].path
    assert read_image(path, sha256=photos[0].sha256).rgb.shape == (480, 640, 3)
    with pytest.raises(CorruptFile, match="its bytes have changed since"):
        read_image(path, sha256="00" * 32)
    path.write_text("nothing")
    with pytest.raises(UnreadableImage):
        read_image(path)

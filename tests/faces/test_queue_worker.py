from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesets.errors import CorruptFile, PackMismatch
from facesets.exchange.cache import load_cache
from facesets.exchange.queue import QueueEntry, append_queue
from facesets.faces.queue_worker import embed_queue
from facesets.models.pack import Pack
from facesets.progress import Silent
from facesets.testing.twins import twin_photo


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos with one face, and one without."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(13):
        Image.fromarray(twin_photo([(128, 128, 128, i)] if i < 12 else [], seed=i)).save(folder / f"p{i}.png", compress_level=1)
    return folder


@pytest.fixture
def queue(tmp_path: Path, photos: Path) -> Path:
    """The photos, and a copy of the first; hashes are known to the queue."""
    entries = []
    for i in range(13):
        path = Path(shutil.copy(photos / f"p{i}.png", tmp_path))
        entries.append(QueueEntry(f"a{i}", f"lib/p{i}.png", str(path), hashlib.sha256(path.read_bytes()).hexdigest()))
    copy = replace(entries[0], asset_id="copy", path="lib/copy.png")
    append_queue(tmp_path / "q.jsonl", "me", [*entries, copy])
    return tmp_path / "q.jsonl"


def test_a_queue_becomes_a_cache_with_the_yardsticks_counters(queue: Path, tmp_path: Path, twin: Pack) -> None:
    counters = embed_queue(queue, tmp_path / "out" / "me.npz", twin)
    assert list(counters) == ["queue", "new_faces", "new_noface", "load_errors", "seconds", "images_per_second", "retryable"]
    assert (counters["queue"], counters["new_faces"], counters["new_noface"], counters["load_errors"]) == (14, 12, 1, 0)

    cache = load_cache(tmp_path / "out" / "me.npz", model=twin.id)
    assert cache.processed == [*(f"lib/p{i}.png" for i in range(13)), "lib/copy.png"]
    assert cache.path_aliases == {"lib/copy.png": "lib/p0.png"}
    assert [row["path"] for row in cache.meta] == [f"lib/p{i}.png" for i in range(12)]
    assert cache.embeddings.shape == (12, 512)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["me.npz"]


def test_a_second_run_does_nothing_and_writes_the_same_bytes(queue: Path, tmp_path: Path, twin: Pack) -> None:
    embed_queue(queue, tmp_path / "me.npz", twin)
    before = (tmp_path / "me.npz").read_bytes()
    counters = embed_queue(queue, tmp_path / "me.npz", twin)
    assert (counters["new_faces"], counters["new_noface"]) == (0, 0)
    assert (tmp_path / "me.npz").read_bytes() == before


def test_photos_that_cannot_be_read_are_said_and_tried_again(queue: Path, tmp_path: Path, twin: Pack) -> None:
    photo = (tmp_path / "p3.png").read_bytes()
    (tmp_path / "p3.png").unlink()
    silent = Silent()
    counters = embed_queue(queue, tmp_path / "me.npz", twin, progress=silent)
    assert (counters["load_errors"], counters["new_faces"]) == (1, 11)
    assert silent.notes[0].startswith("lib/p3.png: embed_error (")

    (tmp_path / "p3.png").write_bytes(photo)
    counters = embed_queue(queue, tmp_path / "me.npz", twin)
    assert (counters["load_errors"], counters["new_faces"]) == (0, 1)


@pytest.mark.slow
def test_a_journal_line_that_was_cut_off_is_done_again(queue: Path, tmp_path: Path, twin: Pack) -> None:
    embed_queue(queue, tmp_path / "a.npz", twin)
    journal = tmp_path / "b.npz.journal"
    journal.write_bytes(b'{"schema":"facesets.embed-journal/1","model":"%s"}\n{"path":"lib/p0.png","me' % twin.id.encode())
    embed_queue(queue, tmp_path / "b.npz", twin)
    assert (tmp_path / "b.npz").read_bytes() == (tmp_path / "a.npz").read_bytes()


@pytest.mark.parametrize(
    ("journal", "problem"),
    [
        (b"rubbish\n", "is no journal"),
        (b'{"schema":"facesets.embed-journal/9","model":"x"}\n', "this version reads"),
        (b'{"schema":"facesets.embed-journal/1","model":"MODEL"}\n{"path":"x","meta":[{}],"vectors":"AAAA"}\n', "is no journal"),
    ],
)
def test_a_journal_that_cannot_be_trusted_stops_the_run(queue: Path, tmp_path: Path, twin: Pack, journal: bytes, problem: str) -> None:
    (tmp_path / "b.npz.journal").write_bytes(journal.replace(b"MODEL", twin.id.encode()))
    with pytest.raises(CorruptFile, match=problem):
        embed_queue(queue, tmp_path / "b.npz", twin)


def test_two_models_never_share_a_cache_or_a_journal(queue: Path, tmp_path: Path, twin: Pack, open_pack: Pack) -> None:
    embed_queue(queue, tmp_path / "me.npz", twin)
    with pytest.raises(PackMismatch, match=f"{twin.id}.*open@1"):
        embed_queue(queue, tmp_path / "me.npz", open_pack)
    (tmp_path / "b.npz.journal").write_bytes(b'{"schema":"facesets.embed-journal/1","model":"%s"}\n' % twin.id.encode())
    with pytest.raises(PackMismatch, match=f"{twin.id}.*open@1"):
        embed_queue(queue, tmp_path / "b.npz", open_pack)


def test_vectors_in_the_cache_are_those_of_the_faces(queue: Path, tmp_path: Path, twin: Pack) -> None:
    embed_queue(queue, tmp_path / "me.npz", twin, workers=2)
    cache = load_cache(tmp_path / "me.npz")
    same = cache.embeddings @ cache.embeddings.T
    assert np.allclose(np.diag(same), 1, atol=1e-6)
    assert (same - np.eye(12)).max() < 0.5  # twelve people

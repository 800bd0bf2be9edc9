from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesets.embedding import Pack, QueueEntry, append_queue, embed_queue, load_cache
from facesets.errors import CorruptFile, PackMismatch
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


NURSERY = """
import os, sys, time
from functools import partial
from pathlib import Path
import facesets.embedding.split as split
from facesets.embedding import decode, embed_photos, load_pack
queue, out, pack = Path(sys.argv[1]), Path(sys.argv[2]), load_pack(sys.argv[3])
real = split._record
def slow(result):
    time.sleep(0.01)
    return real(result)
split._record = slow
for line in sys.stdin:
    if line.strip() == "inline":
        split.embed_photos = partial(embed_photos, decoder=decode)
    else:
        split.embed_photos = embed_photos
    pid = os.fork()
    if not pid:
        split.embed_queue(queue, out, pack, workers=1)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX's")
def test_an_embed_process_killed_fifty_times_ends_as_if_undisturbed(
    photos: Path, tmp_path: Path, twin: Pack, twin_folder: Path
) -> None:
    """Every process is killed when it has just put a photo on record: it was at work. One in ten decodes in processes of its own."""
    entries = []
    for i in range(110):
        path = tmp_path / f"q{i}.png"
        path.write_bytes((photos / f"p{i % 13}.png").read_bytes() + bytes([i]))  # the same pixels, other bytes
        entries.append(QueueEntry(f"a{i}", f"lib/q{i}.png", str(path), hashlib.sha256(path.read_bytes()).hexdigest()))
    append_queue(tmp_path / "q.jsonl", "me", entries)
    embed_queue(tmp_path / "q.jsonl", tmp_path / "undisturbed.npz", twin)
    out = tmp_path / "killed.npz"
    journal = out.with_name("killed.npz.journal")
    kills = 0
    arguments = [sys.executable, "-c", NURSERY, str(tmp_path / "q.jsonl"), str(out), str(twin_folder)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        assert nursery.stdin is not None
        assert nursery.stdout is not None
        while not out.exists():
            before = journal.stat().st_size if journal.exists() else 0
            nursery.stdin.write("apart\n" if kills % 10 == 0 else "inline\n")
            nursery.stdin.flush()
            pid = int(nursery.stdout.readline())
            while kills < 50 and (not journal.exists() or journal.stat().st_size <= before + 200):
                time.sleep(0.001)
            if kills < 50:
                os.kill(pid, signal.SIGKILL)
                kills += 1
                assert int(nursery.stdout.readline()) == -signal.SIGKILL  # it had not ended: it was at work
                assert not out.exists()
            else:
                assert int(nursery.stdout.readline()) == 0
        nursery.stdin.close()
    assert kills == 50
    one, other = load_cache(tmp_path / "undisturbed.npz"), load_cache(out)
    rows = [sorted(range(len(c.meta)), key=lambda i: (c.meta[i]["sha256"], c.meta[i]["face_index"])) for c in (one, other)]
    assert np.array_equal(one.embeddings[rows[0]], other.embeddings[rows[1]])
    assert [one.meta[i] for i in rows[0]] == [other.meta[i] for i in rows[1]]
    assert out.read_bytes() == (tmp_path / "undisturbed.npz").read_bytes()
    assert not journal.exists()


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
def test_a_journal_that_cannot_be_trusted_stops_the_run(
    queue: Path, tmp_path: Path, twin: Pack, journal: bytes, problem: str
) -> None:
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

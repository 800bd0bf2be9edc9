"""A worker that is killed again and again ends where an undisturbed one does."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from facesets.exchange.cache import load_cache
from facesets.exchange.queue import QueueEntry, append_queue
from facesets.faces.queue_worker import embed_queue
from facesets.models.pack import Pack

from .test_queue_worker import photos

__all__ = ["photos"]

NURSERY = """
import os, sys, time
from functools import partial
from pathlib import Path
import facesets.faces.queue_worker as split
from facesets.faces import embed_photos
from facesets.models import load_pack
from facesets.photos import decode
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

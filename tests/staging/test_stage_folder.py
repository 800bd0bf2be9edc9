from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from facesets.records import Reason
from tests.immich.photos import photo

from .home import Home


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "photos of ours"
    for number, name in enumerate(("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/thumbs/4.jpg")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(photo(number))
    (root / "b" / "copy of 1.jpg").write_bytes(photo(0))
    (root / "clip.mp4").write_bytes(b"film")
    (root / "empty.jpg").write_bytes(b"")
    return root


def by_path(home: Home) -> dict[str, Reason]:
    return {row.asset.original_path: row.reason for row in home.rows()}


def tree(root: Path) -> dict[Path, tuple[bytes, int]]:
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


def test_photos_stay_in_place_and_each_has_a_reason(folder: Path, home: Home) -> None:
    before = tree(folder)
    counters = home.stage_folder(folder)
    assert by_path(home) == {
        "a/1.jpg": Reason.STAGED,
        "a/2.jpg": Reason.STAGED,
        "b/3.jpg": Reason.STAGED,
        "b/copy of 1.jpg": Reason.DUP_STAGED,
        "b/thumbs/4.jpg": Reason.EXCLUDED_PATH,
        "clip.mp4": Reason.NOT_IMAGE,
        "empty.jpg": Reason.EMPTY_FILE,
    }
    assert (counters.total_assets_seen, counters.downloads, counters.requests, counters.bytes_downloaded) == (7, 0, 0, 0)
    assert tree(folder) == before
    assert home.files() == {}
    staged = {row.asset.original_path: row for row in home.rows() if row.reason is Reason.STAGED}
    assert staged["a/1.jpg"].path == str(folder / "a/1.jpg")
    assert staged["a/1.jpg"].sha256 == hashlib.sha256(photo(0)).hexdigest()
    assert (staged["a/1.jpg"].asset.width, staged["a/1.jpg"].asset.height) == (400, 300)


def test_a_second_look_reads_no_photo_again(folder: Path, home: Home) -> None:
    home.stage_folder(folder)
    before = home.outcome()
    counters = home.stage_folder(folder)
    assert counters.already_settled == 7
    assert home.source is not None
    assert home.source.work.bytes == 0
    assert home.outcome() == before


def test_a_changed_photo_is_seen_by_its_time(folder: Path, home: Home) -> None:
    home.stage_folder(folder)
    path = folder / "a" / "2.jpg"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    home.stage_folder(folder)
    (row,) = (row for row in home.rows() if row.asset.original_path == "a/2.jpg")
    assert (row.reason, row.sha256) == (Reason.STAGED, hashlib.sha256(data).hexdigest())


def test_a_deleted_photo_is_gone_and_its_copy_takes_over(folder: Path, home: Home) -> None:
    home.stage_folder(folder)
    (folder / "a" / "1.jpg").unlink()
    home.stage_folder(folder)
    assert by_path(home)["a/1.jpg"] is Reason.GONE
    assert by_path(home)["b/copy of 1.jpg"] is Reason.STAGED


def test_a_folder_that_moved_is_the_same_folder(folder: Path, home: Home) -> None:
    home.stage_folder(folder)
    counts = home.counts()
    moved = folder.rename(folder.with_name("moved"))
    home.stage_folder(moved)
    assert home.counts() == counts
    assert all(row.path and row.path.startswith(str(moved)) for row in home.rows() if row.reason is Reason.STAGED)

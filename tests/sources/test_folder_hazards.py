"""What lies in folders of real people besides photos: nothing of it ends a listing, and each is said or has its own kind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from facesets.errors import NotFound, UsageError
from facesets.photos import DecoderPool
from facesets.progress import Silent
from facesets.records import Asset, User
from facesets.settings import Settings
from facesets.sources.folder import FolderSource
from facesets.staging.filters import path_filter

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the file systems there are others")
OWNER = User("box", "folder:box")
DECODERS = DecoderPool()
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"] if os.geteuid() == 0 else []
LIST = """
import sys; from pathlib import Path
from facesets.photos import DecoderPool; from facesets.progress import Silent
from facesets.records import User; from facesets.sources.folder import FolderSource
said = Silent(); box = FolderSource(Path(sys.argv[1]), User("box", "folder:box"), DecoderPool())
print(*(asset.original_path for asset in box.listing(said)), *said.notes, *(f"unlisted {one}" for one in box.unlisted), sep="\\n")
"""


@pytest.fixture(autouse=True, scope="module")
def ended() -> Iterator[None]:
    yield
    DECODERS.close()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "own.jpg").write_bytes(b"own")
    return root


def listed(root: Path, *own: Path) -> tuple[dict[str, Asset], list[str]]:
    said = Silent()
    return {asset.original_path: asset for asset in FolderSource(root, OWNER, DECODERS, own).listing(said)}, said.notes


def listed_without_rights(root: Path) -> list[str]:
    """The lines of LIST, of a process that permissions hold for."""
    done = subprocess.run([*AS_ANYBODY, sys.executable, "-c", LIST, str(root)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "name"), [(0o000, "lost+found"), (0o111, "entered but not listed")])
def test_a_folder_that_cannot_be_read_is_named_and_the_rest_is_done(root: Path, mode: int, name: str) -> None:
    (root / name).mkdir()
    (root / name / "other.jpg").write_bytes(b"other")
    (root / "z").mkdir()
    (root / "z" / "last.jpg").write_bytes(b"last")
    (root / name).chmod(mode)
    try:
        told = listed_without_rights(root)
    finally:
        (root / name).chmod(0o700)
    assert told[:2] == ["own.jpg", "z/last.jpg"]
    assert f"1 folder in {root} cannot be read: {name}/ (permission denied). The rest is done." in told
    assert f"unlisted {name}/" in told


def test_a_root_that_cannot_be_read_is_one_clear_error(root: Path) -> None:
    (root / "own.jpg").unlink()
    root.rmdir()
    with pytest.raises(UsageError, match="cannot be read: no such file"):
        listed(root)


def test_links_in_a_ring_are_counted_as_not_followed(root: Path) -> None:
    (root / "self.jpg").symlink_to("self.jpg")
    (root / "#snapshot").symlink_to("#snapshot")
    (root / "nowhere.jpg").symlink_to("missing.jpg")
    found, notes = listed(root)
    assert list(found) == ["own.jpg"]
    assert notes == [f"3 links in {root} to folders, out of it or to nothing were not followed."]


def test_only_regular_files_are_photos(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    (root / "link to a pipe.jpg").symlink_to("pipe.jpg")
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(os.fspath(root / "socket.jpg"))
        found, _ = listed(root)
    assert {path: asset.type for path, asset in found.items()} == {
        "link to a pipe.jpg": "OTHER", "own.jpg": "IMAGE", "pipe.jpg": "OTHER", "socket.jpg": "OTHER",
    }  # fmt: skip
    with pytest.raises(NotFound, match="no longer a file"):  # never opened, also where it became one since
        FolderSource(root, OWNER, DECODERS).fetch(found["pipe.jpg"], root / "t")


def test_a_time_beyond_the_year_9999_is_unknown(root: Path) -> None:
    shared_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared_memory if shared_memory.is_dir() else root) as folder:
        path = Path(folder) / "late.jpg"
        path.write_bytes(b"late")
        os.utime(path, (300_000_000_000, 300_000_000_000))
        if path.stat().st_mtime < 253_402_300_800:
            pytest.skip("no file system here keeps such times")
        found, _ = listed(Path(folder))
    assert found["late.jpg"].updated_at is None


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_folder_whose_own_name_is_no_utf8_works(tmp_path: Path) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    root.mkdir()
    (root / "x.jpg").write_bytes(b"x")
    (root / "gone").symlink_to("nothing")
    said, box = Silent(), FolderSource(root, OWNER, DECODERS)
    (asset,) = box.listing(said)
    assert asset.original_path == "x.jpg"
    assert "caf\\xe9" in said.notes[0]
    fetched = box.fetch(asset, tmp_path / "photos" / "safe.jpg")
    assert fetched.path.read_bytes() == b"x"
    str(fetched.path).encode()


def test_a_path_too_long_for_the_system_is_said_and_the_rest_is_done(root: Path) -> None:
    here = Path.cwd()
    os.chdir(root)
    try:
        for _ in range(25):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
    finally:
        os.chdir(here)
    (root / "z.jpg").write_bytes(b"z")
    found, notes = listed(root)
    assert list(found) == ["own.jpg", "z.jpg"]
    assert len(notes) == 1
    assert "file name too long" in notes[0]


def test_what_an_export_made_is_no_photo_and_the_photos_beside_it_are(root: Path) -> None:
    record: dict[str, object] = {"sets": {"1@x": {"files": {"Anna/1.png": {}, "2.png": {}}}}}
    for folder, said in (("2020", json.dumps(record)), ("2021", '{"sets": [1]}'), ("2022", "[" * 100_000)):
        for name in ("Anna/1.png", "Anna/photo.png", "2.png"):
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (root / folder / name).write_bytes(b"x")
        (root / folder / ".facesets-export.json").write_text(said)
    found, notes = listed(root)
    assert [name for name in found if name.startswith("2020") and name.endswith("png")] == ["2020/Anna/photo.png"]
    assert sum(name.endswith("png") for name in found) == 7
    assert notes == [f"2 files in {root} that an export of facesets made were left out."]


def test_workspaces_and_sets_are_never_photos(root: Path, tmp_path: Path) -> None:
    for name in (
        "work/facesets.toml",
        "work/photos/1.jpg",
        "sets/faceset_001/faces/1.png",
        "old/faceset_007/faceset.json",
        "old/faceset_007/1.png",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    found, notes = listed(root, tmp_path / "elsewhere", root / "sets")
    assert list(found) == ["own.jpg"]
    assert notes == [f"3 folders of facesets workspaces or sets inside {root} were left out."]


def test_a_workspace_that_is_itself_the_folder_keeps_its_own_folders_out(root: Path) -> None:
    for name in (
        "facesets.toml",
        "photos/1.jpg",
        "crops/2.png",
        "thumbnails/2.webp",
        "my sets/faceset_001/faces/1.png",
        "holiday/3.jpg",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    found, _ = listed(root, root, root / "my sets")
    assert list(found) == ["facesets.toml", "own.jpg", "holiday/3.jpg"]


@pytest.mark.parametrize(
    "path",
    [
        "$RECYCLE.BIN/S-1-5-21/$R1.jpg", "a/@Recycle/1.jpg", "a/.dtrash/files/1.jpg", "DCIM/.trashed-1700000000-1.jpg",
        "DCIM/.pending-1700000000-1.jpg", "#snapshot/GMT-1/1.jpg", ".zfs/snapshot/x/1.jpg", "share/.recycle/1.jpg",
        "Pictures/Photos Library.photoslibrary/resources/derivatives/masters/0/1_4_5005_c.jpeg",
    ],
)  # fmt: skip
def test_bins_snapshots_and_derivatives_are_excluded_by_default(path: str) -> None:
    excluded = path_filter(Settings().stage.exclude)
    assert excluded(path)
    assert not excluded("Pictures/Photos Library.photoslibrary/originals/0/1.jpeg")
    assert not excluded("a/trashed-1.jpg")

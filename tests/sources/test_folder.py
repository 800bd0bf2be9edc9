from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from facesets.errors import NotFound
from facesets.photos import DecoderPool
from facesets.progress import Silent
from facesets.records import Asset, User
from facesets.sources.folder import FolderSource

OWNER = User("box", "folder:box")
DECODERS = DecoderPool()


@pytest.fixture(autouse=True, scope="module")
def ended() -> Iterator[None]:
    yield
    DECODERS.close()


def source(root: Path) -> FolderSource:
    return FolderSource(root, OWNER, DECODERS)


def listed(root: Path, said: Silent | None = None) -> dict[str, Asset]:
    found = list(source(root).listing(said or Silent()))
    assert len({asset.asset_id for asset in found}) == len(found)
    return {asset.original_path: asset for asset in found}


def test_every_file_is_listed_in_the_order_of_paths(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/1.jpg", "a.heic", "clip.mov", "notes.txt", "b/c/x.dng"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(name.encode())
    found = listed(tmp_path)
    assert list(found) == ["a.heic", "clip.mov", "notes.txt", "b/1.jpg", "b/2.JPG", "b/c/x.dng"]
    assert [asset.type for asset in found.values()] == ["IMAGE", "VIDEO", "OTHER", "IMAGE", "IMAGE", "IMAGE"]
    one = found["b/1.jpg"]
    assert (one.owner_id, one.asset_id, one.boxes) == ("folder:box", hashlib.sha256(b"b/1.jpg").hexdigest()[:32], None)
    assert one.size_bytes == len("b/1.jpg")


def test_a_photo_is_used_in_place_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.jpg").write_bytes(b"not a photo")
    box = source(tmp_path / "in")
    (asset,) = box.listing(Silent())
    fetched = box.fetch(asset, tmp_path / "target.jpg")
    assert fetched.path == tmp_path / "in" / "x.jpg"
    assert (fetched.sha256, fetched.sha1) == (hashlib.sha256(b"not a photo").hexdigest(), hashlib.sha1(b"not a photo").hexdigest())
    assert not (tmp_path / "target.jpg").exists()
    assert (box.work.requests, box.work.downloads, box.work.bytes) == (0, 0, 11)
    assert not box.knows_faces
    assert box.boxes(asset) == ()


@pytest.mark.parametrize("ending", ["jpg", "heic"])
def test_date_and_upright_size_come_from_the_header(tmp_path: Path, ending: str) -> None:
    exif = Image.Exif()
    exif.get_ifd(IFD.Exif)[Base.DateTimeOriginal] = "2019:07:04 12:34:56"
    image = Image.new("RGB", (400, 200), (200, 30, 30))
    if ending == "jpg":
        exif[Base.Orientation] = 6
        image.save(tmp_path / "x.jpg", exif=exif)
    else:
        pillow_heif.from_pillow(image.rotate(90, expand=True)).save(tmp_path / "x.heic", exif=exif.tobytes())
    box = source(tmp_path)
    (asset,) = box.listing(Silent())
    assert (asset.taken_at, asset.width) == (None, None)
    fetched = box.fetch(asset, tmp_path / "t")
    assert (fetched.taken_at, fetched.size_pixels) == ("2019-07-04T12:34:56", (200, 400))


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_links_lead_nowhere_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.jpg").write_bytes(b"secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "own.jpg").write_bytes(b"own")
    (root / "alias.jpg").symlink_to("own.jpg")
    (root / "out.jpg").symlink_to(tmp_path / "secret" / "s.jpg")
    (root / "outdir").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to(root)
    said = Silent()
    assert list(listed(root, said)) == ["alias.jpg", "own.jpg"]
    assert "3 links" in said.notes[0]


def test_a_path_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "s.jpg").write_bytes(b"secret")
    (tmp_path / "root").mkdir()
    box = source(tmp_path / "root")
    for path in ("../s.jpg", str(tmp_path / "s.jpg")):
        with pytest.raises(NotFound):
            box.fetch(Asset("folder:box", "0" * 32, original_path=path), tmp_path / "t")


def test_a_workspace_inside_is_left_out_and_said(tmp_path: Path) -> None:
    (tmp_path / "work" / "photos").mkdir(parents=True)
    (tmp_path / "work" / "facesets.toml").write_text("")
    (tmp_path / "work" / "photos" / "x.jpg").write_bytes(b"x")
    said = Silent()
    assert listed(tmp_path, said) == {}
    assert "workspace" in said.notes[0]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_utf8_is_data_and_its_photo_is_copied(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    name = os.fsdecode(b"caf\xe9\n.jpg")
    (root / name).write_bytes(b"x")
    box = source(root)
    (asset,) = box.listing(Silent())
    assert asset.original_path == "caf\\xe9\n.jpg"
    fetched = box.fetch(asset, tmp_path / "photos" / "safe.jpg")
    assert fetched.path == tmp_path / "photos" / "safe.jpg"
    assert fetched.path.read_bytes() == b"x"


def test_a_photo_that_vanished_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"x")
    box = source(tmp_path)
    (asset,) = box.listing(Silent())
    (tmp_path / "x.jpg").unlink()
    with pytest.raises(NotFound, match=r"x\.jpg"):
        box.fetch(asset, tmp_path / "t")

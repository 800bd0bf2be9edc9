"""Every target once, on sets of drawn people that need no network of weight: what is made, made again, and taken out."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facesets import export_to
from facesets.errors import Refused, UsageError
from facesets.pipeline import run
from facesets.progress import Silent
from facesets.targets.service import Service
from facesets.testing.compreface import compreface_server
from facesets.testing.double_take import double_take_server
from facesets.testing.frigate import frigate_server
from facesets.workspace import Workspace
from tests.pipeline.world import jpeg, put, tree

from .conftest import agree, drop_face, name

Rgb = npt.NDArray[np.uint8]
FILES = ("folder", "frigate", "fsz", "imagefolder", "parquet")  # what takes faces of this size
CROPS = ("folder", "fsz", "lora")  # what looks at each picture once more, or asks for large ones


class OneFace:
    """A service's network that finds one face in the middle of any picture, and tells faces apart by their colours."""

    def find(self, rgb: Rgb) -> list[tuple[float, float, float, float, float]]:
        height, width = rgb.shape[:2]
        return [(width * 0.1, height * 0.1, width * 0.9, height * 0.9, 0.99)]

    def embed(self, face: Rgb) -> npt.NDArray[np.float64]:
        return np.asarray(cv2.resize(face, (4, 4), interpolation=cv2.INTER_AREA), np.float64).reshape(-1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, twin_folder: Path) -> Path:
    """A folder's photos of two people and what a run made of them."""
    home = tmp_path_factory.mktemp("drawn")
    photos = home / "photos"
    photos.mkdir()
    for person in (1, 2):
        for n in range(7):
            (photos / f"p{person}_{n}.jpg").write_bytes(jpeg([person], 1000 * person + n))
    settings = Workspace.init(home / "workspace").root / "facesets.toml"
    # with so much room around it the drawn network finds a face in its crop again
    settings.write_text(re.sub(r"^(\[export\].*)$", r"\1\nmargin = 1.0\nsize = 256", settings.read_text(), flags=re.MULTILINE))
    workspace = Workspace.open(home / "workspace")
    _, left = run(workspace, ["anna"], folder=photos, pack_name=str(twin_folder), progress=Silent())
    assert left is None
    return home


@pytest.fixture
def agreed(drawn: Path, tmp_path: Path) -> Workspace:
    """A copy in which faceset_001 is Grandma, who agreed."""
    shutil.copytree(drawn / "workspace", tmp_path / "workspace")
    copy = Workspace.open(tmp_path / "workspace")
    name(copy, "faceset_001", "Grandma")
    agree(copy, "faceset_001")
    return copy


@pytest.fixture
def unseen(agreed: Workspace) -> Workspace:
    """The same, with another pack from now on, which sees nobody in a drawing."""
    put(agreed.root, 'pack = "open"')
    return Workspace.open(agreed.root)


@pytest.mark.parametrize("target", FILES)
def test_files_are_made_once_follow_a_reject_and_go_when_asked(target: str, agreed: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (one,) = export_to(agreed, target, ["Grandma"], out=out).people
    made = tree(out)
    assert one.new > 0
    (again,) = export_to(agreed, target, ["Grandma"], out=out).people
    assert (again.new, again.kept, tree(out)) == (0, one.new, made)
    drop_face(agreed, "faceset_001")
    export_to(agreed, target, ["Grandma"], out=out)
    assert tree(out) != made
    export_to(agreed, target, ["Grandma"], out=out, remove=True)
    assert not out.exists()


@pytest.mark.parametrize("target", CROPS)
def test_a_face_that_a_target_cannot_use_is_left_out_and_said_why(target: str, unseen: Workspace, tmp_path: Path) -> None:
    (one,) = export_to(unseen, target, ["Grandma"], out=tmp_path / "out").people
    assert (one.new, len(one.left_out)) == (0, 7)
    assert all(why for why in one.left_out.values())
    assert "none of its faces can be handed on" in one.notes[0]
    assert tree(tmp_path / "out") == {}


def test_a_face_model_of_another_pack_is_refused(agreed: Workspace, tmp_path: Path) -> None:
    with pytest.raises((Refused, UsageError), match="buffalo_l"):
        export_to(agreed, "reactor", ["Grandma"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_names_go_into_sidecars_and_out_again(agreed: Workspace, drawn: Path, tmp_path: Path) -> None:
    before = tree(drawn / "photos")
    (one,) = export_to(agreed, "xmp", ["Grandma"], out=tmp_path / "tree").people
    sidecars = sorted((tmp_path / "tree").rglob("*.xmp"))
    assert one.new == len(sidecars) == 7
    assert all("Grandma" in file.read_text() for file in sidecars)
    assert export_to(agreed, "xmp", ["Grandma"], out=tmp_path / "tree").people[0].new == 0
    export_to(agreed, "xmp", ["Grandma"], out=tmp_path / "tree", remove=True)
    assert not any("Grandma" in file.read_text() for file in (tmp_path / "tree").rglob("*.xmp"))
    assert tree(drawn / "photos") == before


@pytest.mark.parametrize(
    "target", [pytest.param("frigate-api", marks=pytest.mark.slow), "compreface", pytest.param("doubletake", marks=pytest.mark.slow)]
)
def test_no_picture_goes_to_a_service_that_would_see_nobody_in_it(
    target: str, unseen: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "sleep", staticmethod(lambda _: None))
    monkeypatch.setenv("COMPREFACE_API_KEY", "secret-key")
    server_of: dict[str, Callable[[], object]] = {
        "frigate-api": lambda: frigate_server(OneFace(), tmp_path / "faces"),
        "compreface": lambda: compreface_server(OneFace(), api_key="secret-key"),
        "doubletake": lambda: double_take_server(tmp_path / "faces", OneFace()),
    }
    with server_of[target]() as server:  # type: ignore[attr-defined]
        (one,) = export_to(unseen, target, ["Grandma"], url=server.url).people
        assert (one.new, len(one.left_out)) == (0, 7)
        (gone,) = export_to(unseen, target, ["Grandma"], url=server.url, remove=True).people
        assert gone.withdrawn == 0
        assert not any("POST" in request and "register" in request for request in server.requests)


@pytest.mark.parametrize("target", ["frigate", "xmp"])
def test_photos_that_are_not_here_now_take_nothing_out_and_a_face_that_left_its_set_goes(
    target: str, agreed: Workspace, drawn: Path, tmp_path: Path
) -> None:
    (first,) = export_to(agreed, target, ["Grandma"], out=tmp_path / "out").people
    before = tree(tmp_path / "out")
    assert first.new >= 3
    away = (drawn / "photos").rename(drawn / "not mounted")
    try:
        (again,) = export_to(agreed, target, ["Grandma"], out=tmp_path / "out").people
        assert (again.new, again.kept, again.withdrawn) == (0, first.new, 0)
        assert tree(tmp_path / "out") == before
    finally:
        away.rename(drawn / "photos")
    drop_face(agreed, first.set_name)
    (last,) = export_to(agreed, target, ["Grandma"], out=tmp_path / "out").people
    assert last.withdrawn == (1 if target == "frigate" else 0)  # sidecars name recognised faces, too

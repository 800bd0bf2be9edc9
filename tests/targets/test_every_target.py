"""Every target once, on sets of drawn people that need no network of weight: what is made, made again, and taken out."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facesets import export_to
from facesets.errors import PackUnavailable
from facesets.faces import folders_of_pack
from facesets.pipeline import run
from facesets.progress import Silent
from facesets.targets import compreface, doubletake, frigate, reactor
from facesets.targets.record import RECORD
from facesets.targets.service import Service
from facesets.testing.compreface import compreface_server
from facesets.testing.double_take import double_take_server
from facesets.testing.frigate import frigate_server
from facesets.testing.twins import twin_pack
from facesets.workspace import Workspace
from tests.pipeline.world import jpeg, put, tree

from .conftest import agree, drop_face, name

Rgb = npt.NDArray[np.uint8]
FILES = ("folder", "frigate", "fsz", "imagefolder", "parquet", "reactor")  # what takes faces of this size
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
    # with so much room around it the drawn network finds a face in its crop again, and so does InsightFace, which enlarges it
    settings.write_text(re.sub(r"^(\[export\].*)$", r"\1\nmargin = 4.0\nsize = 256", settings.read_text(), flags=re.MULTILINE))
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
    assert last.withdrawn == 1


def test_a_face_model_is_made_of_the_chosen_crops_alone_and_insightface_reads_it(
    agreed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    from insightface.app.common import Face  # noqa: PLC0415

    seen: list[dict[str, npt.NDArray[np.float32]]] = []
    look = reactor._Networks.face
    monkeypatch.setattr(reactor._Networks, "face", lambda self, rgb: seen.append(look(self, rgb)) or seen[-1])  # type: ignore[func-returns-value]
    (one,) = export_to(agreed, "reactor", ["Grandma"], out=tmp_path, count=3).people
    assert (len(seen), one.new, len(one.left_out)) == (3, 1, 4)
    face = Face(safetensors.load_file(tmp_path / "Grandma.safetensors"))  # as ReActor makes it
    assert {name: (value.dtype.name, value.shape) for name, value in face.items()} == {
        name: ({"F32": "float32", "I64": "int64"}[kind], shape) for name, (kind, shape) in reactor.TENSORS.items()
    }
    mean = np.mean([each["embedding"] for each in seen], axis=0)
    assert np.allclose(face.embedding, mean, rtol=1e-5)  # raw ones, averaged
    assert np.linalg.norm(face.normed_embedding) == pytest.approx(1, abs=1e-5)
    assert any(np.array_equal(face.landmark_2d_106, each["landmark_2d_106"]) for each in seen)
    (part,) = json.loads((tmp_path / RECORD).read_bytes())["sets"].values()
    assert len(part["files"]["Grandma.safetensors"]["faces"]) == 3
    assert part["consent"]["by"] == "Anna"


NETWORKS = {
    "det_10g.onnx": "no network for detection", "1k3d68.onnx": "no network for landmark_3d_68",
    "2d106det.onnx": "no network for landmark_2d_106", "genderage.onnx": "no network for genderage",
    "w600k_r50.onnx": r"made with twin@\w+\. Its faces mean nothing to it",
}  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
def test_no_face_model_is_made_where_a_network_is_missing_or_cut_off(network: str, agreed: Workspace, tmp_path: Path) -> None:
    folder = twin_pack(tmp_path / "other")
    put(agreed.root, f'pack = "{folder}"')
    with agreed.registry() as registry, registry.transaction():
        registry.db.execute("DELETE FROM facts WHERE key LIKE 'pack_folder:%'")  # the one that the run was given
    workspace, out = Workspace.open(agreed.root), tmp_path / "out"
    whole = (folder / network).read_bytes()
    (folder / network).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PackUnavailable, match=f"{network} is not an ONNX file that InsightFace can load"):
        export_to(workspace, "reactor", ["Grandma"], out=out)
    (folder / network).unlink()
    with pytest.raises(PackUnavailable, match=NETWORKS[network]):
        export_to(workspace, "reactor", ["Grandma"], out=out)
    assert not out.exists()


@pytest.mark.parametrize("target", [*FILES, "xmp"])
def test_so_many_faces_go_as_were_asked_for(target: str, agreed: Workspace, tmp_path: Path) -> None:
    def faces(count: int) -> int:
        (one,) = export_to(agreed, target, ["Grandma"], out=tmp_path / f"{count}", count=count).people
        return 7 - len(one.left_out)

    assert (faces(2), faces(0)) == (2, 6 if target in ("fsz", "reactor") else 7)  # these average, and leave out what is least alike


@pytest.mark.parametrize("target", ["frigate-api", "compreface", "doubletake"])
def test_a_person_who_was_renamed_is_not_two_people_in_a_service(
    target: str, agreed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Service, "sleep", staticmethod(lambda _: None))
    monkeypatch.setenv("COMPREFACE_API_KEY", "secret-key")
    picture = jpeg([1], 1)
    monkeypatch.setattr(frigate, "_chosen", lambda job, *_: [(c, picture) for c in job.candidates[:3]])
    for module in (compreface, doubletake):
        monkeypatch.setattr(module, "pictures_of", lambda job, *_, **__: {c.face.face_id: (c, picture) for c in job.candidates[:3]})
    server_of: dict[str, Callable[[], Any]] = {
        "frigate-api": lambda: frigate_server(OneFace(), tmp_path / "faces"),
        "compreface": lambda: compreface_server(OneFace(), api_key="secret-key"),
        "doubletake": lambda: double_take_server(tmp_path / "faces", OneFace()),
    }
    with server_of[target]() as server:

        def there() -> set[str]:
            if target == "frigate-api":
                return {home.name for home in server.folder.iterdir() if any(home.iterdir())}
            return {one.name for one in server.files} if target == "doubletake" else {one.subject for one in server.examples}

        export_to(agreed, target, ["Grandma"], url=server.url)
        name(agreed, "faceset_001", "Oma")
        (dry,) = export_to(agreed, target, ["Oma"], url=server.url, dry_run=True).people
        assert there() == {"Grandma"}
        (one,) = export_to(agreed, target, ["Oma"], url=server.url).people
        assert (there(), one.new, one.withdrawn) == ({"Oma"}, 3, 3)
        assert (dry.new, dry.withdrawn) == (3, 3)
        assert "'Grandma' was this person's name" in one.notes[-1]
        name(agreed, "faceset_001", "Nana")
        (one,) = export_to(agreed, target, ["Nana"], url=server.url, remove=True).people
        assert (there(), one.withdrawn) == (set(), 3)


def test_the_networks_of_vectors_that_immich_made_are_looked_for_where_insightface_keeps_them(
    agreed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    here = twin_pack(tmp_path / ".insightface" / "models" / "buffalo_l")
    with agreed.registry() as registry:
        for pack in ("buffalo_l@0123456789ab", "immich-db@buffalo_l", "immich-ml@buffalo_l"):
            assert folders_of_pack(agreed, registry, pack) == [here]
        assert folders_of_pack(agreed, registry, "open@1") == []


def test_a_tag_written_into_the_photos_takes_nobody_out_of_an_export(drawn: Path, agreed: Workspace, tmp_path: Path) -> None:
    """Their bytes are others then: until the next run what was made stays, and after it the faces are found in what is there."""
    photos, targets = tmp_path / "photos", ("frigate", "folder", "xmp")
    shutil.copytree(drawn / "photos", photos)
    with agreed.registry() as registry, registry.transaction():
        for place in ("photos SET path = replace(path", "facts SET value = replace(value"):
            registry.db.execute(f"UPDATE {place}, ?, ?)", (str(drawn / "photos"), str(photos)))

    def export() -> tuple[dict[str, dict[str, str]], list[str]]:
        """What there is of each target, without the record; why faces were left out."""
        left_out: list[str] = []
        for target in targets:
            (one,) = export_to(agreed, target, ["Grandma"], out=tmp_path / target).people
            left_out += one.left_out.values()
        made = {target: tree(tmp_path / target) for target in targets}
        return {target: {path: digest for path, digest in files.items() if path != RECORD} for target, files in made.items()}, left_out

    before, _ = export()
    for photo in photos.iterdir():
        data = photo.read_bytes()
        photo.write_bytes(data[:2] + b"\xff\xfe\x00\x0aHolidays" + data[2:])  # a comment
    unseen, why = export()
    assert (unseen, any("other bytes" in one for one in why)) == (before, True)
    run(agreed, ["anna"], folder=photos, progress=Silent())
    found, why = export()
    assert (found, [one for one in why if one != "others were chosen"]) == (before, [])

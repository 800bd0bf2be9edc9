from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from facesets.errors import FacesetsError, Refused
from facesets.export.existing_sets import existing_sets, file_facts
from facesets.export.folders import Member, SetPlan, write_set
from facesets.settings import ExportSettings

from .home import a_plan

Load = Callable[[Member], npt.NDArray[np.uint8]]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_set_is_its_description_and_its_faces_best_first(tmp_path: Path, plan: SetPlan, load: Load) -> None:
    facts = write_set(tmp_path / "new", plan, load)
    assert facts == file_facts(tmp_path / "new/faceset_007")
    assert [fact.path for fact in facts] == ["faces/0001.png", "faces/0002.png", "faces/0003.png", "faceset.json"]
    (found,) = existing_sets(tmp_path / "new")
    assert [path.name for path in found.images] == ["0001.png", "0002.png", "0003.png"]
    faces = [np.asarray(cv2.imread(str(path))) for path in found.images]
    assert [face.shape for face in faces] == [(512, 512, 3)] * 3
    assert faces[0].mean() > faces[1].mean() > faces[2].mean()


def test_the_description_has_every_fact_sorted_rounded_and_no_private_name(tmp_path: Path, plan: SetPlan, load: Load) -> None:
    write_set(tmp_path, plan, load)
    text = (tmp_path / "faceset_007/faceset.json").read_text(encoding="ascii")
    said = json.loads(text)
    assert list(said) == sorted(said)
    assert (said["schema"], said["name"], said["number"], said["identity"], said["model"]) == (
        "facesets.faceset/1", "faceset_007", 7, "abcdef", "open@1",
    )  # fmt: skip
    assert said["centroid"] == [0.6, -0.8, 0.333333, 0.0]
    assert "-0.0" not in text
    second = said["faces"][1]
    assert second["file"] == "faces/0002.png"
    assert second["source"] == {"owner_id": "owner", "asset_id": "asset-1", "sha256": f"{1:064x}"}
    assert second["quality"] == {"det_score": 0.9, "face_short": 88.0, "sharpness": 0.5, "yaw": 0.123457}
    assert (second["box"], second["distance"], second["taken_at"]) == ([180, 60, 268, 172], 0.11, "2019-05-04T10:00:00Z")
    assert "photos/" not in text


def test_the_same_plan_gives_the_same_bytes_with_any_number_of_workers(tmp_path: Path, plan: SetPlan, load: Load) -> None:
    assert write_set(tmp_path / "a", plan, load) == write_set(tmp_path / "b", plan, load, workers=2)


def test_only_its_owner_can_read_a_set(tmp_path: Path, plan: SetPlan, load: Load) -> None:
    old = os.umask(0)
    try:
        write_set(tmp_path, plan, load)
    finally:
        os.umask(old)
    modes = {path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert {mode for name, mode in modes.items() if "." in name} == {0o600}
    assert {mode for name, mode in modes.items() if "." not in name} == {0o700}


def test_what_a_killed_run_left_is_begun_anew(tmp_path: Path, plan: SetPlan, load: Load) -> None:
    clean = write_set(tmp_path / "clean", plan, load)
    left = tmp_path / "killed/.faceset_007.partial/faces"
    left.mkdir(parents=True)
    (left / "0009.png").write_bytes(b"half")
    assert write_set(tmp_path / "killed", plan, load) == clean
    assert names(tmp_path / "killed") == ["faceset_007"]


@pytest.mark.slow
def test_kill_minus_9_in_the_middle_of_a_set_changes_nothing_in_the_end(tmp_path: Path, plan: SetPlan, load: Load) -> None:
    clean = write_set(tmp_path / "clean", plan, load)
    script = (
        "import sys, time, pathlib; from facesets.export.folders import write_set; from tests.export.home import a_plan; import numpy\n"
        "def load(member):\n"
        "    if member.asset_id == 'asset-2': print('half', flush=True); time.sleep(60)\n"
        "    return numpy.zeros((512, 512, 3), 'uint8')\n"
        "write_set(pathlib.Path(sys.argv[1]), a_plan(), load)"
    )
    folder = tmp_path / "killed"
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.kill()
    assert names(folder) == [".faceset_007.partial"]
    assert existing_sets(folder) == []
    assert write_set(folder, plan, load) == clean
    assert names(folder) == ["faceset_007"]


def test_a_set_that_was_renamed_into_place_before_the_kill_is_accepted_untouched(tmp_path: Path, plan: SetPlan, load: Load) -> None:
    facts = write_set(tmp_path, plan, load)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert write_set(tmp_path, plan, load) == facts
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@pytest.mark.parametrize("name", ["faceset_007", "FACESET_007"])
@pytest.mark.parametrize("content", [{}, {"a.jpg": b"curated"}])
def test_a_folder_that_is_there_is_never_touched(
    tmp_path: Path, plan: SetPlan, load: Load, name: str, content: dict[str, bytes]
) -> None:
    (tmp_path / name).mkdir()
    for file, data in content.items():
        (tmp_path / name / file).write_bytes(data)
    before = file_facts(tmp_path)
    with pytest.raises(Refused, match="not touched"):
        write_set(tmp_path, plan, load)
    assert file_facts(tmp_path) == before
    assert names(tmp_path) == [name]


def test_one_changed_face_is_another_set(tmp_path: Path, plan: SetPlan, load: Load) -> None:
    write_set(tmp_path, plan, load)
    before = file_facts(tmp_path)
    with pytest.raises(Refused):
        write_set(tmp_path, plan, load, export=ExportSettings(margin=0.6))
    assert file_facts(tmp_path) == before


@pytest.mark.parametrize("name", ["../faceset_007", "faceset_007/x", "faceset_7", "faceset_008", "grandma"])
def test_no_other_name_becomes_a_path(tmp_path: Path, plan: SetPlan, load: Load, name: str) -> None:
    with pytest.raises(Refused):
        write_set(tmp_path, replace(plan, name=name), load)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.ENOSPC, "is full"), (errno.EDQUOT, "is full"), (errno.EACCES, "no permission"), (errno.EROFS, "read-only"),
     (errno.EIO, "input/output error")],
)  # fmt: skip
def test_a_disk_that_refuses_is_said_and_nothing_half_made_stays(
    tmp_path: Path, plan: SetPlan, load: Load, monkeypatch: pytest.MonkeyPatch, number: int, expected: str
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("facesets.files.os.fsync", refuse)
    with pytest.raises(FacesetsError, match=expected):
        write_set(tmp_path, plan, load)
    assert names(tmp_path) == []


def test_a_file_where_the_folder_should_be_is_said(tmp_path: Path, plan: SetPlan, load: Load) -> None:
    (tmp_path / "sets").write_bytes(b"")
    with pytest.raises(FacesetsError):
        write_set(tmp_path / "sets", plan, load)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_photo_that_cannot_be_read_any_more_stops_the_set_whole(tmp_path: Path, plan: SetPlan, load: Load, workers: int) -> None:
    def broken(member: Member) -> npt.NDArray[np.uint8]:
        if member.asset_id == "asset-2":
            raise FacesetsError("gone")
        return load(member)

    with pytest.raises(FacesetsError, match="gone"):
        write_set(tmp_path, plan, broken, workers=workers)
    assert names(tmp_path) == []


def test_names_with_broken_unicode_are_written_as_data(tmp_path: Path, load: Load) -> None:
    plan = a_plan()
    odd = replace(plan, members=[replace(plan.members[0], owner_id="\udcff\x00", taken_at=None)])
    write_set(tmp_path, odd, load)
    (face,) = json.loads((tmp_path / "faceset_007/faceset.json").read_bytes())["faces"]
    assert face["source"]["owner_id"] == "\udcff\x00"
    assert face["taken_at"] is None

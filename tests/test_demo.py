"""The demo as a stranger runs it: the real command line, a real server on loopback, real photos; then again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import platformdirs
import pytest

from facesets import pipeline
from facesets.demo import LABEL, demo, prepared, serving
from facesets.errors import PackUnavailable, UsageError
from facesets.progress import Silent
from facesets.testing import samples
from facesets.testing.sample_library import CURATED, SampleLibrary, sample_library
from facesets.workspace import Workspace
from tests.json_keys import check_keys

# what a user with a library of their own has set; the demo must leave that server alone
THEIRS = {"IMMICH_URL": "http://127.0.0.1:9", "IMMICH_API_KEY": "their-own-key", "IMMICH_API_KEY_SAM": "their-other-key"}


def run_demo(folder: Path, *options: str) -> dict[str, Any]:
    """``facesets demo --json`` in a process of its own; stdout must be one JSON document."""
    done = subprocess.run(
        [sys.executable, "-c", "from facesets.cli import main; main()", "demo", "--json", "--dir", str(folder), *options],
        env=os.environ | THEIRS,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = check_keys(json.loads(done.stdout))
    return document


def hashes(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def sample() -> SampleLibrary:
    return sample_library()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("demo") / "facesets-demo"
    return folder, run_demo(folder)


Finished = tuple[Path, dict[str, Any]]


def test_six_new_sets_stand_beside_the_curated_one_which_keeps_every_byte(finished: Finished, sample: SampleLibrary) -> None:
    folder, document = finished
    assert document["sets_new"] == [f"faceset_{n:03d}" for n in range(2, 8)]
    assert document["sets_unchanged"] == ["faceset_001"]
    assert {p.name: p.read_bytes() for p in (folder / "facesets" / "faceset_001").iterdir()} == sample.curated


def test_every_new_set_is_one_person_and_no_person_has_two(finished: Finished, sample: SampleLibrary) -> None:
    folder, document = finished
    people: list[str] = []
    for name in document["sets_new"]:
        about = json.loads((folder / "facesets" / name / "faceset.json").read_text())
        shown = [set(sample.people[face["source"]["asset_id"]]) for face in about["faces"]]
        alone = set.intersection(*shown)
        assert len(alone) == 1, (name, shown)
        assert len(shown) >= 6
        people += alone
    assert Counter(people) == Counter(set(samples.SITTERS) - {CURATED})


def test_every_asset_and_face_is_accounted_for(finished: Finished, sample: SampleLibrary) -> None:
    folder, document = finished
    assert document["listed"] == len(sample.library.assets) == sum(document["assets_by_state"].values())
    assert sum(document["faces_by_state"].values()) > 0
    assert document["verify"]["ok"]
    assert document["assets_by_reason"].items() >= {
        "archived": 1, "duplicate_of_staged": 2, "embedded_no_face": 1, "empty_file": 1, "excluded_path": 1, "no_big_face": 2,
        "no_faces": 3, "not_image": 1, "other_owner": 3, "truncated": 1,
    }.items()  # fmt: skip
    assert document["faces_by_reason"]["near_duplicate"] >= 2, "the bursts"
    assert document["faces_by_reason"]["recognised"] >= 6, "the curated person"
    assert Path(document["workspace"]) == folder


def test_a_second_demo_fetches_embeds_and_makes_nothing(finished: Finished) -> None:
    folder, first = finished
    before, settings = hashes(folder / "facesets"), (folder / "facesets.toml").read_bytes()
    again = run_demo(folder, "--blur")
    assert (again["downloads"], again["embedded"], again["sets_new"]) == (0, 0, [])
    assert again["sets_unchanged"] == sorted(first["sets_unchanged"] + first["sets_new"])
    assert (again["listed"], again["assets_by_state"], again["faces_by_state"]) == (
        first["listed"],
        first["assets_by_state"],
        first["faces_by_state"],
    )
    assert hashes(folder / "facesets") == before
    assert (folder / "facesets.toml").read_bytes() == settings


def test_a_half_made_demo_goes_on_and_ends_in_the_same_sets(finished: Finished, sample: SampleLibrary, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    with serving(prepared(folder, sample), sample, Silent()) as workspace:
        pipeline.run(workspace, [LABEL], steps=("stage", "embed"), pack_name="open", progress=Silent())
    assert not (folder / "facesets" / "faceset_002").exists()
    done = demo(folder, progress=Silent(), sample=sample)
    assert (done.summary.downloads, done.summary.embedded) == (0, 0)
    assert hashes(folder / "facesets") == hashes(finished[0] / "facesets")


def test_what_a_killed_demo_left_beside_its_folder_is_made_anew(sample: SampleLibrary, tmp_path: Path) -> None:
    (tmp_path / ".new.making" / "photos").mkdir(parents=True)
    workspace = prepared(tmp_path / "new", sample)
    assert len(list((workspace.facesets / "faceset_001").iterdir())) == len(sample.curated)
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


def test_no_key_is_left_in_the_workspace(finished: Finished, sample: SampleLibrary) -> None:
    secrets = [sample.library.key_for(sample.owner), *(v for k, v in THEIRS.items() if "KEY" in k)]
    for path in finished[0].rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret.encode() in data for secret in secrets), path


def test_names_of_people_and_files_are_escaped_in_the_report(finished: Finished) -> None:
    page = Path(finished[1]["report"]).read_text()
    assert "<b>'13</b>" not in page
    assert "Co. <3" not in page
    assert not any(f"{how}{where}" in page for how in ("src=", "href=") for where in ('"http', "'http", '"//', '"file'))


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path: Path, sample: SampleLibrary) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "letter.txt").write_text("dear")
    with pytest.raises(UsageError, match=r"not empty.*--dir"):
        prepared(theirs, sample)
    own = Workspace.init(tmp_path / "own").root
    with pytest.raises(UsageError, match=r"workspace of your own.*--dir"):
        prepared(own, sample)
    assert [p.name for p in theirs.iterdir()] == ["letter.txt"]


def test_without_the_open_extra_the_demo_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    samples.picture.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PackUnavailable, match=r"pip install '.*\[open\]'"):
        demo(tmp_path / "new", progress=Silent())
    assert list(tmp_path.iterdir()) == []


def test_the_face_engine_makes_no_device_id_and_reports_nothing(tmp_path: Path) -> None:
    code = (
        "import numpy; from facesets.models import load_pack; load_pack('open').detect(numpy.zeros((64, 64, 3), numpy.uint8)); "
        "import onnxruntime; assert onnxruntime.__version__"
    )
    cache = os.environ.get("FACESETS_CACHE") or str(platformdirs.user_cache_path("facesets", appauthor=False))
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    env |= {"XDG_CACHE_HOME": str(tmp_path), "FACESETS_CACHE": cache}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_the_users_choice_of_an_engine_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = sample_library()
    monkeypatch.setenv("FACESETS_ENGINE", "cpu")
    assert prepared(tmp_path / "demo", sample).settings.embed.engine == "cpu"
    monkeypatch.setenv("FACESETS_ENGINE", "openvino")
    assert prepared(tmp_path / "demo", sample).settings.embed.engine == "openvino"
    monkeypatch.delenv("FACESETS_ENGINE")
    assert prepared(tmp_path / "demo", sample).settings.embed.engine == "auto"

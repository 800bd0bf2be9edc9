"""Scores on labelled photos with a real pack: the command, the rules for labels, and the default against classic."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facesets.clustering.cluster import cluster
from facesets.errors import CorruptFile
from facesets.models.load import load_pack
from facesets.pipeline.labelled import Labelled, embed_labelled, read_labels
from facesets.progress import Silent
from tests.clustering.test_linkage import scipy_labels


@pytest.fixture(scope="module")
def part(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of scenes of two people, the group photo, and the faces of eight people of whom there are many."""
    folder = tmp_path_factory.mktemp("labelled")
    for name in ("lfw", "scenes"):
        (folder / name).symlink_to(shared / "photos" / name, target_is_directory=True)
    rows = read_labels(shared / "photos" / "labels.csv")
    scenes = [row for row in rows if row.scope == "group"]
    for name in ("Maria_Sharapova", "Virat_Kohli"):
        scenes += [row for row in rows if row.scope == "person_in_photo" and row.identity == name][:35:5]
    many: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        if row.scope == "main_face":
            many.setdefault(row.identity, []).append(i)
    most = sorted(many.values(), key=len, reverse=True)[:8]
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["path", "identity", "scope"])
        out.writerows([row.path, row.identity, row.scope] for row in [*(rows[i] for person in most for i in person[:6]), *scenes])
    return folder / "labels.csv"


@pytest.fixture(scope="module")
def found(shared: Path, part: Path) -> Labelled:
    return embed_labelled(part, load_pack(shared / "models" / "edge"), Silent(), workers=2)


def test_evaluate_scores_each_scope_and_all_together_by_both_ways(shared: Path, part: Path) -> None:
    command = [sys.executable, "-m", "facesets", "evaluate", "--labels", str(part), "--pack", str(shared / "models" / "edge"), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert report["gates"].startswith("off")
    assert report["left_out"]["group"] == 1
    scores = {(s["part"], s["method"]): s for s in report["scores"]}
    assert set(scores) == {(p, m) for p in ("main_face", "person_in_photo", "all") for m in ("default", "classic")}
    whole = scores["all", "default"]
    assert whole["b_cubed"]["precision"] >= 0.998
    assert whole["b_cubed"]["f"] >= scores["all", "classic"]["b_cubed"]["f"]
    assert whole["b_cubed"]["f"] > 0.97
    assert sum(i["faces"] for i in whole["identities"]) == whole["faces"] == report["labelled"]
    scenes = scores["person_in_photo", "default"]
    assert scenes["their_sets_of_five"] == scenes["people_with_five"] == 2


def test_classic_is_scipys_partition_of_real_faces(found: Labelled) -> None:
    assert cluster(found.vectors, classic=True).tolist() == scipy_labels(found.vectors, 0.55).tolist()


def test_each_labelled_photo_gives_one_face_or_is_counted(part: Path, found: Labelled) -> None:
    labels = read_labels(part)
    named = [found.paths[i] for i in np.flatnonzero(found.people != "").tolist()]
    assert len(named) == len(set(named))
    assert len(named) + sum(found.left_out.values()) == len(labels)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,identity\na.jpg,ann\n", "lacks the column scope"),
        ("path,identity,scope\na.jpg,ann,somewhere\n", "line 2: 'somewhere' is no scope"),
        ("path,identity,scope\n../a.jpg,ann,group\n", "no path below"),
        ("path,identity,scope\n/etc/a.jpg,ann,group\n", "no path below"),
    ],
)
def test_a_csv_that_is_none_is_refused_in_words(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    with pytest.raises(CorruptFile, match=says):
        read_labels(tmp_path / "labels.csv")

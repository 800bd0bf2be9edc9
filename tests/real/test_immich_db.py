"""Immich's own vectors of real photos: a real pack measures the previews, as Immich does, and the sets are cut from the originals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from facesets.faces.embed import find_faces, read_image
from facesets.models.load import load_pack
from facesets.models.pack import Pack
from facesets.pipeline.labelled import read_labels
from facesets.testing import Box, ImmichServer, Library, immich_server
from tests.pipeline.world import CommandLine
from tests.postgres import fill

PEOPLE = ("Maria_Sharapova", "Laura_Bush", "Gray_Davis")
EACH, STRANGERS, PREVIEW = 9, 15, 1440


@pytest.fixture(scope="module")
def edge(shared: Path) -> Pack:
    return load_pack(shared / "models" / "edge")


def _box(box: tuple[float, float, float, float], frame: tuple[int, int]) -> Box:
    x1, y1, x2, y2 = map(round, box)
    return Box(x1, y1, x2, y2, frame=frame)


@pytest.fixture
def measured(shared: Path, edge: Pack) -> tuple[Library, dict[str, np.ndarray], dict[str, str]]:
    """A library of three people and of many who are there once, its vectors by face id, and who each photo is said to show."""
    rows = [row for row in read_labels(shared / "photos" / "labels.csv") if row.scope != "group"]
    by_person: dict[str, list[str]] = {}
    for row in rows:
        by_person.setdefault(row.identity, []).append(row.path)
    chosen = {path: name for name in PEOPLE for path in by_person[name][:EACH]}
    chosen |= dict([(paths[0], name) for name, paths in by_person.items() if len(paths) == 1][:STRANGERS])
    library, vectors, who = Library(), dict[str, np.ndarray](), dict[str, str]()
    anna = library.user("anna")
    for path, name in chosen.items():
        file = shared / "photos" / path
        rgb = read_image(file).rgb
        scale = min(1.0, PREVIEW / min(rgb.shape[:2]))
        preview = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
        found = [one for one in edge.detect(np.ascontiguousarray(preview)) if one.score >= 0.7]
        frame = (preview.shape[1], preview.shape[0])
        asset = library.photo(anna, file, file_name=file.name, faces=[_box(one.box, frame) for one in found])
        who[asset.id] = name
        made = edge.embed(preview, np.array([one.landmarks for one in found], np.float64).reshape(-1, 5, 2)).vectors
        vectors |= {face.id: 21.0 * vector for face, vector in zip(asset.faces, made, strict=True)}
    return library, vectors, who


@pytest.fixture
def server(measured: tuple[Library, dict[str, np.ndarray], dict[str, str]]) -> Iterator[ImmichServer]:
    with immich_server(measured[0], "3.1.0") as running:
        yield running


def test_real_people_get_sets_of_their_own_and_only_their_originals_are_fetched(
    measured: tuple[Library, dict[str, np.ndarray], dict[str, str]],
    server: ImmichServer,
    postgres: str,
    shared: Path,
    edge: Pack,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library, vectors, who = measured
    fill(postgres, library, vectors)
    (tmp_path / "home" / ".insightface" / "models").mkdir(parents=True)
    (tmp_path / "home" / ".insightface" / "models" / "buffalo_l").symlink_to(shared / "models" / "edge")
    for name, value in {
        "HOME": str(tmp_path / "home"), "IMMICH_URL": server.url, "IMMICH_API_KEY": server.key_for("anna"), "IMMICH_DB_URL": postgres,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    cli = CommandLine(tmp_path / "w", capsys)
    cli("init")
    settings = cli.workspace / "facesets.toml"  # many faces of these photos are small
    settings.write_text(settings.read_text().replace("# min_face_short = 90", "min_face_short = 60"))
    answer = cli("run", "--user", "anna", "--pack", "immich-db", "--json")
    assert answer.code == 0, answer.err
    summary = answer.json
    described = [json.loads(path.read_text()) for path in sorted((cli.workspace / "facesets").glob("*/faceset.json"))]
    shown = [{who[face["source"]["asset_id"]] for face in one["faces"]} for one in described]
    assert sorted(shown, key=sorted) == [{name} for name in sorted(PEOPLE)]
    members = {face["source"]["asset_id"] for one in described for face in one["faces"]}
    assert summary["downloads"] == len(members) <= len(PEOPLE) * EACH
    assert summary["originals_spared"] >= STRANGERS - 2
    assert summary["steps"]["originals"]["guessed"] <= 1
    assert cli("verify").code == 0
    away = []
    for one in described:
        for face in one["faces"]:
            crop = read_image(cli.workspace / "facesets" / one["name"] / face["file"])
            found, vector = find_faces(crop, "", edge)
            assert found, face
            away.append(float(((vector - np.array(one["centroid"])) ** 2).sum(axis=1).min() / 2))
    assert max(away) < 0.6  # cut from the originals, they show whom the previews' vectors are of
    assert np.median(away) < 0.35

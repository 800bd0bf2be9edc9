"""Embedding on real photos with a real pack: held to InsightFace's and deface's own results, and to the labels."""

from __future__ import annotations

import csv
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from facesets.clustering.cluster import cluster
from facesets.clustering.linkage import average_linkage
from facesets.clustering.scoring import main_face
from facesets.exchange.queue import QueueEntry
from facesets.faces.embed import embed_photos
from facesets.models.detection import Detection
from facesets.models.engines import Floats
from facesets.models.load import load_pack
from facesets.models.pack import Pack
from facesets.photos.align import Pixels
from facesets.photos.decode import decode


@pytest.fixture(scope="module")
def edge(shared: Path) -> Pack:
    return load_pack(shared / "models" / "edge")


@pytest.fixture(scope="module")
def scenes(shared: Path) -> list[Path]:
    """Every fourteenth photo of the scenes."""
    found = sorted(path for path in (shared / "photos" / "scenes").rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return found[::14]


@pytest.mark.parametrize("sizes", [None, (640, 640)], ids=["auto", "640"])
def test_edge_equals_insightfaces_own_boxes_landmarks_and_vectors(
    shared: Path, edge: Pack, scenes: list[Path], sizes: tuple[int, int] | None
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own deprecations
        from insightface.app import FaceAnalysis  # noqa: PLC0415

        library = FaceAnalysis(name="edge", root=str(shared), providers=["CPUExecutionProvider"])
    library.prepare(ctx_id=0, det_size=sizes)
    if sizes:
        from facesets.models.scrfd import Scrfd  # noqa: PLC0415

        detect: Callable[[Pixels], list[Detection]] = Scrfd(edge.detector._network, sizes=(640,)).detect  # type: ignore[attr-defined]
    else:
        detect = edge.detect
    compared = 0
    for path in scenes:
        rgb = decode(path).rgb
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = library.get(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        ours = detect(rgb)
        assert len(ours) == len(theirs), path.name
        vectors = edge.embed(rgb, [face.landmarks for face in ours]).vectors
        for mine, vector, other in zip(ours, vectors, theirs, strict=True):
            np.testing.assert_allclose(mine.box, other.bbox, atol=0.01)
            np.testing.assert_allclose(mine.landmarks, other.kps, atol=0.01)
            assert mine.score == pytest.approx(float(other.det_score), abs=1e-4)
            assert float(vector @ other.normed_embedding) >= 0.9999
            compared += 1
    assert compared >= 15


def test_centerface_equals_defaces_own_where_both_see_the_same_pixels(scenes: list[Path], open_pack: Pack) -> None:
    from deface.centerface import CenterFace  # noqa: PLC0415

    library = CenterFace(in_shape=(640, 640), backend="opencv")
    compared = 0
    for path in scenes:
        with Image.open(path) as image:
            rgb = np.array(image.convert("RGB").resize((640, 640)))
        boxes, points = library(rgb, threshold=0.5)
        order = np.argsort(-boxes[:, 4], kind="stable")
        found = open_pack.detect(rgb)
        assert len(found) == len(boxes), path.name
        for mine, box, five in zip(found, boxes[order], points[order], strict=True):
            np.testing.assert_allclose((*mine.box, mine.score), box, atol=0.02)
            np.testing.assert_allclose(np.ravel(mine.landmarks), five, atol=0.02)
            compared += 1
    assert compared >= 12


@pytest.mark.parametrize(("which", "precision"), [("open", 0.95), ("edge", 0.98)])
def test_people_with_several_photos_are_told_apart(shared: Path, edge: Pack, open_pack: Pack, which: str, precision: float) -> None:
    """A sample: six photos each of 8 people and 40 people with one photo; the whole is benchmarks/calibrate_packs.py."""
    pack = edge if which == "edge" else open_pack
    with (shared / "photos" / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["scope"] == "main_face"]
    counts = Counter(row["identity"] for row in rows)
    several = sorted(who for who, n in counts.items() if n >= 6)[::15][:8]
    single = sorted(who for who, n in counts.items() if n == 1)[::12][:40]
    taken: Counter[str] = Counter()
    chosen = []
    for row in rows:
        taken[row["identity"]] += row["identity"] in (*several, *single)
        if 1 <= taken[row["identity"]] <= 6:
            chosen.append(row)
    vectors, who = [], []
    entries = [QueueEntry(row["path"], row["path"]) for row in chosen]
    for row, result in zip(chosen, embed_photos(entries, pack, root=shared / "photos", workers=2), strict=True):
        assert result.size is not None, result.detail
        main = main_face([face.box for face in result.faces], *result.size)
        if main is not None:
            vectors.append(result.vectors[main])
            who.append(row["identity"])
    assert len(who) >= 85
    stacked = np.stack(vectors)
    labels = (
        cluster(stacked, thresholds=pack.thresholds)
        if pack.thresholds.consolidate
        else average_linkage(stacked, pack.thresholds.cluster)
    )
    pure = [
        np.mean([other == mine for other, label in zip(who, labels, strict=True) if label == labels[i]])
        for i, mine in enumerate(who)
        if mine in several
    ]
    whole = [
        np.mean([label == labels[i] for other, label in zip(who, labels, strict=True) if other == mine])
        for i, mine in enumerate(who)
        if mine in several
    ]
    assert np.mean(pure) >= precision
    assert np.mean(whole) >= 0.8


def test_copies_are_nearer_than_the_near_duplicate_cut_and_people_are_not(shared: Path, edge: Pack, open_pack: Pack) -> None:
    folder = next(path for path in sorted((shared / "photos" / "lfw").iterdir()) if len(list(path.iterdir())) >= 8)
    photos = sorted(folder.iterdir())[:8]
    for pack in (edge, open_pack):
        originals: list[Floats] = []
        copies: list[Floats] = []
        for path in photos:
            with Image.open(path) as image:
                small = np.array(image.convert("RGB").resize((image.width * 3 // 4, image.height * 3 // 4)))
            for pixels, out in ((decode(path).rgb, originals), (small, copies)):
                faces = pack.detect(pixels)
                largest = max(faces, key=lambda face: face.box[2] - face.box[0])
                out.append(pack.embed(pixels, [largest.landmarks]).vectors[0])
        distance = 1 - np.stack(originals) @ np.stack(copies).T
        assert np.diag(distance).max() < pack.thresholds.near_duplicate
        assert distance[~np.eye(len(photos), dtype=bool)].min() > pack.thresholds.near_duplicate

"""Where a pack's thresholds come from: distances between labelled faces, false matches at each cut, B-cubed after clustering.

    python -m benchmarks.calibrate_packs --photos FOLDER --pack open --pack FOLDER_OF_A_PACK --work FOLDER

``--photos`` has ``labels.csv`` (path, identity, scope). The size gate is off: many of these faces are small. Vectors are kept in
``--work``, so a second run measures without embedding again.
"""

from __future__ import annotations

import argparse
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.libraries import Library, outcome
from benchmarks.quality import ours
from benchmarks.scenes import labelled_photos
from facesets.cli.progress import ConsoleProgress
from facesets.clustering.centroids import centroid
from facesets.clustering.cluster import cluster
from facesets.clustering.linkage import average_linkage
from facesets.clustering.scoring import b_cubed
from facesets.faces.embed import find_faces
from facesets.identity import Gates
from facesets.models.load import load_pack
from facesets.models.pack import Pack
from facesets.photos.decode import decode
from facesets.records import Thresholds

FOLDS, SLACK, SURE = 3, 0.005, 0.995


def pairs(data: Library, thresholds: Thresholds) -> None:
    """Distances between faces of one person and of two."""
    known = data.take(data.who != "")
    distance = 1 - known.vectors @ known.vectors.T
    upper = np.triu(np.ones_like(distance, bool), 1)
    same = known.who[:, None] == known.who[None]
    mates, strangers = distance[upper & same], distance[upper & ~same]
    print(f"pairs: {len(mates)} of one person, {len(strangers)} of two")
    print("  one person, percentiles 1 5 50 95 99:", np.percentile(mates, [1, 5, 50, 95, 99]).round(3))
    print("  two people, percentiles .01 .1 1 50:", np.percentile(strangers, [0.01, 0.1, 1, 50]).round(3))
    for cut in (thresholds.match, thresholds.cluster):
        print(f"  at {cut}: false match rate {np.mean(strangers <= cut):.2e}, found {np.mean(mates <= cut):.3f}")


def gallery(data: Library, thresholds: Thresholds) -> None:
    """Faces against centroids of half of each person's faces: the match and the likely distance."""
    people = [who for who, n in Counter(data.who.tolist()).items() if who and n >= 5]
    halves = {who: np.flatnonzero(data.who == who) for who in people}
    centres = np.stack([centroid(data.vectors[rows[::2]].astype(np.float32)) for rows in halves.values()])
    own = np.concatenate([1 - data.vectors[rows[1::2]] @ centres[i] for i, rows in enumerate(halves.values())])
    known = data.take(data.who != "")
    foreign = 1 - known.vectors @ centres.T
    foreign[known.who[:, None] == np.array(people)[None]] = np.inf
    mine = np.concatenate([1 - data.vectors[rows[::2]] @ centres[i] for i, rows in enumerate(halves.values())])
    print(f"gallery of {len(people)} people: own faces at 50 90 95 99 %: {np.percentile(own, [50, 90, 95, 99]).round(3)}")
    for cut in sorted({thresholds.match, *np.round(np.linspace(0.6, 1.3, 8) * thresholds.match, 3)}):
        hit, false, any_false = np.mean(own <= cut), np.mean(foreign <= cut), np.mean((foreign <= cut).any(axis=1))
        print(f"  match {cut:.3f}: recall {hit:.3f}, false per face and person {false:.2e}, faces with any false match {any_false:.4f}")
    print(f"  likely {thresholds.likely}: own faces of a set beyond it {np.mean(mine > thresholds.likely):.4f}")
    hit = np.mean((foreign > thresholds.match) & (foreign <= thresholds.likely))
    print(f"  strangers between match and likely, per face and person {hit:.2e}")


def clusters(data: Library, thresholds: Thresholds) -> None:
    """B-cubed of average linkage at several thresholds, and of the default clustering, on each scope and on all."""
    parts = {"lfw": data.take(data.part == "main_face"), "scenes": data.take(data.part == "person_in_photo"), "all": data}
    print("clusters: B-cubed of people with five photos or more (P R F), and of all labelled faces")
    for name, part in parts.items():
        known = part.who != ""
        counts = Counter(part.who[known].tolist())
        often = np.array([counts[who] >= 5 for who in part.who[known]])
        ways: list[tuple[str, npt.NDArray[Any]]] = [
            (f"average linkage {cut:.3f}", average_linkage(part.vectors, cut))
            for cut in np.round(np.linspace(0.8, 1.3, 6) * thresholds.cluster, 3)
        ]
        if thresholds.consolidate:
            ways.append(
                (f"{thresholds.cluster} + consolidation {thresholds.consolidate}", cluster(part.vectors, thresholds=thresholds))
            )
        for what, labels in ways:
            p, r = _of_people(labels[known], part.who[known], often)
            every = b_cubed(labels[known], part.who[known])
            own, all_of = f"{p:.4f} {r:.4f} {2 * p * r / (p + r):.4f}", f"{every.precision:.4f} {every.recall:.4f} {every.f:.4f}"
            print(f"  {name:6} {what:36} {own}   {all_of}")


def _of_people(labels: npt.NDArray[Any], who: npt.NDArray[np.str_], chosen: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """B-cubed precision and recall averaged over the ``chosen`` faces; everybody's faces count in the clusters."""
    faces = list(zip(labels.tolist(), who.tolist(), strict=True))
    both, mine, theirs = Counter(faces), Counter(labels.tolist()), Counter(who.tolist())
    rows = [(both[a, b] / mine[a], both[a, b] / theirs[b]) for (a, b), take in zip(faces, chosen, strict=True) if take]
    precision, recall = np.mean(rows, axis=0)
    return float(precision), float(recall)


def _jpeg(image: Image.Image, quality: int = 90) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def _moved(image: Image.Image, angle: float, dx: int, scale: float) -> Image.Image:
    """As the next frame of a burst: the hand moved a little."""
    width, height = image.size
    turned = image.rotate(angle, Image.Resampling.BICUBIC, translate=(dx, dx // 2))
    cut = int(width * (1 - scale) / 2), int(height * (1 - scale) / 2)
    return turned.crop((cut[0], cut[1], width - cut[0], height - cut[1]))


COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG quality 50": lambda image: _jpeg(image, 50),
    "three quarters of the size": lambda image: _jpeg(image.resize((image.width * 3 // 4, image.height * 3 // 4))),
    "half the size": lambda image: _jpeg(image.resize((image.width // 2, image.height // 2))),
    "brighter": lambda image: _jpeg(image.point(lambda value: min(255, int(value * 1.15)))),
    "burst frame, 1 degree": lambda image: _jpeg(_moved(image, 1, 2, 0.98)),
    "burst frame, 3 degrees": lambda image: _jpeg(_moved(image, 3, -4, 0.95)),
}


def copies(photos: Path, pack: Pack, names: Sequence[str]) -> None:
    """Distances between a photo's face and the same face in copies of it."""
    found: dict[str, list[float]] = defaultdict(list)
    for name in names:
        photo = decode(photos / name)
        image = Image.fromarray(photo.rgb)
        faces, vectors = find_faces(photo, "", pack)
        if not faces:
            continue
        largest = max(range(len(faces)), key=lambda i: faces[i].face_short)
        for what, make in COPIES.items():
            _, others = find_faces(decode(make(image)), "", pack)
            if len(others):
                found[what].append(float((1 - others @ vectors[largest]).min()))
    for what, distances in found.items():
        print(f"  {what:28} percentiles 50 90 99: {np.percentile(distances, [50, 90, 99]).round(4)}")


def choose(data: Library, pack: Pack) -> None:
    """The likely distance and the margin, chosen on two thirds of the people and scored on the last third, for each third.

    Sets are those that ``decide`` would write of the people with five photos or more among all the strangers, the size gate off. Of the
    pairs whose F is within ``SLACK`` of the best, that with the fewest wrong faces is chosen, of these that with the largest margin:
    there are no relatives here whom it would keep out, so all that can be seen is what it costs.
    """
    own, sizes = pack.thresholds, Counter(data.who.tolist())
    often = sorted(who for who, times in sizes.items() if who and times >= 5)
    fold_of = dict(zip(often, (np.random.default_rng(0).permutation(len(often)) % FOLDS).tolist(), strict=True))
    passing = np.array([fold_of.get(who, -1) for who in data.who.tolist()])
    _choose_cluster(data, passing, own)
    print("chosen by cross-validation over people\n| fold | likely, margin | F, wrong there | as it is, there | F, wrong on held-out |"
          " as it is, on held-out |\n| ---: | ---: | ---: | ---: | ---: | ---: |")  # fmt: skip
    grid = [
        replace(own, likely=round(own.match * far, 3), margin=round(own.match * lead, 3))
        for far in (1.15, 1.25, 1.35)
        for lead in (0.0, 0.125, 0.2, 0.27)
    ]
    for fold in range(FOLDS):
        there, held = data.take(passing != fold), data.take((passing == fold) | (passing == -1))
        scores = [_sets(there, t) for t in grid]
        best = max(f for f, _ in scores)
        pick = min((wrong, -grid[i].margin, -f, i) for i, (f, wrong) in enumerate(scores) if f >= best - SLACK)[3]
        found = [scores[pick], _sets(there, own), _sets(held, grid[pick]), _sets(held, own)]
        cells = " | ".join(f"{f:.4f}, {wrong}" for f, wrong in found)
        print(f"| {fold} | {grid[pick].likely}, {grid[pick].margin} | {cells} |", flush=True)


def _choose_cluster(data: Library, passing: npt.NDArray[Any], own: Thresholds) -> None:
    """The distance at which linkage stops: of those with precision ``SURE`` that with the best F, scored on the last third."""
    print("| fold | cluster | P, F there | P, F on held-out |\n| ---: | ---: | ---: | ---: |")
    for fold in range(FOLDS):
        parts = data.take(passing != fold), data.take((passing == fold) | (passing == -1))
        scores: dict[float, list[tuple[float, float]]] = {}
        for cut in np.round(np.linspace(0.8, 1.25, 10) * own.cluster, 3).tolist():
            for part in parts:
                known = part.who != ""
                score = b_cubed(average_linkage(part.vectors, cut)[known], part.who[known])
                scores.setdefault(cut, []).append((score.precision, score.f))
        pick = max(scores, key=lambda cut: (scores[cut][0][0] >= SURE, scores[cut][0][1]))
        print(f"| {fold} | {pick} | " + " | ".join(f"{p:.4f}, {f:.4f}" for p, f in scores[pick]) + " |", flush=True)


def _sets(library: Library, thresholds: Thresholds) -> tuple[float, int]:
    """F and wrong faces of the sets of a library."""
    found = outcome(library, *ours(library, Gates(min_face_short=0.0), thresholds)[:2], size=0.0)
    return found.f, found.wrong


def main() -> None:
    """Print everything for each pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--pack", action="append", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--choose", action="store_true", help="cross-validate the likely distance and the margin, and nothing else")
    options = parser.parse_args()
    for name in options.pack:
        pack = load_pack(name)
        print(f"== {pack.id}, {pack.thresholds}")
        data = labelled_photos(options.photos / "labels.csv", pack, options.work, ConsoleProgress())
        print(f"{len(set(data.photo.tolist()))} photos with faces, {len(data)} faces, {np.count_nonzero(data.who != '')} labelled")
        if options.choose:
            choose(data, pack)
            continue
        pairs(data, pack.thresholds)
        gallery(data, pack.thresholds)
        clusters(data, pack.thresholds)
        print("copies of one photo, distances:")
        copies(options.photos, pack, sorted(set(data.photo.tolist()))[::40])


if __name__ == "__main__":
    main()

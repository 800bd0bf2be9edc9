"""Where a pack's cuts come from: distances between labelled faces, false matches at each cut, B-cubed after clustering.

    python benchmarks/calibrate_packs.py --photos FOLDER --pack open --pack FOLDER_OF_A_PACK --work FOLDER

``--photos`` has ``labels.csv`` (path, identity, scope). The size gate is off: many of these faces are small. Vectors are kept in
``--work``, so a second run measures without embedding again.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from facesets.embedding import Pack, QueueEntry, append_queue, decode, embed_queue, find_faces, load_cache, load_pack
from facesets.identity import average_linkage, centroid, cluster
from facesets.identity.scoring import b_cubed, main_face, persons_in_photos
from facesets.records import Cuts

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """All faces of the photos; ``who`` is "" for faces without a label."""

    vectors: Floats
    who: npt.NDArray[np.str_]
    scope: npt.NDArray[np.str_]

    def part(self, chosen: npt.NDArray[np.bool_]) -> Labelled:
        """The faces that are ``chosen``."""
        return Labelled(self.vectors[chosen], self.who[chosen], self.scope[chosen])


def labelled(photos: Path, work: Path, pack: Pack) -> Labelled:
    """Embed the labelled photos and find out which face each label means, by the rules of the labels."""
    with (photos / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["scope"] in ("main_face", "person_in_photo")]
    queue, out = work / f"{pack.id.replace('@', '-')}.jsonl", work / f"{pack.id.replace('@', '-')}.npz"
    if not queue.exists():
        append_queue(queue, "labels", [QueueEntry(row["path"], row["path"], str(photos / row["path"])) for row in rows])
    print("embedding:", embed_queue(queue, out, pack))
    cache = load_cache(out, model=pack.id)
    of_photo: dict[str, list[int]] = defaultdict(list)
    for i, meta in enumerate(cache.meta):
        of_photo[meta["path"]].append(i)
    who = np.full(len(cache.meta), "", dtype=object)
    scope = np.full(len(cache.meta), "", dtype=object)
    for row in rows:
        mine = of_photo[row["path"]]
        scope[mine] = row["scope"]
        if row["scope"] == "main_face":
            with Image.open(photos / row["path"]) as image:
                chosen = main_face([tuple(cache.meta[i]["bbox"]) for i in mine], *image.size)
            if chosen is not None:
                who[mine[chosen]] = row["identity"]
    scenes = [row for row in rows if row["scope"] == "person_in_photo" and of_photo[row["path"]]]
    faces = [cache.embeddings[of_photo[row["path"]]].astype(np.float64) for row in scenes]
    picks, ambiguous = persons_in_photos(faces, [row["identity"] for row in scenes], margin=pack.cuts.match / 4.5)
    for row, pick in zip(scenes, picks, strict=True):
        if pick is not None:
            who[of_photo[row["path"]][pick]] = row["identity"]
    print(f"{len(rows)} photos, {len(who)} faces, {np.count_nonzero(who != '')} labelled; {ambiguous} photos left out as ambiguous")
    return Labelled(cache.embeddings.astype(np.float64), who.astype(str), scope.astype(str))


def pairs(data: Labelled, cuts: Cuts) -> None:
    """Distances between faces of one person and of two."""
    known = data.part(data.who != "")
    distance = 1 - known.vectors @ known.vectors.T
    upper = np.triu(np.ones_like(distance, bool), 1)
    same = known.who[:, None] == known.who[None]
    mates, strangers = distance[upper & same], distance[upper & ~same]
    print(f"pairs: {len(mates)} of one person, {len(strangers)} of two")
    print("  one person, percentiles 1 5 50 95 99:", np.percentile(mates, [1, 5, 50, 95, 99]).round(3))
    print("  two people, percentiles .01 .1 1 50:", np.percentile(strangers, [0.01, 0.1, 1, 50]).round(3))
    for cut in (cuts.match, cuts.cluster):
        print(f"  at {cut}: false match rate {np.mean(strangers <= cut):.2e}, found {np.mean(mates <= cut):.3f}")


def gallery(data: Labelled, cuts: Cuts) -> None:
    """Faces against centroids of half of each person's faces: the match and the outlier distance."""
    people = [who for who, n in Counter(data.who.tolist()).items() if who and n >= 5]
    halves = {who: np.flatnonzero(data.who == who) for who in people}
    centres = np.stack([centroid(data.vectors[rows[::2]].astype(np.float32)) for rows in halves.values()])
    own = np.concatenate([1 - data.vectors[rows[1::2]] @ centres[i] for i, rows in enumerate(halves.values())])
    known = data.part(data.who != "")
    foreign = 1 - known.vectors @ centres.T
    foreign[known.who[:, None] == np.array(people)[None]] = np.inf
    mine = np.concatenate([1 - data.vectors[rows[::2]] @ centres[i] for i, rows in enumerate(halves.values())])
    print(f"gallery of {len(people)} people: own faces at 50 90 95 99 %: {np.percentile(own, [50, 90, 95, 99]).round(3)}")
    for cut in sorted({cuts.match, *np.round(np.linspace(0.6, 1.3, 8) * cuts.match, 3)}):
        hit, false, any_false = np.mean(own <= cut), np.mean(foreign <= cut), np.mean((foreign <= cut).any(axis=1))
        print(f"  match {cut:.3f}: recall {hit:.3f}, false per face and person {false:.2e}, faces with any false match {any_false:.4f}")
    print(f"  outlier {cuts.outlier}: own faces of a set beyond it {np.mean(mine > cuts.outlier):.4f}")


def clusters(data: Labelled, cuts: Cuts) -> None:
    """B-cubed of average linkage at several cuts, and of the default clustering, on each scope and on all."""
    parts = {"lfw": data.part(data.scope == "main_face"), "scenes": data.part(data.scope == "person_in_photo"), "all": data}
    print("clusters: B-cubed of people with five photos or more (P R F), and of all labelled faces")
    for name, part in parts.items():
        known = part.who != ""
        counts = Counter(part.who[known].tolist())
        often = np.array([counts[who] >= 5 for who in part.who[known]])
        ways: list[tuple[str, npt.NDArray[Any]]] = [
            (f"average linkage {cut:.3f}", average_linkage(part.vectors, cut))
            for cut in np.round(np.linspace(0.8, 1.3, 6) * cuts.cluster, 3)
        ]
        if cuts.consolidate:
            ways.append((f"{cuts.cluster} + consolidation {cuts.consolidate}", cluster(part.vectors, cuts=cuts)))
        for share in (0.3, 0.4, 0.5, 0.6) if not cuts.consolidate else ():
            tight = replace(cuts, consolidate=round(share * cuts.cluster, 3))
            ways.append((f"{cuts.cluster} + consolidation {tight.consolidate}", cluster(part.vectors, cuts=tight)))
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


def main() -> None:
    """Print everything for each pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--pack", action="append", required=True)
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    for name in options.pack:
        pack = load_pack(name)
        print(f"== {pack.id}, {pack.cuts}")
        data = labelled(options.photos, options.work, pack)
        pairs(data, pack.cuts)
        gallery(data, pack.cuts)
        clusters(data, pack.cuts)
        print("copies of one photo, distances:")
        copies(options.photos, pack, load_cache(options.work / f"{pack.id.replace('@', '-')}.npz").processed[::40])


if __name__ == "__main__":
    main()

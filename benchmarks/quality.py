"""Who makes the fewest mistakes about who is who: the default, average linkage alone, Immich's rule, DBSCAN and HDBSCAN.

    python -m benchmarks.quality --labels PHOTOS/labels.csv --pack FOLDER --work FOLDER

On labelled photos (main_face: one face a photo; person_in_photo: whole scenes; both mixed), each part clustered by itself, faces of
every size, and on generated family libraries, there also by age and by quality of the face. Then the cut and the reach of
consolidation over their ranges, and what the best possible is. Vectors are kept in ``--work``, so a second run does not embed again.
Without ``--labels`` only the generated libraries are scored.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesets.cli.progress import ConsoleProgress
from facesets.embedding import load_pack
from facesets.identity import ARCFACE, average_linkage, cluster, consolidate
from facesets.identity.match import distances
from facesets.identity.scoring import Score, b_cubed, per_face, per_identity
from facesets.pipeline.labelled import embed_labelled
from facesets.testing.families import Families, families

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]
Method = Callable[[Vectors], Labels]

IMMICH_DISTANCE, IMMICH_FACES = 0.5, 3  # its defaults
AGES = ((0, 3), (3, 6), (6, 12), (12, 18), (18, 40), (40, 120))
SMALL_LIBRARIES, DRAWS = ((5, 20), (5, 200), (10, 60), (20, 100), (40, 300), (80, 490)), 30
REACHES = (0.0, 1.0, 1.05, 1.1, 1.12, 1.15, 1.2)  # 0: centroids alone
QUALITIES = ((0, 0.35), (0.35, 0.6), (0.6, 0.8), (0.8, 1.01))


def immich(x: Vectors) -> Labels:
    """Immich's rule, face by face: one with three near (itself among them) takes a near person or begins one; others try again last."""
    n = len(x)
    person = np.full(n, -1, np.int64)
    later: list[int] = []
    people = 0
    for again, faces in ((False, range(n)), (True, later)):
        for i in faces:
            d = 1 - x @ x[i]
            near = np.flatnonzero(d <= IMMICH_DISTANCE)
            near = near[np.argsort(d[near], kind="stable")][:IMMICH_FACES]
            core = len(near) >= IMMICH_FACES
            if len(near) <= 1:
                continue
            if not core and not again:
                later.append(i)
                continue
            known = [int(person[j]) for j in near.tolist() if person[j] >= 0]
            if not known:
                named = np.flatnonzero((person >= 0) & (d <= IMMICH_DISTANCE))
                known = [int(person[named[np.argmin(d[named])]])] if len(named) else []
            if known:
                person[i] = known[0]
            elif core:
                person[i] = people
                people += 1
    return alone(person)


def dbscan(x: Vectors) -> Labels:
    """Density with Immich's figures; noise is single faces."""
    from sklearn.cluster import DBSCAN  # noqa: PLC0415

    return alone(DBSCAN(eps=IMMICH_DISTANCE, min_samples=IMMICH_FACES, metric="cosine").fit(x).labels_)


def hdbscan(x: Vectors) -> Labels:
    """HDBSCAN as scikit-learn has it; noise is single faces."""
    from sklearn.cluster import HDBSCAN  # noqa: PLC0415

    return alone(HDBSCAN(min_cluster_size=2, copy=True).fit(x.astype(np.float64)).labels_)


def alone(labels: NDArray[np.int64]) -> Labels:
    """Everybody with a negative label in a cluster of their own."""
    return np.where(labels < 0, len(labels) + np.arange(len(labels)), labels)


METHODS: dict[str, Method] = {
    "**default**": cluster,
    "`--classic` (average linkage 0.55)": lambda x: cluster(x, classic=True),
    "average linkage 0.65": lambda x: average_linkage(x, 0.65),
    "Immich's rule (0.5, 3 faces)": immich,
    "DBSCAN (0.5, 3)": dbscan,
    "HDBSCAN": hdbscan,
}


def photos(labels: Path, pack: str, work: Path) -> dict[str, tuple[Vectors, NDArray[np.str_]]]:
    """Vectors and people of each part of the labelled photos."""
    chosen = load_pack(pack)
    kept = work / f"quality-{chosen.id.replace('@', '-')}.npz"
    work.mkdir(parents=True, exist_ok=True)
    if not kept.exists():
        found = embed_labelled(labels, chosen, ConsoleProgress())
        known = np.flatnonzero(found.people != "")
        print("left out:", found.left_out)
        np.savez(kept, x=found.vectors[known], who=found.people[known], scope=np.array(found.scopes)[known])
    with np.load(kept, allow_pickle=False) as file:
        x, who, scope = file["x"], file["who"], file["scope"]
    rows = {"main_face": scope == "main_face", "person_in_photo": scope == "person_in_photo", "mixed": scope != ""}
    return {part: (x[at], who[at]) for part, at in rows.items()}


def table(parts: dict[str, tuple[Vectors, NDArray[np.str_]]]) -> None:
    """Print B-cubed of every method on every part."""
    scenes = "person_in_photo" in parts
    last = " sets of 5+ for the people of the scenes with 5+ |" if scenes else ""
    print("\n| method | " + " | ".join(f"{part} P / R / F" for part in parts) + " |" + last)
    print("| --- |" + " ---: |" * (len(parts) + scenes))
    for name, method in METHODS.items():
        cells, sets = [], ""
        for part, (x, who) in parts.items():
            labels = method(x)
            score = b_cubed(labels, who)
            cells.append(f"{score.precision:.4f} / {score.recall:.4f} / {score.f:.4f}")
            if part == "person_in_photo":
                big = [i for i in per_identity(labels, who.tolist()) if i.faces >= 5]
                sets = f"{sum(i.sizeable for i in big)} for {len(big)}"
        print(f"| {name} | " + " | ".join([*cells, sets] if scenes else cells) + " |", flush=True)


def ranges(parts: dict[str, tuple[Vectors, NDArray[np.str_]]]) -> None:
    """Print how the score on all photos depends on the cut and the reach of consolidation."""
    x, who = parts["mixed"]
    start = average_linkage(x, ARCFACE.cluster)
    print("\nAll photos mixed, precision / F by consolidation's cut and reach")
    print("| cut | " + " | ".join(f"reach {r:.2f}" for r in REACHES) + " |\n| ---: |" + " ---: |" * len(REACHES))
    for cut in (0.45, 0.50, 0.55, 0.60, 0.65):
        scores = [b_cubed(consolidate(x, start, cut, reach=reach)[0], who) for reach in REACHES]
        print(f"| {cut:.2f} | " + " | ".join(f"{s.precision:.4f} / {s.f:.4f}" for s in scores) + " |", flush=True)


def small(x: Vectors, who: NDArray[np.str_]) -> None:
    """Print what the reach does in small libraries: so many people of five photos or more, and strangers who are seen once."""
    print(f"\nSmall libraries of these photos, {DRAWS} of each kind: precision / F, and how many hold a false join")
    print("| people, strangers | " + " | ".join(f"reach {r:.2f}" for r in REACHES) + " |\n| --- |" + " ---: |" * len(REACHES))
    names, photos_of = np.unique(who, return_counts=True)
    rng = np.random.default_rng(0)
    for people, strangers in SMALL_LIBRARIES:
        scores: dict[float, list[Score]] = {reach: [] for reach in REACHES}
        for _ in range(DRAWS):
            known = rng.choice(names[photos_of >= 5], people, replace=False)
            rows = np.isin(who, np.concatenate([known, rng.choice(names[photos_of == 1], strangers, replace=False)]))
            start = average_linkage(x[rows], ARCFACE.cluster)
            for reach in REACHES:
                scores[reach].append(b_cubed(consolidate(x[rows], start, ARCFACE.consolidate, reach=reach)[0], who[rows]))
        cells = [
            f"{np.mean([s.precision for s in of]):.4f} / {np.mean([s.f for s in of]):.4f}, {sum(s.precision < 1 for s in of)}"
            for of in scores.values()
        ]
        print(f"| {people}, {strangers} | " + " | ".join(cells) + " |", flush=True)


def best_possible(x: Vectors, who: NDArray[np.str_]) -> None:
    """Print the score of one who knows everybody's centroid, and errs only on faces nearer to somebody else than to their own."""
    names, person = np.unique(who, return_inverse=True)
    sums = np.zeros((len(names), x.shape[1]))
    np.add.at(sums, person, x.astype(np.float64))
    centres = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    to = distances(x, centres)
    rest = sums[person] - x
    length = np.linalg.norm(rest, axis=1)
    own = 1 - (rest * x).sum(axis=1) / np.maximum(length, 1e-12)
    to[np.arange(len(x)), person] = np.inf
    lost = (length > 1e-6) & (to.min(axis=1) <= own)
    labels = np.where(lost, len(names) + np.arange(len(x)), person)
    score = b_cubed(labels, who)
    split = b_cubed(cluster(x), who)
    print(f"\nBest possible: {int(lost.sum())} of {len(x):,} faces are nearer to somebody else's centroid than to that of the rest of")
    print(f"their own person. All else right and those left alone is F {score.f:.4f}; the default has {split.f:.4f}.")
    for i in np.flatnonzero(lost).tolist():
        print(f"  {who[i]}: {own[i]:.3f} from their own, {to[i].min():.3f} from {names[int(np.argmin(to[i]))]}")


def buckets(found: list[Families]) -> None:
    """Print the default's and classic's B-cubed on generated libraries by age and by quality."""
    print("\n| faces of | share | default P / R | classic P / R |\n| --- | ---: | ---: | ---: |")
    faces = [[per_face(cluster(f.vectors, classic=classic), f.person) for classic in (False, True)] for f in found]
    for what, edges in (("age", AGES), ("quality", QUALITIES)):
        for low, high in edges:
            sums = np.zeros((2, 3))
            total = 0
            for f, both in zip(found, faces, strict=True):
                value = f.age if what == "age" else f.quality
                at = (value >= low) & (value < high)
                total += len(f)
                for k, (pure, whole) in enumerate(both):
                    sums[k] += pure[at].sum(), whole[at].sum(), at.sum()
            (p, r, n), (cp, cr, cn) = sums
            if n:
                ours, classic_ = f"{p / n:.4f} / {r / n:.4f}", f"{cp / cn:.4f} / {cr / cn:.4f}"
                print(f"| {what} {low:g} to {high:g} | {n / total:.1%} | {ours} | {classic_} |", flush=True)


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--pack", default="auto")
    parser.add_argument("--work", type=Path, default=Path())
    parser.add_argument("--faces", type=int, default=6000, help="of each generated library")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13])
    asked = parser.parse_args()
    if asked.labels:
        parts = photos(asked.labels, asked.pack, asked.work)
        table(parts)
        ranges(parts)
        small(*parts["mixed"])
        best_possible(*parts["mixed"])
    made = [families(asked.faces, seed=seed) for seed in asked.seeds]
    print(f"\nGenerated families of {asked.faces:,} faces (seeds {', '.join(map(str, asked.seeds))})")
    table({f"seed {seed}": (f.vectors, f.person.astype(np.str_)) for seed, f in zip(asked.seeds, made, strict=True)})
    buckets(made)


if __name__ == "__main__":
    main()

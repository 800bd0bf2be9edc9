"""How well the years at which looks moved are found, and where the settings of that come from.

    python -m benchmarks.eras --vectors FOLDER [--photos labels.csv --pack FOLDER --work FOLDER]

Who is seen as a child and as a grown-up (``ages.npz``) gets dates: the child 1990 to 1999, the grown-up 2012 to 2021, at random within.
Right is one cut, between the two. People whose looks did not move (``poses.npz``, the child alone, the grown-up alone, the labelled
photos) get dates 1990 to 2021 at random; right is no cut. Settings are chosen by cross-validation over people: of those within two
percent of the best balanced share on four fifths of the people the one that cuts least, since nobody here grows from thirty to fifty;
the figure is that on the last fifth. Beside them: a cut every so many years, and the best single cut by distance of means alone. Then a
family library made here (:mod:`benchmarks.families`), whose children drift and whose grown-ups hardly do.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.families import families
from benchmarks.libraries import Library, load_all, one_name
from benchmarks.scenes import labelled_photos
from facesets.identity import find_eras
from facesets.models.load import load_pack
from facesets.progress import Silent
from facesets.thresholds import ARCFACE

YOUNG, OLD = (1990, 1999), (2012, 2021)
LEAST = 3  # photos of each of the two looks
FOLDS, DRAWS = 5, 4
GRID = [(change, chance) for change in (0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40) for chance in (1.0, 1.5, 2.0, 3.0, 4.0)]
Method = Callable[["Life"], list[int]]  # the last years before each cut


@dataclass(frozen=True, slots=True)
class Life:
    """A person's faces with dates; ``moved``: whether there is a cut to be found, between ``YOUNG`` and ``OLD``."""

    who: str
    vectors: NDArray[np.float32]
    taken_at: list[str]
    moved: bool


def lives(all_: dict[str, Library], photos: Library | None, seed: int) -> list[Life]:
    """Everybody with enough photos, their dates drawn by ``seed``."""
    rng = np.random.default_rng(seed)
    ages, out = all_["ages"], list[Life]()

    def dated(who: str, x: NDArray[np.float32], spans: Sequence[tuple[int, int]], moved: bool) -> Life:
        taken = [f"{rng.integers(a, b + 1)}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}T12:00:00" for a, b in spans]
        return Life(who, x, taken, moved)

    for who in ages.people():
        young, old = (np.flatnonzero((ages.who == who) & (ages.look == look)) for look in ("young", "old"))
        if min(len(young), len(old)) >= LEAST:
            spans = [YOUNG] * len(young) + [OLD] * len(old)
            out.append(dated(who, ages.vectors[np.concatenate([young, old])], spans, moved=True))
        for rows in (young, old):
            if len(rows) >= 2 * LEAST:
                out.append(dated(who, ages.vectors[rows], [(YOUNG[0], OLD[1])] * len(rows), moved=False))
    for part in [all_["poses"], *([photos] if photos else [])]:
        sizes = Counter(part.who.tolist())
        for who in part.people():
            if sizes[who] >= 2 * LEAST:
                rows = np.flatnonzero(part.who == who)
                out.append(dated(who, part.vectors[rows], [(YOUNG[0], OLD[1])] * len(rows), moved=False))
    return out


def ours(change: float, chance: float) -> Method:
    """The product's cuts."""
    return lambda life: [
        era.last for era in find_eras(life.vectors, life.taken_at, alike=ARCFACE.cluster, change=change, chance=chance)[:-1]
    ]


def every(years: int) -> Method:
    """A cut every so many years."""

    def cuts(life: Life) -> list[int]:
        taken = sorted({int(t[:4]) for t in life.taken_at})
        return [a for a, b in pairwise(taken) if a // years != b // years]

    return cuts


def best_single(apart: float) -> Method:
    """One cut, where the means before and after are farthest apart, if that is more than ``apart``."""

    def cuts(life: Life) -> list[int]:
        year = np.array([int(t[:4]) for t in life.taken_at])
        found = [(0.0, 0)]
        for y in sorted(set(year.tolist()))[:-1]:
            a, b = (life.vectors[part].mean(axis=0) for part in (year <= y, year > y))
            if min((year <= y).sum(), (year > y).sum()) >= LEAST - 1:
                found.append((float(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)), y))
        return [max(found)[1]] if max(found)[0] > apart else []

    return cuts


def right(life: Life, cuts: list[int]) -> bool:
    """Whether these are the cuts that this life has."""
    return len(cuts) == 1 and YOUNG[0] <= cuts[0] < OLD[0] and _parts(life, cuts[0]) if life.moved else not cuts


def _parts(life: Life, cut: int) -> bool:
    return all((int(t[:4]) <= YOUNG[1]) == (int(t[:4]) <= cut) for t in life.taken_at)


def shares(people: Sequence[Life], method: Method) -> tuple[float, float]:
    """Of those whose looks moved, and of the others, the share with the right cuts."""
    found: dict[bool, list[bool]] = {True: [], False: []}
    for life in people:
        found[life.moved].append(right(life, method(life)))
    return float(np.mean(found[True])), float(np.mean(found[False]))


def choose(drawn: list[list[Life]]) -> None:
    """Print the choice of each fold, and all settings on everybody."""
    everybody = [life for people in drawn for life in people]
    names = sorted({life.who for life in everybody})
    fold_of = dict(zip(names, (np.random.default_rng(0).permutation(len(names)) % FOLDS).tolist(), strict=True))
    found = {setting: [right(life, ours(*setting)(life)) for life in everybody] for setting in GRID}
    moved = np.array([life.moved for life in everybody])
    fold = np.array([fold_of[life.who] for life in everybody])

    def balanced(setting: tuple[float, float], rows: NDArray[np.bool_]) -> float:
        good = np.array(found[setting])
        return float((good[rows & moved].mean() + good[rows & ~moved].mean()) / 2)

    print("| fold | change, chance | balanced there | held-out: looks moved | held-out: did not |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for f in range(FOLDS):
        scores = {setting: balanced(setting, fold != f) for setting in GRID}
        whole = {s: float(np.array(found[s])[(fold != f) & ~moved].mean()) for s in GRID}
        pick = max((s for s in GRID if scores[s] >= max(scores.values()) - 0.02), key=lambda s: (whole[s], s))
        good = np.array(found[pick])
        print(
            f"| {f} | {pick[0]:.2f}, {pick[1]:.1f} | {scores[pick]:.3f} | {good[(fold == f) & moved].mean():.3f} | "
            f"{good[(fold == f) & ~moved].mean():.3f} |"
        )
    print(f"\n{sum(moved) // len(drawn)} whose looks moved, {sum(~moved) // len(drawn)} others, {len(drawn)} draws of dates")
    print("| method | looks moved: right | did not: right |\n| --- | ---: | ---: |")
    rows: dict[str, Method] = {f"change {s[0]:.2f}, chance {s[1]:.1f}": ours(*s) for s in GRID}
    rows |= {"every 5 years": every(5), "every 10 years": every(10)}
    rows |= {f"one cut, means {apart:.1f} apart": best_single(apart) for apart in (0.4, 0.5, 0.6)}
    for name, method in rows.items():
        one, two = shares(everybody, method)
        print(f"| {name} | {one:.3f} | {two:.3f} |")


def drifting(n: int) -> None:
    """Print the eras of the family library made here."""
    made = families(n, seed=3)
    print("\n| person | from age | faces | eras (faces) |\n| ---: | ---: | ---: | --- |")
    child: list[tuple[int, float]] = []
    grown: list[tuple[int, float]] = []
    for who in range(int(made.person.max()) + 1):
        rows = np.flatnonzero(made.person == who)
        if len(rows) < 30:
            continue
        year = made.year[rows]
        taken = [f"{2000 + int(y)}-{1 + int(y % 1 * 12):02d}-{1 + int(y * 365 % 27):02d}" for y in year.tolist()]
        found = find_eras(made.vectors[rows], taken, alike=ARCFACE.cluster)
        (child if made.age[rows].min() < 5 else grown).append((len(found), float(year.max() - year.min())))
        if who < 8:
            spans = ", ".join(f"{e.first}-{e.last} ({len(e.rows)})" for e in found)
            print(f"| {who} | {made.age[rows].min():.0f} | {len(rows)} | {spans} |")
    for name, cut in (("children", child), ("grown-ups", grown)):
        several = sum(n > 1 for n, _ in cut)
        length = sum(span for _, span in cut) / max(sum(n for n, _ in cut), 1)
        print(f"{name}: {several} of {len(cut)} in several eras, {length:.1f} years an era")


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, required=True, help="folder of the files of vectors")
    parser.add_argument("--photos", type=Path, help="labels.csv of labelled photos")
    parser.add_argument("--pack", default="auto")
    parser.add_argument("--work", type=Path, default=Path())
    parser.add_argument("--faces", type=int, default=12_000, help="of the library made here")
    asked = parser.parse_args()
    all_, photos = load_all(asked.vectors), None
    if asked.photos:
        photos = labelled_photos(asked.photos, load_pack(asked.pack), asked.work, Silent())
        one_name([*all_.values(), photos])
    choose([lives(all_, photos, seed) for seed in range(DRAWS)])
    drifting(asked.faces)


if __name__ == "__main__":
    main()

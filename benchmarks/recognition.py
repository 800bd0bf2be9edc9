"""How well people who are known are recognised: photos split by random thirds into three months, sets of the months before standing.

    python -m benchmarks.recognition --vectors FOLDER --photos labels.csv --pack FOLDER --work FOLDER [--choose]

Each month is decided by the product's own ``decide`` on the sets of the months before. Printed are, of the later faces of people who
have a set, the shares recognised rightly, wrongly, ambiguous (offered for a look, near to two people) and likely; and how often a
second set of a known person appeared; each with and without averages of a few years and weights. Faces without a label are there, too.

    photos     labelled photos, with dates at random over thirty years: nobody's looks move with them
    children   people seen young and grown up (dates 1990 to 1999, 2012 to 2021) among 600 strangers, in two months, as they have few
    in order   the same by time: the youngest photos of each first
    made       the family library of :mod:`benchmarks.families`, with its own years
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.families import families
from benchmarks.libraries import Library, load_all, one_name, together
from benchmarks.scenes import labelled_photos
from facesets.clustering import centroid
from facesets.identity import DENSE, YEARS, FaceTable, Gates, decide, quality, spans_of
from facesets.models.load import load_pack
from facesets.progress import Silent
from facesets.records import Centroid, Reason
from facesets.thresholds import ARCFACE

MONTHS, DRAWS, FOLDS = 3, 3, 3


@dataclass(frozen=True, slots=True)
class Known:
    """How people are known. ``years`` 0: by the mean of all alone; ``weighted``: by quality; ``recognised``: of these faces, too."""

    name: str
    years: int = 0
    dense: int = 0
    weighted: bool = True
    recognised: bool = False


WAYS = (
    Known("one average", weighted=False), Known("one average, weighted"), Known(f"averages of {YEARS} years, too", YEARS, DENSE),
    Known(f"averages of {YEARS} years, recognised faces too", YEARS, DENSE, recognised=True),
)  # fmt: skip
GRID = [
    Known(f"averages of {y} years and {n} faces{', recognised faces too' if r else ''}", y, n, recognised=r)
    for y in (3, 5, 10) for n in (5, 10, 20) for r in (False, True)
]  # fmt: skip


@dataclass(slots=True)
class Counted:
    """Faces of later months whose person has a set, what became of them, and second sets of a known person."""

    later: int = 0
    right: int = 0
    wrong: int = 0
    ambiguous: int = 0
    likely: int = 0
    second: int = 0
    sets: int = 0

    def add(self, other: Counted) -> None:
        """Count those, too."""
        for f in fields(Counted):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))


@dataclass(frozen=True, slots=True)
class Dated:
    """A library with a date and a month for each face."""

    library: Library
    taken_at: NDArray[np.str_]
    month: NDArray[np.int64]

    def table(self) -> FaceTable:
        """As ``decide`` takes it."""
        return replace(self.library.table(), taken_at=tuple(t or None for t in self.taken_at.tolist()))


def three_months(dated: Dated, known: Known, gates: Gates) -> Counted:
    """Three months' decisions, one after the other."""
    whole, who = dated.table(), dated.library.who
    counted, owner, existing = Counted(), dict[str, str](), list[Centroid]()
    faces: dict[str, list[int]] = defaultdict(list)
    founders: dict[str, list[int]] = {}
    number = 1
    for m in range(int(dated.month.max()) + 1):
        rows = np.flatnonzero(dated.month == m)
        decision = decide(whole.take(rows), existing, thresholds=ARCFACE, gates=gates, first_number=number)
        before = {owner[name] for name in owner} - {""}
        for v in decision.verdicts:
            row = int(v.face_id)
            if v.reason is Reason.MATCHES_SET and v.set in owner:
                faces[v.set] += [row] if known.recognised else []
            if m and who[row] in before:
                counted.later += 1
                if v.reason is Reason.MATCHES_SET and v.set in owner:
                    counted.right += owner[v.set] == who[row]
                    counted.wrong += owner[v.set] != who[row]
                elif v.reason is Reason.LIKELY:
                    counted.likely += not v.ambiguous
                    counted.ambiguous += v.ambiguous
        for s in decision.sets:
            faces[s.name] = [int(f) for f in s.members]
            founders[s.name] = [*faces[s.name]]
            owner[s.name] = Counter(who[faces[s.name]].tolist()).most_common(1)[0][0]
            counted.second += owner[s.name] in before
        counted.sets += len(decision.sets)
        number += len(decision.sets)
        existing = [c for name, members in faces.items() for c in _centroids(whole, name, founders[name], members, known)]
    return counted


def _centroids(whole: FaceTable, name: str, founders: Sequence[int], members: Sequence[int], known: Known) -> Iterable[Centroid]:
    part = whole.take(np.array(members, dtype=np.int64)).canonical()
    weights = quality(part) if known.weighted else np.ones(len(part))
    spans = spans_of(part.vectors, weights, part.taken_at, years=known.years or 1, dense=known.dense)
    yield Centroid(name, centroid(whole.take(np.array(sorted(founders), dtype=np.int64)).canonical().vectors), len(founders))
    for span in spans if known.years else spans[: known.weighted]:
        yield Centroid(name, span.vector, span.n)


def at_random(library: Library, seed: int, taken_at: NDArray[np.str_], months: int = MONTHS) -> Dated:
    """Thirds at random."""
    return Dated(library, taken_at, np.random.default_rng(seed).integers(0, months, len(library)))


def in_order(dated: Dated) -> Dated:
    """The same library by time: of each person the first third first; strangers stay where they are."""
    month = dated.month.copy()
    months = int(month.max()) + 1
    for who in dated.library.people():
        rows = np.flatnonzero(dated.library.who == who)
        if len(rows) >= months:
            order = rows[np.argsort(dated.taken_at[rows], kind="stable")]
            month[order] = np.arange(len(order)) * months // len(order)
    return Dated(dated.library, dated.taken_at, month)


def dates(rng: np.random.Generator, spans: Sequence[tuple[int, int]]) -> NDArray[np.str_]:
    """A date within each span of years."""
    return np.array([f"{rng.integers(a, b + 1)}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}" for a, b in spans], dtype="<U10")


def children(all_: dict[str, Library], seed: int, people: Sequence[str] | None = None) -> Dated:
    """People seen young and grown up, with dates, and 600 strangers without."""
    rng = np.random.default_rng(seed)
    ages = all_["ages"]
    grown = ages.take(np.isin(ages.who, list(people)) if people is not None else ages.who != "")
    strangers = all_["strangers"].take(np.sort(rng.choice(len(all_["strangers"]), 600, replace=False)))
    spans = [(1990, 1999) if look == "young" else (2012, 2021) for look in grown.look.tolist()]
    taken = np.concatenate([dates(rng, spans), dates(rng, [(1990, 2021)] * len(strangers))])
    return at_random(together(grown, strangers), seed, taken, months=2)


def made_library(n: int, seed: int) -> Dated:
    """The generator's library: children drift."""
    made = families(n, seed=seed)
    blank, unknown = np.full(n, "", dtype="<U80"), np.full(n, np.nan)
    names = np.array([f"p{p}" for p in made.person.tolist()], dtype="<U80")
    photo = np.array([f"made {i}" for i in range(n)], dtype="<U80")
    good = np.full(n, 0.9)
    library = Library(made.vectors, names, blank, photo, blank, good, 90 + 160 * made.quality, unknown, np.zeros((n, 4)), blank)
    taken = np.array(
        [f"{2000 + int(y)}-{1 + int(y % 1 * 12):02d}-{1 + int(y * 365 % 27):02d}" for y in made.year.tolist()], dtype="<U10"
    )
    return at_random(library, seed, taken)


def show(title: str, drawn: Sequence[Dated], ways: Sequence[Known] = WAYS, *, gates: Gates | None = None) -> None:
    """Print what each way of knowing people comes to."""
    print(f"\n{title} ({len(drawn)} draws, {np.mean([len(d.library) for d in drawn]):,.0f} faces)")
    print("| known by | later faces of known people | rightly | wrongly | ambiguous | likely | second sets of a known person | sets |")
    print("| --- |" + " ---: |" * 7)
    for way in ways:
        total = _sum([three_months(dated, way, gates or Gates()) for dated in drawn])
        n, k = max(total.later, 1), len(drawn)
        print(
            f"| {way.name} | {total.later / k:,.0f} | {total.right / n:.2%} | {total.wrong / n:.3%} | {total.ambiguous / n:.2%} | "
            f"{total.likely / n:.2%} | {total.second / k:.2f} | {total.sets / k:.1f} |", flush=True,
        )  # fmt: skip


def choose() -> None:
    """Span and density by cross-validation over people (those of one made library are in no other): of the ways with at most a tenth
    of a percent more wrong faces than one average has, the one with most right ones.
    """
    drawn = [made_library(6000, 10 + seed) for seed in range(FOLDS)]
    scores = {way: [three_months(dated, way, Gates()) for dated in drawn] for way in (WAYS[1], *GRID)}
    print("| fold | chosen | rightly, wrongly held-out | one average held-out |\n| ---: | --- | ---: | ---: |")
    for f in range(FOLDS):
        there = {way: _sum(found[:f] + found[f + 1 :]) for way, found in scores.items()}
        most = there[WAYS[1]].wrong / there[WAYS[1]].later + 0.001
        fair = [way for way in GRID if there[way].wrong / there[way].later <= most] or [WAYS[1]]
        pick = max(fair, key=lambda way: there[way].right)
        cells = [scores[way][f] for way in (pick, WAYS[1])]
        print(f"| {f} | {pick.name} | " + " | ".join(f"{c.right / c.later:.2%}, {c.wrong / c.later:.3%}" for c in cells) + " |")
    print("\n| known by | rightly | wrongly | ambiguous | likely |\n| --- | ---: | ---: | ---: | ---: |")
    for way, found in scores.items():
        c = _sum(found)
        shares = (c.right / c.later, c.wrong / c.later, c.ambiguous / c.later, c.likely / c.later)
        print(f"| {way.name} | " + " | ".join(f"{share:.2%}" for share in shares) + " |")


def _sum(found: Sequence[Counted]) -> Counted:
    total = Counted()
    for one in found:
        total.add(one)
    return total


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, required=True, help="folder of the files of vectors")
    parser.add_argument("--photos", type=Path, help="labels.csv of labelled photos")
    parser.add_argument("--pack", default="auto")
    parser.add_argument("--work", type=Path, default=Path())
    parser.add_argument("--choose", action="store_true", help="cross-validate the spans, and nothing else")
    asked = parser.parse_args()
    all_ = load_all(asked.vectors)
    if asked.choose:
        choose()
        return
    if asked.photos:
        photos = labelled_photos(asked.photos, load_pack(asked.pack), asked.work, Silent())
        one_name([*all_.values(), photos])
        drawn = [at_random(photos, s, dates(np.random.default_rng(s), [(1990, 2021)] * len(photos))) for s in range(DRAWS)]
        show("Labelled photos by random thirds", drawn, gates=Gates(min_face_short=0.0))
    young = [children(all_, seed) for seed in range(DRAWS)]
    few = Gates(min_faces=3, min_photos=2, min_face_short=0.0)  # there are few photos of each
    show("Children and grown-ups by random halves", young, gates=few)
    show("Children and grown-ups, in order", [in_order(dated) for dated in young], gates=few)
    made = [made_library(9000, seed) for seed in range(2)]
    show("Made family library", made)
    show("Made family library, in order", [in_order(dated) for dated in made])


if __name__ == "__main__":
    main()

"""Who makes the fewest mistakes about who is who, as a user meets them: the default beside what one would use instead, in one run.

    python -m benchmarks.quality --vectors FOLDER --photos PHOTOS/labels.csv --pack FOLDER --work FOLDER
    python -m benchmarks.quality --vectors FOLDER --choose          settings by cross-validation over people and families

Libraries are drawn from labelled faces (:mod:`benchmarks.libraries`), decided on by the product's own ``decide`` with its gates, and
scored by the sets it would write. The rivals' groups go through the same gates, without bands. Photos are embedded once; what was
found stays in ``--work``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.libraries import (
    Library,
    Outcome,
    family_library,
    grown_up_library,
    large_families,
    load_all,
    one_name,
    outcome,
    together,
)
from benchmarks.rivals import RIVALS
from benchmarks.scenes import labelled_photos, made_pictures
from facesets.cli.progress import ConsoleProgress
from facesets.clustering import average_linkage, b_cubed, cluster
from facesets.identity import Decision, Gates, decide
from facesets.identity.gates import gate
from facesets.models.load import load_pack
from facesets.records import Centroid, Reason, Thresholds
from facesets.thresholds import ARCFACE

DRAWS = 10
FOLDS = 3
IN_SET = (Reason.MEMBER, Reason.NEAR_DUPLICATE)
SURE = 0.97
GRID = [
    (replace(ARCFACE, consolidate=margin, margin=lead), tiny)
    for margin in (0.06, 0.08, 0.10)
    for lead in (0.08, 0.12, 0.16)
    for tiny in (0.03, 0.06)
]


def ours(library: Library, gates: Gates, thresholds: Thresholds = ARCFACE) -> tuple[NDArray[np.int64], NDArray[np.int64], Decision]:
    """Sets (of each face, -1: in none) and groups of the default, and its decision."""
    decision = decide(library.table(), [], thresholds=thresholds, gates=gates)
    sets, groups = np.full(len(library), -1), np.arange(len(library)) + 10**6
    number = {s.name: i for i, s in enumerate(decision.sets)}
    for v in decision.verdicts:
        row = int(v.face_id)
        groups[row] = v.group if v.group >= 0 else groups[row]
        if v.reason in IN_SET and v.set is not None:
            sets[row] = number[v.set]
    return sets, groups, decision


def gated(library: Library, labels: NDArray[np.int64], gates: Gates) -> NDArray[np.int64]:
    """Sets of somebody else's groups, by our gates but for the bands."""
    table, sets = library.table(), np.full(len(library), -1)
    loose = replace(ARCFACE, likely=9.0)
    for g in np.unique(labels).tolist():
        rows = np.flatnonzero(labels == g)
        if len(rows) >= gates.min_faces:
            found = gate(table.take(rows), loose, gates, np.full(len(rows), np.inf), np.zeros(len(rows), dtype=bool))
            for row, reason in zip(rows.tolist(), found.reasons, strict=True):
                sets[row] = g if found.centroid is not None and reason in IN_SET else -1
    return sets


def compare(title: str, libraries: Sequence[Library], *, size: float = 90.0) -> None:
    """Print every method on ``libraries``; ``size``: the size gate."""
    gates = Gates(min_face_short=size)
    print(f"\n{title} ({len(libraries)} drawn, {np.mean([len(lib) for lib in libraries]):,.0f} faces)")
    print("| method | wrong faces in sets | of kin | sets | people in two | with none | most people in a set | P | F | F of groups |")
    print("| --- |" + " ---: |" * 9)
    for name, method in {"**default**": None, **RIVALS}.items():
        found = []
        for library in libraries:
            if method is None:
                sets, groups, _ = ours(library, gates)
            else:
                groups = method(library.vectors)
                sets = gated(library, groups, gates)
            found.append(outcome(library, sets, groups, size=size))
        print(f"| {name} | {_row(found)} |", flush=True)


def _row(found: Sequence[Outcome]) -> str:
    def mean(name: str) -> float:
        return float(np.mean([getattr(o, name) for o in found]))

    return (
        f"{mean('wrong'):.1f} | {mean('kin'):.1f} | {mean('sets'):.1f} | {mean('twice'):.1f} | {mean('none'):.1f} of "
        f"{mean('able'):.1f} | {max(o.most for o in found)} | {mean('precision'):.4f} | {mean('f'):.4f} | {mean('group_f'):.4f}"
    )


def groups_only(title: str, library: Library) -> None:
    """Print every method's groups before gates: for faces too small for sets."""
    known = library.who != ""
    print(f"\n{title}: groups, before gates\n| method | P | R | F | most people in a group |\n| --- | ---: | ---: | ---: | ---: |")
    for name, method in {"**default**": cluster, **RIVALS}.items():
        labels = method(library.vectors)
        score = b_cubed(labels[known], library.who[known])
        most = max(len(set(library.who[(labels == g) & known].tolist())) for g in np.unique(labels[known]))
        print(f"| {name} | {score.precision:.4f} | {score.recall:.4f} | {score.f:.4f} | {most} |", flush=True)


def pairs(all_: dict[str, Library]) -> None:
    """Print how often two people come within the distance at which faces are linked: grown-ups, children, relatives."""

    def rate(x: NDArray[np.float32], two: NDArray[np.bool_]) -> str:
        near = (1 - x @ x.T <= ARCFACE.cluster) & two
        return f"{near.sum() / two.sum():.1e} of {two.sum() // 2:,} pairs"

    print(f"\nTwo people within {ARCFACE.cluster}\n| | |\n| --- | --- |")
    for name, part in (("grown-ups (poses)", all_["poses"]), ("children (ages, young)", all_["ages"]), ("relatives", all_["families"])):
        known = part.take((part.who != "") & ((part.part != "ages") | (part.look == "young")))
        two = known.who[:, None] != known.who
        two &= (known.family[:, None] == known.family) if name == "relatives" else True
        print(f"| {name} | {rate(known.vectors, two)} |")


def masked(library: Library) -> None:
    """Print how many sets each method makes of crowds with masks."""
    gates = Gates()
    counts = {"**default**": len(ours(library, gates)[2].sets)}
    counts |= {name: len(np.unique(s[s >= 0])) for name, m in RIVALS.items() for s in [gated(library, m(library.vectors), gates)]}
    print("\nMasked crowds: sets, of which each is wrong\n| method | sets |\n| --- | ---: |")
    for name, sets in counts.items():
        print(f"| {name} | {sets} |")


def curve(libraries: Sequence[Library]) -> None:
    """Print wrong against missing faces over the margin of consolidation, and over that of sure faces."""
    print(
        "\nThe trade-off on the family libraries: faces in sets that are right, faces of people who could have a set that are in none"
    )
    print("(missing), wrong ones\n| consolidate | margin | right | missing | wrong | likely | people in two | F |")
    print("| ---: |" + " ---: |" * 7)
    for t in (
        *(replace(ARCFACE, consolidate=c) for c in (0.02, 0.04, 0.06, 0.08, 0.10, 0.15)),
        *(replace(ARCFACE, margin=lead) for lead in (0.0, 0.04, 0.08, 0.16, 0.20)),
    ):
        rows, scores = [], []
        for library in libraries:
            sets, groups, decision = ours(library, Gates(), t)
            o = outcome(library, sets, groups)
            right = int(((sets >= 0) & (library.who != "")).sum()) - o.wrong
            rows.append((right, o.usable - right, o.wrong, decision.counts.likely, o.twice))
            scores.append(o.f)
        cells = " | ".join(f"{value:.1f}" for value in np.mean(rows, axis=0))
        print(f"| {t.consolidate:.2f} | {t.margin:.2f} | {cells} | {np.mean(scores):.4f} |", flush=True)


def by_thirds(libraries: Sequence[Library]) -> None:
    """Print three months: a third of each person's photos after the other, sets of the months before standing."""
    second = later = right = wrong = likely = 0
    for library in libraries:
        month = np.random.default_rng(0).integers(0, 3, len(library))
        existing: list[Centroid] = []
        owner: dict[str, str] = {}
        for m in range(3):
            rows = np.flatnonzero(month == m)
            number = len(existing) + 1
            decision = decide(library.take(rows).table(), existing, thresholds=ARCFACE, first_number=number)
            for s in decision.sets:
                members = [library.who[rows[int(f)]] for f in s.members]
                owner[s.name] = Counter(members).most_common(1)[0][0]
                second += sum(owner[s.name] == owner[e.name] for e in existing) > 0
            known = {owner[e.name] for e in existing} - {""}
            for v in decision.verdicts if m else ():
                who = library.who[rows[int(v.face_id)]]
                if who in known:
                    later += 1
                    recognised = v.reason is Reason.MATCHES_SET and v.set is not None
                    right += recognised and owner[v.set or ""] == who
                    wrong += recognised and owner[v.set or ""] != who
                    likely += v.reason is Reason.LIKELY
            existing += [Centroid(s.name, s.centroid, len(s.members)) for s in decision.sets]
    n = len(libraries)
    print(f"\nThree months by thirds, {n} libraries: {second / n:.2f} second sets of a known person a library; of {later / n:.0f}")
    print(
        f"later faces of known people {right / later:.1%} recognised rightly, {wrong / later:.2%} wrongly, {likely / later:.1%} likely"
    )


def choose(all_: dict[str, Library]) -> None:
    """Settings chosen on two thirds of the families and people, and scored on the last third, for each third.

    Chosen is, of the settings whose F among families and among children and adults is no lower than that of average linkage at .65 (of
    the rivals the one that finds most) at a precision of ``SURE`` among the latter, that with the fewest wrong faces.
    """
    families, adults, ages = large_families(all_["families"]), all_["poses"].people(), all_["ages"].people()
    rng = np.random.default_rng(0)
    folds = [(names, rng.permutation(len(names)) % FOLDS) for names in (families, adults, ages)]
    print("| fold | consolidate, margin, tiny | F, wrong there | linkage .65 there | F, wrong on held-out | linkage .65 on held-out |"
          " ages P, F on held-out | linkage .65 |\n| ---: |" + " ---: |" * 7)  # fmt: skip
    for fold in range(FOLDS):
        parts, young = [], []
        for inside in (True, False):
            f, a, y = ([n for n, k in zip(names, of, strict=True) if (k != fold) == inside] for names, of in folds)
            parts.append([family_library(all_, 100 * fold + seed, f, a) for seed in range(3)])
            young.append(all_["ages"].take(np.isin(all_["ages"].who, y)))
        least, childhood = _rival(parts[0]), _groups(young[0], average_linkage(young[0].vectors, 0.65))
        scores = []
        for t, tiny in GRID:
            with _tiny(tiny):
                grown = _groups(young[0], cluster(young[0].vectors, thresholds=t))
                scores.append((*_mean(outcomes(parts[0], t)), *grown))
        fits = [f >= least[0] and p >= SURE and g >= childhood[1] for f, _, p, g in scores]
        pick = min((not fits[i], wrong, -f, i) for i, (f, wrong, _, _) in enumerate(scores))[3]
        t, tiny = GRID[pick]
        with _tiny(tiny):
            held, aged = _mean(outcomes(parts[1], t)), _groups(young[1], cluster(young[1].vectors, thresholds=t))
        old = _groups(young[1], average_linkage(young[1].vectors, 0.65))
        cells = [f"{t.consolidate:.2f}, {t.margin:.2f}, {tiny:.2f}"]
        cells += [f"{f:.4f}, {w:.1f}" for f, w in (scores[pick][:2], least, held, _rival(parts[1]))]
        print(f"| {fold} | " + " | ".join([*cells, *(f"{p:.4f}, {f:.4f}" for p, f in (aged, old))]) + " |", flush=True)


@contextmanager
def _tiny(relief: float) -> Iterator[None]:
    """While groups that are no set yet are joined by so much less."""
    module: Any = import_module("facesets.clustering.consolidate")
    own = module.TINY_RELIEF
    module.TINY_RELIEF = relief
    try:
        yield
    finally:
        module.TINY_RELIEF = own


def _groups(library: Library, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Precision and F of groups before gates."""
    score = b_cubed(labels, library.who)
    return score.precision, score.f


def _rival(libraries: Sequence[Library]) -> tuple[float, float]:
    labels = [average_linkage(library.vectors, 0.65) for library in libraries]
    return _mean([outcome(lib, gated(lib, found, Gates()), found) for lib, found in zip(libraries, labels, strict=True)])


def outcomes(libraries: Iterable[Library], thresholds: Thresholds) -> list[Outcome]:
    """What the default makes of each library."""
    return [outcome(lib, *ours(lib, Gates(), thresholds)[:2]) for lib in libraries]


def _mean(found: Sequence[Outcome]) -> tuple[float, float]:
    return float(np.mean([o.f for o in found])), float(np.mean([o.wrong for o in found]))


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, required=True, help="folder of the files of vectors")
    parser.add_argument("--photos", type=Path, help="labels.csv of labelled photos")
    parser.add_argument("--pack", default="auto")
    parser.add_argument("--work", type=Path, default=Path())
    parser.add_argument("--choose", action="store_true", help="cross-validate the settings, and nothing else")
    asked = parser.parse_args()
    all_ = load_all(asked.vectors)
    if asked.choose:
        choose(all_)
        return
    families, adults = large_families(all_["families"]), all_["poses"].people()
    drawn = [family_library(all_, seed, families, adults) for seed in range(DRAWS)]
    tables: list[Callable[[], None]] = [
        lambda: compare("Family libraries", drawn),
        lambda: curve(drawn),
        lambda: by_thirds(drawn),
        lambda: compare("All families and strangers at once", [together(all_["families"], all_["strangers"])]),
        lambda: groups_only("Children and adults", all_["ages"]),
        lambda: compare("Poses", [all_["poses"]]),
        lambda: masked(all_["masked"]),
        lambda: pairs(all_),
    ]
    if asked.photos:
        pack = load_pack(asked.pack)
        photos = labelled_photos(asked.photos, pack, asked.work, ConsoleProgress())
        made = made_pictures(asked.photos, photos, pack, asked.work, ConsoleProgress())
        one_name([*all_.values(), photos, made])
        sizes = Counter(photos.who[photos.part == "main_face"].tolist())
        often = sorted(who for who, times in sizes.items() if who not in {"", *adults} and times >= 10)
        scenes = photos.take(photos.part == "person_in_photo")
        tables += [
            lambda: compare("Grown-ups and 700 strangers", [
                grown_up_library(all_, photos.take(photos.part == "main_face"), seed, [*adults, *often]) for seed in range(DRAWS)
            ]),
            lambda: compare("Scenes", [scenes], size=0.0),
            lambda: compare("Scenes with collages, mirrors and walls of photos", [together(scenes, made)], size=0.0),
        ]  # fmt: skip
    for table in tables:
        table()


if __name__ == "__main__":
    main()

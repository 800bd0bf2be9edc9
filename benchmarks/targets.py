"""How well Frigate would know people by the images that each way of choosing gives it: ours, the best by quality, and any.

    python -m benchmarks.targets --labels PHOTOS/labels.csv --pack FOLDER [--scope main_face,...] [--least 15]

For every person with ``--least`` photos or more: a third of the photos is held out and seen by no choice, the others are to choose
from. The first ``--others`` photos of other people are strangers. Our choice takes as many images as it finds helpful and judges
itself on those that it has left; "best N by quality" and "N at random" (mean of 20 draws) get the same N, and "best 30 by quality" as
many as Frigate's docs recommend. Then Frigate's formula: the mean confidence over held-out photos, how many of them are recognised
(.9), and how many of all other people's faces are taken for this one (.8). What the export would predict, on the photos that its choice
left, stands beside it: those photos had a say in the choice, the held-out ones had none.
Vectors are the pack's, not Frigate's: what is compared is the choice. Needs labelled photos of your own.

Then where to stop, by cross-validation over people: they are dealt into ``--folds`` parts, and for each part the rule is chosen on the
people of the other parts alone: of the rules whose confidence is within .002 of the best one's the one with the fewest images. What is
printed of the rules so chosen is of people whom they were not chosen on. The export's rule is the one that is so chosen on everybody.
Every person is split ``--splits`` times into photos to choose from and photos held out.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesets.cli.progress import ConsoleProgress
from facesets.models.load import load_pack
from facesets.pipeline.labelled import embed_labelled, read_labels
from facesets.targets import frigate_formula as formula
from facesets.targets.terms import Candidate

RULES = [formula.Stop(patience, least) for least in (0.0, 0.0005, 0.001, 0.002) for patience in (1, 2, 3, 4, 5)]
RULES += [formula.Stop(10_000)]  # as many as there may be
_NEAR = 0.002  # of confidence: as good as the best rule

Vectors = NDArray[np.float64]
Choice = Callable[[Sequence[Candidate], Vectors, int], list[int]]


@dataclass(frozen=True, slots=True)
class Result:
    """Of one person and one way: images given; confidence and share recognised of held-out photos; strangers taken for the person."""

    images: float
    confidence: float
    recognised: float
    strangers: float


def thirds(keys: Sequence[str], salt: str) -> NDArray[np.bool_]:
    """About a third of these, by hash."""
    return np.array([hashlib.sha256(f"{salt}{key}".encode()).digest()[0] % 3 == 0 for key in keys])


def ours(candidates: Sequence[Candidate], strangers: Vectors, most: int) -> list[int]:
    """As the export does it."""
    return formula.choose(vectors(candidates), strangers, most, [(c.taken_at or "")[:10] for c in candidates])


def by_quality(candidates: Sequence[Candidate], strangers: Vectors, most: int) -> list[int]:  # noqa: ARG001 - a Choice
    """The best pictures."""
    return sorted(range(len(candidates)), key=lambda i: -candidates[i].quality)[:most]


def vectors(candidates: Sequence[Candidate]) -> Vectors:
    """float64 [n, d]."""
    return np.stack([c.vector for c in candidates]).astype(np.float64)


def score(chosen: Vectors, held_out: Vectors, strangers: Vectors) -> Result:
    """What Frigate would make of it."""
    mean = formula.mean_of(chosen)
    said = formula.confidences(formula.cosines(held_out, mean))
    wrong = formula.confidences(formula.cosines(strangers, mean)) >= formula.UNKNOWN
    return Result(len(chosen), float(said.mean()), float((said >= formula.RECOGNISED).mean()), float(wrong.mean()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--pack", required=True)
    parser.add_argument("--scope", default="main_face,person_in_photo")
    parser.add_argument("--least", type=int, default=15)
    parser.add_argument("--others", type=int, default=300)
    parser.add_argument("--most", type=int, default=30)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--splits", type=int, default=3)
    args = parser.parse_args()
    people = _people(args.labels, args.pack, args.scope, args.least, args.others)
    rows: dict[str, list[Result]] = defaultdict(list)
    predicted: list[float] = []
    random = np.random.default_rng(0)
    known = {name: found for name, found in people.items() if len(found) >= args.least}
    for name, found in sorted(known.items()):
        test = thirds([c.face.sha256 for c in found], "test")
        pool, held_out = [c for c, is_test in zip(found, test, strict=True) if not is_test], vectors(found)[test]
        others = np.concatenate([vectors(rest) for who, rest in sorted(people.items()) if who != name])
        seen, unseen = others[::2], others[1::2]  # the choice sees half of the strangers, the score is over the other half
        chosen = ours(pool, seen, args.most)
        x, n = vectors(pool), len(chosen)
        rows["ours"].append(score(x[chosen], held_out, unseen))
        predicted.append(formula.predict(x[chosen], np.delete(x, chosen, axis=0), seen).confidence)
        rows["best N by quality"].append(score(x[by_quality(pool, seen, n)], held_out, unseen))
        rows["best 30 by quality"].append(score(x[by_quality(pool, seen, args.most)], held_out, unseen))
        rows["all there are"].append(score(x, held_out, unseen))
        draws = [score(x[random.choice(len(x), n, replace=False)], held_out, unseen) for _ in range(20)]
        mean = [float(np.mean([getattr(d, key) for d in draws])) for key in ("confidence", "recognised", "strangers")]
        rows["N at random"].append(Result(n, *mean))
    print(f"{len(known)} people with {args.least} photos or more, strangers' faces: {sum(map(len, people.values()))} less their own")
    _print("choice", rows)
    off = np.array(predicted) - [result.confidence for result in rows["ours"]]
    far = f"{off.mean():+.3f} from what held-out photos give ({np.abs(off).mean():.3f} a person)"
    print(f"\npredicted for ours: {np.mean(predicted):.3f}, {far}")
    _cross_validate(known, people, args)


def _print(first: str, rows: dict[str, list[Result]]) -> None:
    print(f"\n| {first} | images | confidence on held-out photos | worst person | recognised | strangers taken for them |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for way, results in rows.items():
        mean = _mean(results)
        worst = min(r.confidence for r in results)
        print(f"| {way} | {mean.images:.1f} | {mean.confidence:.3f} | {worst:.3f} | {mean.recognised:.1%} | {mean.strangers:.2%} |")


def _mean(results: Sequence[Result]) -> Result:
    images, *rest = (float(np.mean([getattr(r, key) for r in results])) for key in ("images", "confidence", "recognised", "strangers"))
    return Result(images, *rest)


def _cross_validate(known: dict[str, list[Candidate]], people: dict[str, list[Candidate]], args: argparse.Namespace) -> None:
    """Print what rules come to that were chosen on other people."""
    names = sorted(known)
    folds = [names[i :: args.folds] for i in range(args.folds)]
    scored = {name: _by_rule(name, found, people, args) for name, found in known.items()}
    held_out: list[Result] = []
    taken: list[formula.Stop] = []
    for fold in folds:
        rule = _chosen_on([scored[name] for name in names if name not in fold])
        taken.append(rule)
        held_out += [scored[name][rule] for name in fold]
    print(f"\nStopping, {args.folds} parts of the people, {args.splits} splits of each person's photos")
    print("chosen on the people of the other parts: " + "; ".join(map(_words, taken)))
    print(f"chosen on everybody: {_words(_chosen_on(list(scored.values())))}")
    rows = {"chosen by cross-validation, on people it was not chosen on": held_out}
    rows |= {f"the export's: {_words(formula.Stop())}": [scored[name][formula.Stop()] for name in names]}
    rows |= {_words(rule): [scored[name][rule] for name in names] for rule in RULES if rule != formula.Stop()}
    _print("rule", rows)


def _chosen_on(people: Sequence[Mapping[formula.Stop, Result]]) -> formula.Stop:
    """Of the rules that are as good as the best one for these people, the one with the fewest images."""
    mean = {rule: _mean([one[rule] for one in people]) for rule in RULES}
    best = max(result.confidence for result in mean.values())
    return min((r for r in RULES if mean[r].confidence >= best - _NEAR), key=lambda r: (mean[r].images, r.patience, -r.least))


def _by_rule(
    name: str, found: list[Candidate], people: dict[str, list[Candidate]], args: argparse.Namespace
) -> dict[formula.Stop, Result]:
    """What each rule comes to for a person, over splits of their photos."""
    x = vectors(found)
    others = np.concatenate([vectors(rest) for who, rest in sorted(people.items()) if who != name])
    results: dict[formula.Stop, list[Result]] = {rule: [] for rule in RULES}
    for split in range(args.splits):
        test = thirds([c.face.sha256 for c in found], f"split {split} ")
        pool, strangers = x[~test], others[split % 2 :: 2]
        order, gains = formula.by_gain(pool, strangers, args.most)
        for rule in RULES:
            chosen = pool[order[: formula.kept(gains, rule)]]
            results[rule].append(score(chosen, x[test], others[1 - split % 2 :: 2]))
    return {rule: _mean(made) for rule, made in results.items()}


def _words(rule: formula.Stop) -> str:
    if rule.patience > 1000:
        return "never before two thirds"
    return f"after {rule.patience} that gain {rule.least:g} or less"


def _people(labels: Path, pack: str, scope: str, least: int, others: int) -> dict[str, list[Candidate]]:
    """Identity -> faces of labelled photos: of people with ``least`` of them, and the first ``others`` of everybody else."""
    lines = [label for label in read_labels(labels) if label.scope in scope.split(",")]
    count = Counter(label.identity for label in lines)
    wanted = [label for label in lines if count[label.identity] >= least]
    wanted += [label for label in lines if count[label.identity] < least][:others]
    found: dict[str, list[Candidate]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "labels.csv"
        with few.open("w", newline="") as out:
            rows = csv.writer(out)
            rows.writerow(["path", "identity", "scope"])
            rows.writerows([label.path, label.identity, label.scope] for label in wanted)
        for entry in labels.parent.iterdir():
            if entry.name != "labels.csv":
                (Path(folder) / entry.name).symlink_to(entry)
        labelled = embed_labelled(few, load_pack(pack, engine="cpu"), ConsoleProgress())
    for face, vector, label in zip(labelled.faces, labelled.vectors, labelled.labels, strict=True):
        if label:
            found[label.identity].append(Candidate(face, vector, 0.0, None, None, None, ()))
    return found


if __name__ == "__main__":
    main()

"""Identity: which distances suit a user's own people. Pure: arrays in, figures out.

Of faces whose people are known: how far each is from the average of its person's other faces, how far from everybody else's, and how
far pairs of faces are from each other. A cut's *false-match rate* is the share of comparisons with somebody else that it lets pass, its
*missed* share that of comparisons with the same person which it does not. A cut is proposed as the largest whose false-match rate is at
most the one asked for; how it does on people it was not chosen on is told beside it, by cross-validation over people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import Ints, centroid, distances

STEP = 0.01  # of cuts
FOLDS = 5
LEAST = 5  # faces of a person
MOST_PAIRED = 3000  # faces whose pairs are looked at, evenly taken
_BLOCK = 2048


@dataclass(frozen=True, slots=True)
class Distances:
    """``own`` [n]: of each face to its person's other faces' average; ``others`` [n, p]: to everybody's, NaN to its own person's.

    ``same`` and ``different``: of pairs of faces. ``people`` [n] numbers the person of each face.
    """

    people: Ints
    own: NDArray[np.float64]
    others: NDArray[np.float64]
    same: NDArray[np.float64]
    different: NDArray[np.float64]
    pair_people: Ints  # [pairs of different people, 2]

    @property
    def nearest_other(self) -> NDArray[np.float64]:
        """Of each face to the nearest other person's average."""
        out: NDArray[np.float64] = np.nanmin(self.others, axis=1)
        return out


@dataclass(frozen=True, slots=True)
class Rates:
    """What a cut does: shares of comparisons; of ``compared`` others. Where none matched, the rate is below 3 / ``compared``."""

    cut: float
    false_match: float
    missed: float
    compared: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A cut for the setting ``name`` with its rates, and those of cuts so chosen on people whom they were not chosen on."""

    name: str
    rates: Rates
    held_out: Rates


def distances_between(vectors: NDArray[np.float32], people: Ints) -> Distances:
    """Compare ``vectors`` [n, d] of ``people`` [n], numbered from 0, each with at least two faces."""
    number = int(people.max()) + 1
    x = vectors.astype(np.float64)
    sums = np.zeros((number, x.shape[1]))
    np.add.at(sums, people, x)
    centres = np.stack([centroid(vectors[people == p]) for p in range(number)])
    own = np.empty(len(x))
    for row, p in enumerate(people.tolist()):
        rest = sums[p] - x[row]
        unit = rest / max(float(np.linalg.norm(rest)), 1e-12)
        own[row] = max(0.0, float(x[row] @ x[row]) / 2 + 0.5 - float(x[row] @ unit))
    others = np.concatenate([distances(vectors[a : a + _BLOCK], centres) for a in range(0, len(x), _BLOCK)])
    others[np.arange(len(x)), people] = np.nan
    few = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_PAIRED)).astype(np.int64))
    i, j = np.triu_indices(len(few), 1)
    between = np.concatenate([distances(x[few[a : a + _BLOCK]], x[few]) for a in range(0, len(few), _BLOCK)])[i, j]
    one = people[few[i]] == people[few[j]]
    pairs = np.stack([people[few[i]], people[few[j]]], axis=1)[~one]
    return Distances(people, np.round(own, 6), others, between[one], between[~one], pairs)


def cut_rates(cut: float, other: NDArray[np.float64], same: NDArray[np.float64]) -> Rates:
    """A cut's rates among comparisons with ``other`` people and with the ``same``."""
    return Rates(
        round(cut, 4), float((other <= cut).mean()) if len(other) else 0.0, float((same > cut).mean()) if len(same) else 0.0, len(other)
    )


def error_table(found: Distances, cuts: Sequence[float]) -> list[tuple[Rates, Rates]]:
    """Of each cut the rates of a face against averages, and of two faces."""
    flat = found.others[~np.isnan(found.others)]
    return [(cut_rates(cut, flat, found.own), cut_rates(cut, found.different, found.same)) for cut in cuts]


def propose(found: Distances, false_match: float) -> list[Proposal]:
    """Cuts for ``match`` (at most that false-match rate), ``likely`` (ten times as many) and ``cluster`` (of two faces)."""
    likely = min(10 * false_match, 0.5)
    return [_averages("match", found, false_match), _averages("likely", found, likely), _pairs("cluster", found, false_match)]


def _largest(other: NDArray[np.float64], false_match: float) -> float:
    """The largest cut, in steps, that lets at most this share of ``other`` pass."""
    ordered = np.sort(other)
    allowed = int(np.floor(false_match * len(ordered)))
    edge = float(ordered[min(allowed, len(ordered) - 1)]) if len(ordered) else 1.0
    return max(round(float(np.floor(edge / STEP - 1e-9)) * STEP, 4), 0.0)


def _fold(people: Ints) -> Ints:
    fold: Ints = np.random.default_rng(0).permutation(int(people.max()) + 1) % FOLDS
    return fold


def _averages(name: str, found: Distances, false_match: float) -> Proposal:
    flat = found.others[~np.isnan(found.others)]
    best, held, missed = _largest(flat, false_match), list[Rates](), list[int]()
    fold = _fold(found.people)
    for f in range(FOLDS):
        inside, outside = fold[found.people] != f, fold[found.people] == f
        chosen = found.others[inside][:, fold != f]
        rest = found.others[outside]
        if outside.any() and inside.any() and chosen.size:
            cut = _largest(chosen[~np.isnan(chosen)], false_match)
            held.append(cut_rates(cut, rest[~np.isnan(rest)], found.own[outside]))
            missed.append(int(outside.sum()))
    return Proposal(name, cut_rates(best, flat, found.own), _together(held, missed))


def _pairs(name: str, found: Distances, false_match: float) -> Proposal:
    fold = _fold(found.people)
    held, weights = list[Rates](), list[int]()
    for f in range(FOLDS):
        there = (fold[found.pair_people] != f).all(axis=1)
        rest = (fold[found.pair_people] == f).any(axis=1)
        if there.any() and rest.any():
            held.append(cut_rates(_largest(found.different[there], false_match), found.different[rest], found.same))
            weights.append(1)
    best = _largest(found.different, false_match)
    return Proposal(name, cut_rates(best, found.different, found.same), _together(held, weights))


def _together(held: Sequence[Rates], weights: Sequence[int]) -> Rates:
    """The rates of all folds as one; of the cut the mean."""
    compared = sum(r.compared for r in held)
    if not compared:
        return Rates(0.0, 0.0, 0.0, 0)
    return Rates(
        round(float(np.mean([r.cut for r in held])), 4),
        sum(r.false_match * r.compared for r in held) / compared,
        sum(r.missed * w for r, w in zip(held, weights, strict=True)) / sum(weights),
        compared,
    )

"""Which faces of many. Pure: arrays and records in, orders out.

Variety is bought by farthest-point choice (T. F. Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985), weighed
with quality: the next face is the one whose distance to all that are chosen, times its quality, is largest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facesets.targets.job import Job
from facesets.targets.terms import Candidate

_POSE = 90.0  # degrees of yaw or pitch that count as much as a whole cosine distance
_ERA_OF = 8  # faces that make an era though more have no date
_YEARS = 20.0  # years apart that do


def looks(candidates: Sequence[Candidate]) -> npt.NDArray[np.float64]:
    """What makes two pictures of a person different, one row each: the vector, pose, light, and year."""
    if not candidates:
        return np.zeros((0, 0))
    vectors = np.stack([c.vector for c in candidates]).astype(np.float64)
    signals = np.array(
        [
            (s.get("yaw", 0.0) / _POSE, s.get("pitch", 0.0) / _POSE, s.get("exposure", 0.5), (c.year or 0) / _YEARS)
            for c in candidates
            for s in [c.face.signals]
        ]
    )
    known = np.array([c.year is not None for c in candidates])
    signals[~known, 3] = signals[known, 3].mean() if known.any() else 0.0
    return np.hstack([vectors, signals])


def farthest_first(candidates: Sequence[Candidate], given: int = 0) -> list[int]:
    """All of them in the order in which they add most: the best first, then the best of what is unlike those before.

    The first ``given`` of them are there already: the others are unlike these, too, and these are not in the answer.
    """
    rows, weight = looks(candidates), np.array([c.quality for c in candidates])
    order: list[int] = []
    gap = np.full(len(candidates), 1.0)
    left = np.arange(len(candidates)) >= given
    for row in rows[:given]:
        gap = np.minimum(gap, np.linalg.norm(rows - row, axis=1))
    for _ in candidates[given:]:
        score = np.where(left, gap * weight, -1.0)
        best = int(score.argmax())
        order.append(best)
        left[best] = False
        gap = np.minimum(gap, np.linalg.norm(rows - rows[best], axis=1))
    return order


def era_of(job: Job, years: int) -> tuple[list[Candidate], tuple[int, int] | None]:
    """The candidates of the era that was asked for; else of the best of the person's era sets, at most ``years`` of it; else of the
    best span of so many years. Its first and last year: None where all are taken.
    """
    if job.era is not None:
        return list(job.candidates), job.era
    best = max(job.eras, key=lambda span: (sum(c.quality for c in job.candidates if within(c, span)), span), default=None)
    inside = [c for c in job.candidates if best and within(c, best)]
    chosen, span = one_era(inside or job.candidates, years)
    if span is None and years > 0 and any(c.year is not None for c in chosen):
        job.outcome.notes.append("most of its photos have no date, so faces of all of them are taken, whatever the year")
    return chosen, span


def within(candidate: Candidate, span: tuple[int, int]) -> bool:
    """Whether a face's photo is known to be of these years."""
    return candidate.year is not None and span[0] <= candidate.year <= span[1]


def one_era(candidates: Sequence[Candidate], years: int) -> tuple[list[Candidate], tuple[int, int] | None]:
    """Those of the span of ``years`` that has most quality, and its first and last year; all where no date is known, or where that span
    has fewer than eight of them and more have no date: a handful of dates says little of the rest.

    Of spans alike the latest one: it is how the person looks now.
    """
    dated = [c for c in candidates if c.year is not None]
    if not dated or years <= 0:
        return list(candidates), None
    starts = sorted({c.year for c in dated if c.year is not None})
    best = max(
        starts, key=lambda start: (sum(c.quality for c in dated if c.year is not None and start <= c.year < start + years), start)
    )
    inside = [c for c in dated if c.year is not None and best <= c.year < best + years]
    if len(inside) < _ERA_OF and len(candidates) - len(dated) > len(inside):
        return list(candidates), None
    taken = [c.year for c in inside if c.year is not None]
    return inside, (min(taken), max(taken))


def years(span: tuple[int, int]) -> str:
    """A span of years in words."""
    return f"{span[0]} to {span[1]}" if span[0] != span[1] else f"{span[0]}"


def consistent(candidates: Sequence[Candidate], share: float = 0.8) -> list[Candidate]:
    """The ``share`` of them nearest to their mean: averages of vectors are spoilt by the few that are unlike the rest."""
    if len(candidates) < 5:
        return list(candidates)
    vectors = np.stack([c.vector for c in candidates]).astype(np.float64)
    mean = vectors.mean(axis=0)
    cosines = vectors @ mean / max(float(np.linalg.norm(mean)), 1e-12)
    kept = np.argsort(-cosines, kind="stable")[: max(5, round(share * len(candidates)))]
    return [candidates[i] for i in sorted(kept)]

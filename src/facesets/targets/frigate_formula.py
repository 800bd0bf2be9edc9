"""Frigate's own arithmetic, and the choice of training images by it. Pure. Read off its 0.18 source of July 2026.

A person is one vector, the mean over their images; a face is known by a sigmoid of its cosine to that, less a little for blur. So the
images to give it are those whose mean is nearest to photos of the person that it has not seen, and far from everybody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float64]

RECOGNISED, UNKNOWN = 0.9, 0.8  # from here on known for sure; below here nobody
_SHARE, _STRAY, _FEW, _KEPT_SHARE = 0.15, 0.30, 5, 0.70
_MIDDLE, _STEEP = 0.5, 12.0 / 0.6  # slope 12 over a width of .6
_PENALTIES = ((120, 0.06), (160, 0.04), (200, 0.02), (250, 0.01))
HELD_OUT_FROM = 9  # photos
_LEAST = 5  # images that Frigate's docs begin with


def mean_of(images: npt.ArrayLike) -> Vectors:
    """Frigate's vector of a person: [n, d] -> [d]."""
    vectors = np.asarray(images, np.float64)
    centre = trimmed_mean(vectors)
    count = len(vectors)
    if count < _FEW:
        return centre
    cosine = cosines(vectors, centre)
    close = np.flatnonzero(cosine >= _STRAY)
    least = max(_FEW, int(np.ceil(_KEPT_SHARE * count)))
    if len(close) < least:
        close = np.sort(np.argsort(-cosine, kind="stable")[:least])
    return trimmed_mean(vectors[close])


def trimmed_mean(vectors: Vectors) -> Vectors:
    """The mean of each coordinate without the lowest and the highest 15 % of its values (rounded down)."""
    off = int(len(vectors) * _SHARE)
    if not off:
        return np.asarray(vectors.mean(axis=0), np.float64)
    part = np.partition(vectors, (off, len(vectors) - off - 1), axis=0)[off : len(vectors) - off]
    return np.asarray(part.mean(axis=0), np.float64)


def cosines(vectors: Vectors, to: Vectors) -> Vectors:
    """Cosine of each row [n, d] to ``to`` [d]."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(to)
    return np.asarray(np.divide(vectors @ to, lengths, out=np.zeros(len(vectors)), where=lengths > 0))


def confidences(cosine: npt.ArrayLike) -> Vectors:
    """What Frigate makes of cosines."""
    return np.asarray(1.0 / (1.0 + np.exp(-_STEEP * (np.asarray(cosine, np.float64) - _MIDDLE))))


def blur_loss(variance: float) -> float:
    """What a crop's blur costs; ``variance`` is that of its Laplacian."""
    for limit, loss in _PENALTIES:
        if variance < limit:
            return loss
    return 0.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What Frigate will say, by our pack's vectors: of held-out photos of the person (mean, and share that is recognised), and the
    highest for any stranger's face.
    """

    held_out: int
    confidence: float
    recognised: float
    stranger: float


def predict(images: Vectors, held_out: Vectors, strangers: Vectors, losses: npt.ArrayLike = 0.0) -> Prediction:
    """Images [n, d] that are given, photos [m, d] that are not, faces [s, d] of others; ``losses`` [m] by blur."""
    mean = mean_of(images)
    said = confidences(cosines(held_out, mean)) - np.asarray(losses, np.float64)
    other = float(confidences(cosines(strangers, mean)).max()) if len(strangers) else 0.0
    return Prediction(len(held_out), float(said.mean()), float((said >= RECOGNISED).mean()), other)


@dataclass(frozen=True, slots=True)
class Stop:
    """When to take no more images: once ``patience`` of them in a row gain ``least`` or less."""

    patience: int = 3  # chosen by cross-validation over people: benchmarks/targets.py, and the how-to of Frigate
    least: float = 0.001


def choose(
    pool: Vectors, strangers: Vectors, most: int, days: Sequence[str | None] = (), given: Sequence[int] = (), stop: Stop | None = None
) -> list[int]:
    """Which rows of ``pool`` [n, d] to give, in the order of their gain: five at least, ``most`` at most, until ``stop``.

    Gain: how much the mean confidence over the photos that are not given, less that for the nearest of ``strangers`` [s, d], rises. A
    third of nine photos or more is never given, so that there is always something to judge by; of fewer all are. ``days``: when each
    was taken; no more than four of one day, as Frigate warns of many alike. ``given``: what Frigate has already; it stays, and stands
    first in the answer.
    """
    order, gains = by_gain(pool, strangers, most, days, given, stop or Stop())
    return order[: len(given) + kept(gains, stop or Stop(), len(given))]


def kept(gains: Sequence[float], stop: Stop, given: int = 0) -> int:
    """How many of the images with these ``gains`` are given, after ``given`` that are there."""
    idle = 0
    for at, gain in enumerate(gains):
        idle = idle + 1 if given + at >= _LEAST and gain <= stop.least else 0
        if idle == stop.patience:
            return at + 1 - idle
    return len(gains)


def by_gain(
    pool: Vectors, strangers: Vectors, most: int, days: Sequence[str | None] = (), given: Sequence[int] = (), stop: Stop | None = None
) -> tuple[list[int], list[float]]:
    """As :func:`choose`, with the images after the last that is given, and what each that was added gained; to ``most`` where there is
    no ``stop``.
    """
    chosen, gains = list(given), list[float]()
    close = strangers
    if len(strangers) > 200:  # those that come close to the person at all
        close = strangers[np.argsort(-cosines(strangers, pool.mean(axis=0)), kind="stable")[:200]]
    judged = len(pool) >= HELD_OUT_FROM
    while len(chosen) < min(most, 2 * len(pool) // 3 if judged else len(pool)):
        options = _open(len(pool), chosen, days)
        if not options or (stop and judged and kept(gains, stop, len(given)) < len(gains)):
            break
        before = _said(pool[chosen], pool, close) if chosen else None
        gain, winner = max((_gain(pool, close, chosen, i, before, judged=judged), -i) for i in options)
        chosen.append(-winner)
        gains.append(gain if judged else 1.0)  # of few photos all are given
    return chosen, gains


def _open(count: int, chosen: Sequence[int], days: Sequence[str | None]) -> list[int]:
    taken = [days[i] for i in chosen] if days else []
    return [i for i in range(count) if i not in chosen and not (days and days[i] and taken.count(days[i]) >= 4)]


def _gain(
    pool: Vectors, strangers: Vectors, chosen: Sequence[int], one: int, before: tuple[Vectors, float] | None, *, judged: bool
) -> float:
    """What ``one`` adds for the photos that are not given with it: the same ones before and after, or a stray would gain by leaving."""
    given = [*chosen, one]
    rest = np.delete(np.arange(len(pool)), given) if judged else np.arange(len(pool))
    after, other = _said(pool[given], pool[rest], strangers)
    known, known_other = (float(before[0][rest].mean()), before[1]) if before else (0.0, 0.0)
    return round(float(after.mean()) - other - known + known_other, 9)


def _said(images: Vectors, faces: Vectors, strangers: Vectors) -> tuple[Vectors, float]:
    """Confidence for each of ``faces``, and the highest for any of ``strangers``."""
    mean = mean_of(images)
    other = float(confidences(cosines(strangers, mean)).max()) if len(strangers) else 0.0
    return confidences(cosines(faces, mean)), other

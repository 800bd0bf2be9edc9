"""Face vectors of a family library, with the truth. Seeded; no files, no network.

What such a library is like, and an even sample of celebrities is not: a third of the faces are strangers seen once, one child has a
seventh of all of them, the household another third, the rest falls off as relatives, friends and colleagues do. Siblings look alike,
children change, a wedding gives fifty photos in one light, bursts repeat a face, and dark, blurred or turned faces of different people
resemble one another more than themselves.

The figures are those of ArcFace-like vectors (512-d): two strangers' good faces have cosine 0 ± .06, two of one adult .5 to .7 within a
year, a child's after ten years .3.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Vectors = NDArray[np.float32]

HOUSEHOLD = (0.14, 0.075, 0.06, 0.05, 0.045, 0.038, 0.032)  # shares of all faces; the first is a child, photographed from birth on
STRANGERS = 1 / 3  # seen once
YEARS = 25  # that the library spans

_CHILDHOOD = 15  # years in which a face changes fast
_CHILD, _ADULT = 0.07, 0.008  # yearly drift: a year apart, the face itself has cosine exp(-drift)
_EVENT = 0.20  # variance of what one occasion adds (light, make-up, camera), the face itself being 1
_PHOTO, _WORST = 0.40, 2.2  # of what one photo adds: at best, and more at quality 0
_BURST = 0.18  # share of faces that repeat the one before
_BURST_NOISE = 0.27
_JUNK = 0.35  # below this quality faces drift towards what bad photos have in common
_BLOCK = 50_000


@dataclass(frozen=True, slots=True)
class Families:
    """``vectors`` float32 [n, d] of unit length and, for each face: who it is, the occasion, quality 0 to 1, year of the photo (0 to
    ``YEARS``), the person's age, and whether it repeats another face (burst)."""

    vectors: Vectors
    person: Ints
    event: Ints
    quality: Floats
    year: Floats
    age: Floats
    burst: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.person)

    def take(self, rows: Ints) -> Families:
        """These faces, in this order."""
        return Families(*(getattr(self, column.name)[rows] for column in fields(self)))


def families(n: int, *, seed: int = 0, d: int = 512, flat: bool = False) -> Families:
    """``n`` faces of a family library, shuffled; ``flat``: without a household, the largest person has 2 % of the faces."""
    rng = np.random.default_rng(seed)
    sizes = _sizes(n, flat, rng)
    people = len(sizes)
    person = np.repeat(np.arange(people), sizes)
    many = np.flatnonzero(sizes > 1)
    known = len(many)  # sizes fall, so the people seen more than once come first
    span = np.where(sizes >= 5, rng.uniform(0, 8, people), rng.uniform(0, 0.2, people))
    span = np.where(sizes >= 20, rng.uniform(1, YEARS, people), span)
    span[: len(HOUSEHOLD)] = YEARS - 1
    begin = rng.uniform(0, 1, people) * (YEARS - span)
    child = (sizes >= 20) & (rng.uniform(0, 1, people) < 0.35)
    child[:1] = sizes[:1] >= 20
    born = begin - np.where(child, 0.0, rng.uniform(18, 60, people))

    events = np.maximum(1, sizes // np.maximum(1, np.rint(np.sqrt(sizes)).astype(np.int64)))
    first_event = np.cumsum(events) - events
    event = first_event[person] + (rng.uniform(0, 1, n) * events[person]).astype(np.int64)
    event.sort()  # by person, then by occasion: bursts stay within one
    when = np.repeat(begin, events) + np.repeat(span, events) * rng.uniform(0, 1, int(events.sum()))
    year = when[event]

    quality = np.where(rng.uniform(0, 1, n) < 0.82, rng.beta(8, 2, n), rng.beta(2, 3, n))
    quality = np.where(sizes[person] <= 2, quality * rng.uniform(0.55, 1, n), quality)  # strangers stand in the background
    burst = np.zeros(n, dtype=bool)
    burst[1:] = (rng.uniform(0, 1, max(n - 1, 0)) < _BURST / 0.8) & (event[1:] == event[:-1])
    leader = np.maximum.accumulate(np.where(burst, 0, np.arange(n)))
    quality = quality[leader]

    x = _faces_through_the_years(person, year - begin[person], known, people, span, child, d, rng)
    _photos(x, event, quality, leader, rng)
    x = x @ np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32)  # what varies most lies on no axis
    _to_unit(x)
    shuffled = rng.permutation(n)
    return Families(x, person, event, quality, year, year - born[person], burst).take(shuffled)


def _sizes(n: int, flat: bool, rng: np.random.Generator) -> Ints:
    """How many faces each person has, falling."""
    single = int(n * STRANGERS)
    big = [] if flat else [int(n * share) for share in HOUSEHOLD]
    few = int(n * 0.11)
    left = n - single - few - sum(big)
    top = 0.02 if flat else 0.1 * left / max(n, 1)
    rank, rest = 1, []
    while left > 0:
        size = min(left, max(5, int(top * n / rank**0.75 * rng.uniform(0.8, 1.0))))
        rest.append(size)
        left -= size
        rank += 1
    small: list[int] = []
    while few > 0:
        size = min(few, int(rng.choice([2, 3, 4], p=[0.6, 0.25, 0.15])))
        small.append(size)
        few -= size
    return np.array(sorted((s for s in big + rest + small if s), reverse=True) + [1] * single, dtype=np.int64)


def _directions(m: int, d: int, rng: np.random.Generator) -> Vectors:
    """Random unit vectors [m, d] that vary more along some axes than along others, as faces do."""
    spread = np.sqrt(np.exp(-np.arange(d) * (2.56 / d)) + 0.02).astype(np.float32)
    x: Vectors = rng.standard_normal((m, d), dtype=np.float32) * spread
    _to_unit(x)
    return x


def _to_unit(x: Vectors) -> None:
    for a in range(0, len(x), _BLOCK):
        x[a : a + _BLOCK] /= np.linalg.norm(x[a : a + _BLOCK], axis=1, keepdims=True)


def _faces_through_the_years(
    person: Ints, since: Floats, known: int, people: int, span: Floats, child: NDArray[np.bool_], d: int, rng: np.random.Generator
) -> Vectors:
    """Each face as it would be in a perfect photo: a person's face walks on from year to year."""
    face = _directions(known, d, rng)
    kin = rng.permutation(known)[: int(known * 0.2)]
    kin = np.union1d(kin, np.arange(min(known, 40)))  # whom a library shows often is family
    rng.shuffle(kin)
    if known > len(HOUSEHOLD):
        household = np.arange(len(HOUSEHOLD))
        kin = np.concatenate([household, np.setdiff1d(kin, household, assume_unique=True)])
    at, size = 0, len(HOUSEHOLD)
    while at + 1 < len(kin):
        family = kin[at : at + size]
        shared = np.float32(rng.uniform(0.22, 0.42))
        face[family] = np.sqrt(shared) * _directions(1, d, rng) + np.sqrt(1 - shared) * face[family]
        at, size = at + size, int(rng.integers(2, 6))
    _to_unit(face)
    x = np.empty((len(person), d), np.float32)
    in_year = np.minimum(since.astype(np.int64), YEARS)
    last = int(np.searchsorted(person, known))  # of the rest each is one face
    for j in range(YEARS + 1):
        rows = np.flatnonzero(in_year[:last] == j)
        x[rows] = face[person[rows]]
        walk = np.flatnonzero(span[:known] > j)
        keep = np.exp(-np.where(child[walk] & (j < _CHILDHOOD), _CHILD, _ADULT)).astype(np.float32)[:, None]
        face[walk] = keep * face[walk] + np.sqrt(1 - keep * keep) * _directions(len(walk), d, rng)
    for a in range(last, len(person), _BLOCK):
        x[a : a + _BLOCK] = _directions(len(x[a : a + _BLOCK]), d, rng)
    assert people - known == len(person) - last
    return x


def _photos(x: Vectors, event: Ints, quality: Floats, leader: Ints, rng: np.random.Generator) -> None:
    """Add to perfect faces, in place, what occasion, photo and bad quality add."""
    d, n = x.shape[1], len(x)
    common = _directions(1, d, rng)
    modes = np.sqrt(np.float32(0.8)) * common + np.sqrt(np.float32(0.2)) * _directions(4, d, rng)
    a = 0
    while a < n:
        b = min(n, a + _BLOCK)
        if b < n:
            b = int(np.searchsorted(event, event[b - 1], side="right"))  # an occasion is not cut in two
        part, q = x[a:b], quality[a:b]
        _, which = np.unique(event[a:b], return_inverse=True)
        part += np.sqrt(np.float32(_EVENT)) * _directions(int(which.max()) + 1, d, rng)[which]
        part += np.sqrt(_PHOTO + _WORST * (1 - q) ** 2).astype(np.float32)[:, None] * _directions(b - a, d, rng)
        _to_unit(part)
        bad = (np.clip((_JUNK - q) / _JUNK, 0, 1) * 0.75).astype(np.float32)[:, None]
        part *= 1 - bad
        part += bad * modes[rng.integers(0, len(modes), b - a)]
        _to_unit(part)
        again = np.flatnonzero(leader[a:b] != np.arange(a, b))
        part[again] = part[leader[a:b][again] - a] + np.float32(_BURST_NOISE) * _directions(len(again), d, rng)
        _to_unit(part)
        a = b

"""Identity: which faces are of sets that exist, in bands. Pure: arrays and records in and out.

    sure     within ``thresholds.match`` of a set's centroid, and by ``thresholds.margin`` nearer to it than to any other set
    likely   within ``thresholds.likely`` of the nearest set, or within the match distance of two
    no       all others

A set may have several centroids (the mean of all its faces, and one for every few years); the nearest counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from facesets.clustering import Floats, Ints, distances, nearest_sets
from facesets.identity.constraints import Constraints
from facesets.identity.table import FaceTable
from facesets.records import Centroid, Thresholds

_NONE = Constraints()


@dataclass(frozen=True, slots=True)
class Matches:
    """Rows of a table by band: those that are surely of a set, and those that likely are; each with the set's name."""

    sure: dict[int, str]
    likely: dict[int, str]


def match(
    table: FaceTable, rows: Ints, centroids: Sequence[Centroid], thresholds: Thresholds, constraints: Constraints,
    settled: dict[int, str] | None = None,
) -> Matches:  # fmt: skip
    """The bands of ``rows`` of ``table`` among the sets of ``centroids``; ``settled``: rows whose set is known already."""
    nearest = nearest_sets(table.vectors[rows], centroids)
    sure, likely = dict[int, str](), dict[int, str]()
    if not nearest.names:
        return Matches(sure, likely)
    bound = _Bound(table, constraints)
    lead = nearest.second_distance - nearest.first_distance
    free = np.array([table.face_ids[r] not in bound.faces for r in rows.tolist()], dtype=bool) if bound.faces or bound.births else None
    if bound.births:
        free = np.zeros(len(rows), dtype=bool)
    good = (nearest.first_distance <= thresholds.match) & (lead >= thresholds.margin)
    maybe = (nearest.first_distance <= thresholds.likely) & ~good
    for which, out in ((good, sure), (maybe, likely)):
        at = which if free is None else which & free
        out.update((r, nearest.names[s]) for r, s in zip(rows[at].tolist(), nearest.first[at].tolist(), strict=True))
    if free is not None and not free.all():
        _match_bound(bound, rows[~free], centroids, thresholds, sure, likely, {**(settled or {}), **sure})
    return Matches(sure, likely)


def nearest_rivals(
    table: FaceTable, rows: Ints, centroids: Sequence[Centroid], constraints: Constraints, settled: dict[int, str]
) -> Floats:
    """How far each of ``rows`` is from the nearest set whose person it may be: float64 [rows], inf where there is none.

    A set that a face is known not to be of is nobody who could claim it, however near.
    """
    near = nearest_sets(table.vectors[rows], centroids)
    out = near.first_distance.copy()
    if not near.names or constraints == _NONE:
        return out
    bound = _Bound(table, constraints)
    shut = [bound.excludes(r, near.names[s], settled) for r, s in zip(rows.tolist(), near.first.tolist(), strict=True)]
    at = np.flatnonzero(shut)
    names, d = _set_distances(table, rows[at], centroids)
    for i, row in enumerate(rows[at].tolist()):
        out[at[i]] = min((float(d[i, s]) for s, name in enumerate(names) if not bound.excludes(row, name, settled)), default=np.inf)
    return out


class _Bound:
    """The constraints, by row."""

    def __init__(self, table: FaceTable, constraints: Constraints) -> None:
        self.table, self.constraints = table, constraints
        self.births = bool(constraints.births)
        self.faces = {f for pair in (*constraints.must_link, *constraints.cannot_link) for f in pair}
        self.faces |= {f for f, _ in constraints.not_in_set} | set(constraints.confirmed) | set(constraints.names)
        row = {f: i for i, f in enumerate(table.face_ids) if f in self.faces}
        self.must, self.cannot = (
            _neighbours([(row[a], row[b]) for a, b in pairs if a in row and b in row])
            for pairs in (constraints.must_link, constraints.cannot_link)
        )

    def excludes(self, row: int, name: str, settled: dict[int, str]) -> bool:
        """Whether a row, by itself, cannot be of a set: ``settled`` tells in which sets those are that it is not one person with."""
        return self.constraints.excludes(self.table.face_ids[row], self.table.taken_at[row], name) or any(
            settled.get(o) == name for o in self.cannot.get(row, ())
        )


def _set_distances(table: FaceTable, rows: Ints, centroids: Sequence[Centroid]) -> tuple[list[str], Floats]:
    """The names of all sets, and how far each of ``rows`` is from each: float64 [rows, sets]."""
    ordered = sorted(centroids, key=lambda c: (c.name, c.vector.tolist()))
    starts = np.flatnonzero([i == 0 or c.name != ordered[i - 1].name for i, c in enumerate(ordered)])
    d = distances(table.vectors[rows], np.stack([c.vector for c in ordered]))
    return [ordered[i].name for i in starts.tolist()], np.minimum.reduceat(d, starts, axis=1)


def _neighbours(pairs: list[tuple[int, int]]) -> dict[int, set[int]]:
    out: dict[int, set[int]] = {}
    for a, b in pairs:
        out.setdefault(a, set()).add(b)
        out.setdefault(b, set()).add(a)
    return out


def _match_bound(
    bound: _Bound, rows: Ints, centroids: Sequence[Centroid], thresholds: Thresholds,
    sure: dict[int, str], likely: dict[int, str], settled: dict[int, str],
) -> None:  # fmt: skip
    """The rows that constraints speak of: those that are one person together, the nearest first."""
    table, constraints = bound.table, bound.constraints
    names, d = _set_distances(table, rows, centroids)
    place = {r: i for i, r in enumerate(rows.tolist())}
    waiting: list[tuple[float, list[int]]] = []
    seen = set[int]()
    for row in rows.tolist():
        if row not in seen:
            together = _together(row, bound.must)
            seen |= together
            here = sorted(together & place.keys())
            waiting.append((float(min(d[place[r]].min() for r in here)), here))
    for _, here in sorted(waiting):
        said = {constraints.confirmed[f] for f in (table.face_ids[r] for r in here) if constraints.confirmed.get(f) in names}
        said |= {settled[r] for r in _together(here[0], bound.must) if r in settled}
        if said:
            name = min(s for s in said if s is not None)
            sure.update(dict.fromkeys(here, name))
        elif open_ := [s for s in range(len(names)) if not any(bound.excludes(r, names[s], settled) for r in here)]:
            best = min((float(d[place[r], s]), s) for r in here for s in open_)
            others = [float(d[place[r], s]) for r in here for s in open_ if s != best[1]]
            lead = min(others, default=np.inf) - best[0]
            named = any(constraints.same_name(table.face_ids[r], names[best[1]]) for r in here)
            if (best[0] <= thresholds.match and lead >= thresholds.margin) or (named and best[0] <= thresholds.likely):
                sure.update(dict.fromkeys(here, names[best[1]]))
            elif best[0] <= thresholds.likely:
                likely.update(dict.fromkeys(here, names[best[1]]))
        settled.update({r: sure[r] for r in here if r in sure})


def _together(row: int, must: dict[int, set[int]]) -> set[int]:
    out, todo = {row}, [row]
    while todo:
        for other in must.get(todo.pop(), set()) - out:
            out.add(other)
            todo.append(other)
    return out

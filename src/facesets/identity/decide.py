"""Identity: the door for the pipeline. From faces and the sets that exist to new sets, and a reason for every face. Pure.

    match      a face that is surely of a set that exists is that set's, which is not altered (:mod:`facesets.identity.match`)
    cluster    the others, by average linkage and consolidation (``classic``: average linkage alone)
    gates      a group with faces enough is a new set of those that are surely its person's; others are likely, or not (see
               :mod:`facesets.identity.gates`)
    known      a group that would be a set but has as much in common with a set that exists as two groups that join is likely more of
               that person: no second set
    again      what no set took is matched with the new sets and clustered once more, until no further set is made

So a second decision on what was left, with the new centroids, makes no further set. In the end a face that is in no set and near one
is likely of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import (
    Ints,
    Nearest,
    average_linkage,
    backgrounds,
    centroid,
    cohort_of,
    consolidate,
    distances,
    nearest_few,
    nearest_sets,
    needed_similarity,
    vectors_of,
)
from facesets.identity.constraints import Constraints, before
from facesets.identity.gates import GateFailure, GateResult, Gates, gate
from facesets.identity.leads import NEIGHBORS, leads
from facesets.identity.match import match, nearest_rivals
from facesets.identity.ranking import rank
from facesets.identity.table import FaceTable
from facesets.identity.verdict import Counts, Decision, FragmentMerge, NeighborGroup, NewSet, Verdict
from facesets.progress import Progress, Silent
from facesets.records import Centroid, Reason, Thresholds

MEAN_LENGTH = 0.71  # of the mean of one person's unit vectors; of a set that exists only the direction is known


@dataclass(frozen=True, slots=True)
class Population:
    """All the groups among which a few faces are decided on.

    ``sample`` [m, d]: centroids (unit length) of some of them, evenly taken, or of all; ``groups``: how many there are;
    ``first_group``: from which on new ones are numbered.
    """

    sample: NDArray[np.float64]
    groups: int
    first_group: int


def set_name(number: int) -> str:
    """The folder name of a set: ``faceset_`` and the number, three digits at least."""
    return f"faceset_{number:03d}"


def decide(
    table: FaceTable,
    existing: Sequence[Centroid],
    *,
    thresholds: Thresholds,
    gates: Gates | None = None,
    constraints: Constraints | None = None,
    classic: bool = False,
    first_number: int = 1,
    among: Population | None = None,
    progress: Progress | None = None,
) -> Decision:
    """Decide for every face of ``table`` (in any order) where it belongs, given the ``existing`` sets.

    A set may have several centroids of one name. ``constraints`` are kept to whatever the vectors say; ValueError where they
    contradict each other. New sets are numbered from ``first_number``, larger first, ties by the smallest content key (photo hash,
    box) of their members. ``among``: these are a few of many faces (see :mod:`facesets.identity.growth`).
    The result depends on the faces and sets alone, not on their order.
    """
    vectors_of(table.vectors)
    work = _Work(
        table.canonical(), existing, thresholds, gates or Gates(), constraints or Constraints(), classic, among, progress or Silent()
    )
    left = work.match(np.arange(len(work.table)), existing)
    work.covered = {name: work.sets.count(name) for name in sorted({c.name for c in existing})}
    work.unmatched = len(left)
    number = first_number
    while len(left):
        made, left = work.round(left, number)
        number += made
        if not made:
            break
    return work.decision()


class _Work:
    """What is known so far of each row of the canonical table."""

    def __init__(
        self, table: FaceTable, existing: Sequence[Centroid], thresholds: Thresholds, gates: Gates, constraints: Constraints,
        classic: bool, among: Population | None, progress: Progress,
    ) -> None:  # fmt: skip
        n = len(table)
        self.table, self.existing, self.thresholds, self.gates = table, existing, thresholds, gates
        self.constraints, self.classic, self.among, self.progress = constraints, classic, among, progress
        self.reasons: list[Reason] = [Reason.NEW] * n
        self.sets: list[str | None] = [None] * n
        self.likely: dict[int, str] = {}  # rows that may be of a set's person
        self.group = np.full(n, -1, np.int64)
        self.group_size = np.zeros(n, np.int64)
        self.whole = np.zeros(n, dtype=bool)
        self.failed: list[GateFailure | None] = [None] * n
        self.moved: dict[int, FragmentMerge] = {}
        self.neighbors: dict[int, tuple[NeighborGroup, ...]] = {}
        self.new: list[NewSet] = []
        self.covered: dict[str, int] = {}
        self.unmatched = self.past_gates = self.known = 0
        self.first = self.clusters = among.first_group if among else 0
        self.top_sizes: tuple[int, ...] = ()
        self.confirmed = np.array([f in constraints.confirmed for f in table.face_ids], dtype=bool)

    def match(self, rows: Ints, centroids: Sequence[Centroid]) -> Ints:
        """Give every one of ``rows`` that is surely of a set to it; the others are returned."""
        found = match(self.table, rows, centroids, self.thresholds, self.constraints, self._settled())
        for row, name in found.sure.items():
            self.reasons[row], self.sets[row], self.failed[row] = Reason.MATCHES_SET, name, None
        self.likely.update(found.likely)
        return np.array([r for r in rows.tolist() if r not in found.sure], dtype=np.int64)

    def _settled(self) -> dict[int, str]:
        """The rows that are surely of a set by now, and which."""
        return {r: s for r, s in enumerate(self.sets) if s is not None and self.reasons[r] in _IN_GROUP}

    def round(self, rows: Ints, number: int) -> tuple[int, Ints]:
        """Cluster ``rows`` and make sets from ``number`` on: how many, and which rows are to be looked at again."""
        labels = self._cluster(rows)
        order = np.argsort(labels, kind="stable")
        groups = np.split(rows[order], np.flatnonzero(np.diff(labels[order])) + 1)
        base = self.clusters
        centroids = self.centroids()
        lead = self._look_around(rows, labels, groups, base, centroids)
        self.clusters += len(groups)
        if base == self.first:
            self.top_sizes = tuple(sorted((len(g) for g in groups), reverse=True)[:10])
        known = self._known_groups(groups, centroids)
        ready: list[tuple[Ints, GateResult, NDArray[np.float64]]] = []
        with self.progress.task("judging groups", len(groups), "groups") as task:
            for at, members in enumerate(groups):
                ready += self._judge(base + at, members, lead, known.get(at))
                task.advance()
        ready.sort(key=lambda r: (-len(r[1].members if r[1].members is not None else ()), int(r[0][0])))
        for offset, (members, gated, centre) in enumerate(ready):
            self._emit(number + offset, members, gated, centre)
        open_ = [r for r in rows.tolist() if self.sets[r] is None or self.reasons[r] in (Reason.LIKELY, Reason.NEW)]
        for row in open_ if ready else ():
            self.sets[row] = None
        return len(ready), self.match(np.array(open_, dtype=np.int64), self.centroids()) if ready else np.array(open_, np.int64)

    def _judge(
        self, number: int, members: Ints, lead: NDArray[np.float64], known: str | None
    ) -> list[tuple[Ints, GateResult, NDArray[np.float64]]]:
        """Send a group through the gates: itself, what became of it and its centroid if it is to be a new set, else nothing."""
        self.group[members], self.group_size[members] = number, len(members)
        gated = gate(self.table.take(members), self.thresholds, self.gates, lead[members], self.confirmed[members])
        self.past_gates += gated.passed
        known = known if gated.centroid is not None else None
        self.known += known is not None
        for row, reason, failed in zip(members.tolist(), gated.reasons, gated.failed, strict=True):
            of_known = known is not None and reason in _OF_GROUP
            self.reasons[row] = Reason.LIKELY if of_known else reason
            self.failed[row] = None if of_known else failed
            self.whole[row] = of_known
            self.sets[row] = known
            if of_known and known is not None:
                self.likely[row] = known
        return [(members, gated, gated.centroid)] if gated.centroid is not None and not known else []

    def _cluster(self, rows: Ints) -> Ints:
        """Labels of ``rows``; what consolidation did is remembered."""
        vectors = self.table.vectors[rows]
        faces = [self.table.face_ids[r] for r in rows.tolist()]
        place = {f: i for i, f in enumerate(faces)} if self.constraints != _NONE else {}
        must, cannot = (
            [(place[a], place[b]) for a, b in pairs if a in place and b in place]
            for pairs in (self.constraints.must_link, self.constraints.cannot_link)
        )
        number = {name: i for i, name in enumerate(sorted(set(self.constraints.names.values())))}
        names = [number.get(self.constraints.names.get(f, ""), -1) for f in faces] if number else None
        said = {"cannot_link": cannot or None, "names": names}
        labels = average_linkage(vectors, self.thresholds.cluster, must_link=must or None, **said, progress=self.progress)
        if self.classic:
            return labels
        _, photos = np.unique(np.array([self.table.sha256s[r] for r in rows.tolist()], dtype=object).astype(str), return_inverse=True)
        whole, merges = consolidate(
            vectors, labels, self.thresholds.consolidate, alike=self.thresholds.cluster, **said, photos=photos,
            boxes=self.table.boxes[rows], known=self._others(self.centroids()), of=self.among.groups if self.among else 0,
            progress=self.progress,
        )  # fmt: skip
        fragment: dict[int, FragmentMerge] = {}
        first = {int(label): row for row, label in reversed(list(enumerate(labels.tolist())))}
        label_of = {row: label for label, row in first.items()}
        for m in merges:
            kept, joined = faces[m.kept], faces[m.joined]
            fragment.setdefault(label_of[m.joined], FragmentMerge(m.joined_size, m.kept_size, kept, m.distance, m.allowed, m.centroids))
            fragment.setdefault(label_of[m.kept], FragmentMerge(m.kept_size, m.joined_size, joined, m.distance, m.allowed, m.centroids))
        for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
            if label in fragment:
                self.moved[row] = fragment[label]
        return whole

    def _look_around(
        self, rows: Ints, labels: Ints, groups: Sequence[Ints], base: int, centroids: Sequence[Centroid]
    ) -> NDArray[np.float64]:
        """Remember of each of ``rows`` the nearest groups of two faces or more; by how much it is nearer to its own than to any other.

        float64, a place for each row of the table; inf where there is nobody else.
        """
        out = np.full(len(self.table), np.inf)
        several = [g for g in range(len(groups)) if len(groups[g]) > 1]
        if not several:
            return out
        few = min(NEIGHBORS + 1, len(several))
        vectors = self.table.vectors[rows]
        centres = np.stack([centroid(self.table.vectors[groups[g]]) for g in several])
        with self.progress.task("finding near groups", len(rows), "faces") as task:
            found, away = nearest_few(vectors, centres, few, task)
        for row, neighbors, dist in zip(rows.tolist(), found[:, :NEIGHBORS].tolist(), away[:, :NEIGHBORS].tolist(), strict=True):
            self.neighbors[row] = tuple(
                NeighborGroup(base + several[g], len(groups[several[g]]), d) for g, d in zip(neighbors, dist, strict=True)
            )
        place = np.full(len(groups), -1, np.int64)
        place[several] = np.arange(len(several))
        rivals = nearest_rivals(self.table, rows, centroids, self.constraints, self._settled())
        if self.constraints != _NONE:
            # whom a face is known not to be is no rival, unless it is far from its own, too: then it looks like that person alone
            every, own = nearest_rivals(self.table, rows, centroids, _NONE, self._settled()), place[labels]
            to_own = 1 - np.einsum("ij,ij->i", vectors, centres[np.maximum(own, 0)])
            rivals = np.where((own >= 0) & (to_own > self.thresholds.match), every, rivals)
        out[rows] = leads(vectors, place[labels], found, rivals)
        if self.constraints.births:
            self._not_born(groups, out)
        return out

    def _not_born(self, groups: Sequence[Ints], lead: NDArray[np.float64]) -> None:
        """Whoever's photo was taken before the person of that name was born is not that person."""
        for members in groups:
            named = {self.constraints.names.get(self.table.face_ids[r]) for r in members.tolist()} - {None}
            for born in (self.constraints.births.get(name or "") for name in named):
                for r in members.tolist():
                    if before(self.table.taken_at[r], born) and not self.confirmed[r]:
                        lead[r] = -np.inf

    def _known_groups(self, groups: Sequence[Ints], centroids: Sequence[Centroid]) -> dict[int, str]:
        """The set that exists which each group, large enough to be one, is likely more of."""
        large = [g for g in range(len(groups)) if len(groups[g]) >= max(self.gates.min_faces, 1)]
        if self.classic or self.thresholds.consolidate <= 0 or not centroids or not large:
            return {}
        means = np.stack([self.table.vectors[groups[g]].mean(axis=0, dtype=np.float64) for g in range(len(groups))])
        stack = np.stack([c.vector for c in centroids])
        lengths = np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        cohort = cohort_of(0 if self.among else len(groups))
        every = backgrounds(np.concatenate([means / lengths, stack]).astype(np.float32), cohort, self._others(centroids))
        usual, theirs = every[: len(groups)], every[len(groups) :]
        out = {}
        for g in large:
            similarity = np.einsum("ij,j->i", stack, means[g]) * MEAN_LENGTH
            needed = needed_similarity(usual[g] + theirs, len(groups[g]), [c.n for c in centroids], self.thresholds.consolidate)
            evidence = np.round(similarity - needed, 6)
            free = [self._may_be(groups[g], c.name) for c in centroids]
            best = int(np.argmax(np.where(free, evidence, -np.inf)))
            if free[best] and evidence[best] >= 0:
                out[g] = centroids[best].name
        return out

    def _others(self, centroids: Sequence[Centroid]) -> NDArray[np.float64] | None:
        """Who tells what is usual beside the groups themselves: each set once, and the population."""
        sets, sample = one_each(centroids), self.among.sample if self.among else None
        return sets if sample is None else sample if sets is None else np.concatenate([sets, sample])

    def _may_be(self, members: Ints, name: str) -> bool:
        """Whether no constraint keeps a group from a set."""
        return self.constraints == _NONE or not any(
            self.constraints.excludes(self.table.face_ids[r], self.table.taken_at[r], name) for r in members.tolist()
        )

    def _emit(self, number: int, rows: Ints, gated: GateResult, centre: NDArray[np.float64]) -> None:
        assert gated.members is not None
        members = rows[gated.members]
        table = self.table.take(members)
        best = rank(table, distances(table.vectors, centre[None])[:, 0], self.thresholds)
        self.new.append(NewSet(number, set_name(number), tuple(table.face_ids[i] for i in best.tolist()), centre))
        for row in rows.tolist():
            if self.reasons[row] is not Reason.NEW:
                self.sets[row] = set_name(number)
            if self.reasons[row] is Reason.LIKELY:
                self.likely[row] = set_name(number)

    def centroids(self) -> list[Centroid]:
        """The sets there are by now."""
        return [*self.existing, *(Centroid(s.name, s.centroid, len(s.members)) for s in self.new)]

    def decision(self) -> Decision:
        """All verdicts, with distances to the sets that exist now."""
        for row, name in self.likely.items():
            if self.sets[row] is None and self.reasons[row] in _WITH_ITS_GROUP:
                self.reasons[row], self.sets[row] = Reason.LIKELY, name
                self.failed[row] = None  # what its group lacks says nothing of how near it is
        verdicts = _verdicts(self, self.centroids())
        return Decision(
            verdicts,
            tuple(self.new),
            Counts(
                existing_centroids=len({c.name for c in self.existing}),
                already_covered=sum(self.covered.values()),
                covered_by_set=self.covered,
                unmatched=self.unmatched,
                clusters=self.clusters - self.first,
                top_sizes=self.top_sizes,
                past_gates=self.past_gates,
                known_persons=self.known,
                emitted=len(self.new),
                likely=sum(v.reason is Reason.LIKELY for v in verdicts),
            ),
        )


def one_each(centroids: Sequence[Centroid]) -> NDArray[np.float64] | None:
    """The first centroid of each set: a person who is known by several averages is one person among others."""
    first = {c.name: c.vector for c in reversed(centroids)}
    return np.stack(list(first.values())[::-1]) if first else None


_NONE = Constraints()
_IN_GROUP = frozenset({Reason.MEMBER, Reason.NEAR_DUPLICATE, Reason.MATCHES_SET})
_OF_GROUP = frozenset({Reason.MEMBER, Reason.NEAR_DUPLICATE, Reason.LIKELY})
_WITH_ITS_GROUP = frozenset({Reason.NEW, Reason.FEW_FACES, Reason.FEW_PHOTOS, Reason.LIKELY})


def _verdicts(work: _Work, centroids: Sequence[Centroid]) -> tuple[Verdict, ...]:
    nearest = nearest_sets(work.table.vectors, centroids)
    own = _own_distances(work, centroids)
    out: list[Verdict] = []
    for row, face_id in enumerate(work.table.face_ids):
        name = work.sets[row]
        first, second = _nearest_sets(nearest, row)
        other = second if first and first[0] == name else first
        out.append(
            Verdict(
                face_id,
                work.reasons[row],
                name,
                own.get(row),
                other[0] if other else None,
                other[1] if other else None,
                ambiguous=bool(name and other and other[1] <= work.thresholds.match),
                group=int(work.group[row]),
                group_size=int(work.group_size[row]),
                whole_group=bool(work.whole[row] and work.reasons[row] is Reason.LIKELY),
                failed=work.failed[row],
                moved=work.moved.get(row),
                neighbors=work.neighbors.get(row, ()),
            )
        )
    return tuple(out)


def _nearest_sets(nearest: Nearest, row: int) -> tuple[tuple[str, float] | None, tuple[str, float] | None]:
    first, second = int(nearest.first[row]), int(nearest.second[row])
    return (
        (nearest.names[first], float(nearest.first_distance[row])) if first >= 0 else None,
        (nearest.names[second], float(nearest.second_distance[row])) if second >= 0 else None,
    )


def _own_distances(work: _Work, centroids: Sequence[Centroid]) -> dict[int, float]:
    rows_of: dict[str, list[int]] = {}
    for row, name in enumerate(work.sets):
        if name is not None:
            rows_of.setdefault(name, []).append(row)
    out: dict[int, float] = {}
    for name, rows in rows_of.items():
        stack = np.stack([c.vector for c in centroids if c.name == name])
        d = distances(work.table.vectors[rows], stack).min(axis=1)
        out.update(zip(rows, d.tolist(), strict=True))
    return out

"""Room identity: the door for the pipeline. From faces and the sets that exist to new sets, and a reason for every face. Pure.

    match      a face within ``cuts.match`` of an existing set's centroid is that set's, which is not altered (``matches_set``)
    cluster    the others, by average linkage and consolidation (``classic``: average linkage alone)
    known      a group that would be a set but whose centroid is within ``cuts.consolidate`` of an existing set is more of that
               person, seen too differently for a match face by face: no second set, its faces are that set's outliers
    gates      see :mod:`facesets.identity.gates`; what passes is a new set
    again      left-over faces within ``cuts.match`` of a new set's centroid are that set's (``matches_set``); where that broke up
               a group, what is left of it is clustered once more

So a second decision on what was left (faces whose verdict names no set), with the new centroids, makes no further set: whole groups
that are taken away change nothing among the others, since no two of those were near enough to be joined.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facesets.identity.arrays import Ints, vectors_of
from facesets.identity.consolidate import consolidate
from facesets.identity.gates import Failed, Gated, Gates, gate
from facesets.identity.linkage import average_linkage
from facesets.identity.match import Nearest, centroid, distances, nearest_few, nearest_sets
from facesets.identity.ranking import rank
from facesets.identity.table import FaceTable
from facesets.identity.verdict import Counts, Decision, Moved, NearGroup, NewSet, Verdict
from facesets.progress import Progress, Silent
from facesets.records import Centroid, Cuts, Reason

NEAR = 3  # groups that a verdict names


def set_name(number: int) -> str:
    """The folder name of a set: ``faceset_`` and the number, three digits at least."""
    return f"faceset_{number:03d}"


def decide(
    table: FaceTable,
    existing: Sequence[Centroid],
    *,
    cuts: Cuts,
    gates: Gates | None = None,
    classic: bool = False,
    first_number: int = 1,
    progress: Progress | None = None,
) -> Decision:
    """Decide for every face of ``table`` (in any order) where it belongs, given the ``existing`` sets.

    New sets are numbered from ``first_number``, larger first, ties by the smallest content key (photo hash, box) of their members.
    The result depends on the faces and sets alone, not on their order.
    """
    vectors_of(table.vectors)
    work = _Work(table.canonical(), existing, cuts, gates or Gates(), classic, progress or Silent())
    left = work.match(np.arange(len(work.table)), existing)
    work.covered = {name: work.sets.count(name) for name in sorted({c.name for c in existing})}
    work.unmatched = len(left)
    number = first_number
    while len(left):
        made, left, whole = work.round(left, number)
        number += made
        if not made or whole:
            break
    return work.decision()


class _Work:
    """What is known so far of each row of the canonical table."""

    def __init__(
        self, table: FaceTable, existing: Sequence[Centroid], cuts: Cuts, gates: Gates, classic: bool, progress: Progress
    ) -> None:
        n = len(table)
        self.table, self.existing, self.cuts, self.gates, self.classic, self.progress = table, existing, cuts, gates, classic, progress
        self.reasons: list[Reason] = [Reason.NEW] * n
        self.sets: list[str | None] = [None] * n
        self.group = np.full(n, -1, np.int64)
        self.group_size = np.zeros(n, np.int64)
        self.failed: list[Failed | None] = [None] * n
        self.moved: dict[int, Moved] = {}
        self.near: dict[int, tuple[NearGroup, ...]] = {}
        self.new: list[NewSet] = []
        self.covered: dict[str, int] = {}
        self.unmatched = self.clusters = self.past_gates = self.known = 0
        self.top_sizes: tuple[int, ...] = ()

    def match(self, rows: Ints, centroids: Sequence[Centroid]) -> Ints:
        """Give every one of ``rows`` within the match distance to its nearest set; the others are returned."""
        near = nearest_sets(self.table.vectors[rows], centroids)
        hit = near.first_distance <= self.cuts.match
        for row, best in zip(rows[hit].tolist(), near.first[hit].tolist(), strict=True):
            self.reasons[row], self.sets[row], self.failed[row] = Reason.MATCHES_SET, near.names[best], None
        return rows[~hit]

    def round(self, rows: Ints, number: int) -> tuple[int, Ints, bool]:
        """Cluster ``rows`` and make sets from ``number`` on: how many, which rows no set took, and whether groups stayed whole."""
        labels = self._cluster(rows)
        order = np.argsort(labels, kind="stable")
        groups = np.split(rows[order], np.flatnonzero(np.diff(labels[order])) + 1)
        base = self.clusters
        self._look_around(rows, groups, base)
        self.clusters += len(groups)
        if not base:
            self.top_sizes = tuple(sorted((len(g) for g in groups), reverse=True)[:10])
        ready: list[tuple[Ints, Gated, NDArray[np.float64]]] = []
        with self.progress.task("judging groups", len(groups), "groups") as task:
            for at, members in enumerate(groups):
                ready += self._judge(base + at, members)
                task.advance()
        ready.sort(key=lambda r: (-len(r[1].members if r[1].members is not None else ()), int(r[0][0])))
        for offset, (members, gated, centre) in enumerate(ready):
            self._emit(number + offset, members, gated, centre)
        loose = np.array([r for r in rows.tolist() if self.sets[r] is None], dtype=np.int64)
        left = self.match(loose, self.centroids())
        taken = np.setdiff1d(loose, left)
        return len(ready), left, not np.isin(self.group[left], self.group[taken]).any()

    def _judge(self, number: int, members: Ints) -> list[tuple[Ints, Gated, NDArray[np.float64]]]:
        """Send a group through the gates: itself, what became of it and its centroid if it is to be a new set, else nothing."""
        self.group[members], self.group_size[members] = number, len(members)
        gated = gate(self.table.take(members), self.cuts, self.gates)
        self.past_gates += gated.passed
        known = self._known(gated)
        for row, reason, failed in zip(members.tolist(), gated.reasons, gated.failed, strict=True):
            self.reasons[row] = Reason.OUTLIER if known and reason in _IN_GROUP else reason
            self.failed[row] = None if known and reason in _IN_GROUP else failed
            self.sets[row] = known
        return [(members, gated, gated.centroid)] if gated.centroid is not None and not known else []

    def _cluster(self, rows: Ints) -> Ints:
        """Labels of ``rows``; what consolidation did is remembered."""
        vectors = self.table.vectors[rows]
        labels = average_linkage(vectors, self.cuts.cluster, progress=self.progress)
        if self.classic:
            return labels
        _, photos = np.unique(np.array([self.table.sha256s[r] for r in rows.tolist()], dtype=object).astype(str), return_inverse=True)
        whole, merges = consolidate(vectors, labels, self.cuts.consolidate, photos=photos, progress=self.progress)
        fragment: dict[int, Moved] = {}
        first = {int(label): row for row, label in reversed(list(enumerate(labels.tolist())))}
        label_of = {row: label for label, row in first.items()}
        faces = self.table.face_ids
        for m in merges:
            kept, joined = faces[int(rows[m.kept])], faces[int(rows[m.joined])]
            fragment.setdefault(label_of[m.joined], Moved(m.joined_size, m.kept_size, kept, m.distance, m.witness))
            fragment.setdefault(label_of[m.kept], Moved(m.kept_size, m.joined_size, joined, m.distance, m.witness))
        for row, label in zip(rows.tolist(), labels.tolist(), strict=True):
            if label in fragment:
                self.moved[row] = fragment[label]
        return whole

    def _look_around(self, rows: Ints, groups: Sequence[Ints], base: int) -> None:
        """Remember of each of ``rows`` the nearest groups of two faces or more."""
        several = [g for g in range(len(groups)) if len(groups[g]) > 1]
        if not several:
            return
        few = min(NEAR, len(several))
        centres = np.stack([centroid(self.table.vectors[groups[g]]) for g in several])
        with self.progress.task("finding near groups", len(rows), "faces") as task:
            found, apart = nearest_few(self.table.vectors[rows], centres, few, task)
        for row, near, dist in zip(rows.tolist(), found.tolist(), apart.tolist(), strict=True):
            self.near[row] = tuple(
                NearGroup(base + several[g], len(groups[several[g]]), d) for g, d in zip(near, dist, strict=True)
            )

    def _known(self, gated: Gated) -> str | None:
        """The existing set that a would-be set is more of."""
        if self.classic or self.cuts.consolidate <= 0 or gated.centroid is None:
            return None
        near = nearest_sets(gated.centroid[None], self.centroids())
        if not near.names or near.first_distance[0] > self.cuts.consolidate:
            return None
        self.known += 1
        return near.names[int(near.first[0])]

    def _emit(self, number: int, rows: Ints, gated: Gated, centre: NDArray[np.float64]) -> None:
        assert gated.members is not None
        members = rows[gated.members]
        table = self.table.take(members)
        best = rank(table, distances(table.vectors, centre[None])[:, 0], self.cuts)
        self.new.append(NewSet(number, set_name(number), tuple(table.face_ids[i] for i in best.tolist()), centre))
        for row in rows.tolist():
            self.sets[row] = set_name(number)

    def centroids(self) -> list[Centroid]:
        """The sets there are by now."""
        return [*self.existing, *(Centroid(s.name, s.centroid, len(s.members)) for s in self.new)]

    def decision(self) -> Decision:
        """All verdicts, with distances to the sets that exist now."""
        verdicts = _verdicts(self, self.centroids())
        made = {s.name for s in self.new}
        return Decision(
            verdicts,
            tuple(self.new),
            Counts(
                existing_centroids=len({c.name for c in self.existing}),
                already_covered=sum(self.covered.values()),
                covered_by_set=self.covered,
                unmatched=self.unmatched,
                clusters=self.clusters,
                top_sizes=self.top_sizes,
                past_gates=self.past_gates,
                known_persons=self.known,
                emitted=len(self.new),
                dropped_outliers=sum(v.reason is Reason.OUTLIER and v.set in made for v in verdicts),
            ),
        )


_IN_GROUP = frozenset({Reason.MEMBER, Reason.NEAR_DUPLICATE})


def _verdicts(work: _Work, centroids: Sequence[Centroid]) -> tuple[Verdict, ...]:
    near = nearest_sets(work.table.vectors, centroids)
    own = _own_distances(work, centroids)
    out: list[Verdict] = []
    for row, face_id in enumerate(work.table.face_ids):
        name = work.sets[row]
        first, second = _sets_near(near, row)
        other = second if first and first[0] == name else first
        out.append(
            Verdict(
                face_id,
                work.reasons[row],
                name,
                own.get(row),
                other[0] if other else None,
                other[1] if other else None,
                ambiguous=bool(name and other and other[1] <= work.cuts.match),
                group=int(work.group[row]),
                group_size=int(work.group_size[row]),
                failed=work.failed[row],
                moved=work.moved.get(row),
                near=work.near.get(row, ()),
            )
        )
    return tuple(out)


def _sets_near(near: Nearest, row: int) -> tuple[tuple[str, float] | None, tuple[str, float] | None]:
    first, second = int(near.first[row]), int(near.second[row])
    return (
        (near.names[first], float(near.first_distance[row])) if first >= 0 else None,
        (near.names[second], float(near.second_distance[row])) if second >= 0 else None,
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

"""Room identity: the lists that the chains follow, from round to round. Pure: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesets.identity.arrays import Floats, Ints
from facesets.identity.join import Lists


@dataclass(slots=True)
class Near:
    """Of each cluster its list of near ones: what :mod:`facesets.identity.chain` says of them. ``likely`` [n]: which hold likely
    neighbours only, so that their bound proves nothing.
    """

    ids: NDArray[np.int32]
    dist: Floats
    seen: NDArray[np.int32]
    count: NDArray[np.int32]
    bound: Floats
    likely: NDArray[np.bool_]

    @classmethod
    def of(cls, lists: Lists, *, likely: bool) -> Near:
        """As they were found."""
        seen = np.zeros(lists.ids.shape, np.int32)
        return cls(lists.ids, lists.dist, seen, lists.count, lists.bound, np.full(len(seen), likely))

    def kept(self, left: Ints, parent: Ints, new: Ints, version: NDArray[np.int32]) -> Near:
        """The lists of the clusters ``left``, in ``new`` numbers (-1: final, so near to nobody); entries that merged are outdated."""
        ids = self.ids[left]
        now = parent[ids]
        there = (np.arange(ids.shape[1]) < self.count[left, None]) & (new[now] >= 0)
        fresh = (now == ids) & (self.seen[left] == version[now])
        first = np.argsort(~there, axis=1, kind="stable")  # those that are there
        ids, dist, seen = (
            np.take_along_axis(column, first, 1) for column in (new[now].astype(np.int32), self.dist[left], np.where(fresh, 0, -1))
        )
        count = there.sum(axis=1, dtype=np.int32)
        return Near(ids, dist, seen.astype(np.int32), count, self.bound[left], self.likely[left])

    def renew(self, rows: Ints, lists: Lists) -> None:
        """Of ``rows`` other lists take the place of theirs."""
        self.ids[rows], self.dist[rows], self.seen[rows] = lists.ids, lists.dist, 0
        self.count[rows], self.bound[rows], self.likely[rows] = lists.count, lists.bound[: len(rows)], False

    @property
    def arrays(self) -> tuple[Any, ...]:
        """In the order in which the chains take them."""
        return self.ids, self.dist, self.seen, self.count, self.bound

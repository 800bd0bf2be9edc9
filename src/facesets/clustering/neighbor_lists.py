"""The lists that the chains follow, from round to round. Pure: arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesets.clustering.arrays import Floats, Ints
from facesets.clustering.knn_join import KnnLists


@dataclass(slots=True)
class NeighborLists:
    """Of each cluster its list of near ones: what :mod:`facesets.clustering.nn_chain` says of them."""

    ids: NDArray[np.int32]
    dist: Floats
    seen: NDArray[np.int32]
    count: NDArray[np.int32]
    bound: Floats

    @classmethod
    def of(cls, lists: KnnLists) -> NeighborLists:
        """As they were found."""
        seen = np.zeros(lists.ids.shape, np.int32)
        return cls(lists.ids, lists.dist, seen, lists.count, lists.bound)

    def kept(self, left: Ints, parent: Ints, new: Ints, version: NDArray[np.int32]) -> NeighborLists:
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
        return NeighborLists(ids, dist, seen.astype(np.int32), count, self.bound[left])

    def renew(self, rows: Ints, lists: KnnLists) -> None:
        """Of ``rows`` other lists take the place of theirs."""
        self.ids[rows], self.dist[rows], self.seen[rows] = lists.ids, lists.dist, 0
        self.count[rows], self.bound[rows] = lists.count, lists.bound[: len(rows)]

    @property
    def arrays(self) -> tuple[Any, ...]:
        """In the order in which the chains take them."""
        return self.ids, self.dist, self.seen, self.count, self.bound

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
    """Lists of near clusters, one after the other: what :mod:`facesets.identity.chain` says of them. ``likely`` [n]: which hold likely
    neighbours only, so that their bound proves nothing.
    """

    ids: NDArray[np.int32]
    dist: Floats
    seen: NDArray[np.int32]
    start: Ints
    cap: Ints
    count: NDArray[np.int32]
    bound: Floats
    likely: NDArray[np.bool_]

    @classmethod
    def of(cls, lists: Lists, *, likely: bool) -> Near:
        """As they were found."""
        n, k = lists.ids.shape
        return cls(
            lists.ids.reshape(-1), lists.dist.reshape(-1), np.zeros(n * k, np.int32), np.arange(n) * k, np.full(n, k), lists.count,
            lists.bound, np.full(n, likely),
        )  # fmt: skip

    def kept(self, left: Ints, parent: Ints, new: Ints, version: NDArray[np.int32]) -> Near:
        """The lists of the clusters ``left``, in ``new`` numbers (-1: final, so near to nobody); entries that merged are outdated."""
        count = self.count[left]
        of = np.repeat(np.arange(len(left)), count)
        at = _one_after_the_other(self.start[left], count)
        now = parent[self.ids[at]]
        fresh = (now == self.ids[at]) & (self.seen[at] == version[now])
        there = new[now] >= 0
        count = np.bincount(of[there], minlength=len(left)).astype(np.int32)
        cap = self.cap[left]
        start = np.cumsum(cap) - cap
        to = _one_after_the_other(start, count)
        ids, dist, seen = (np.empty(int(cap.sum()), column.dtype) for column in (self.ids, self.dist, self.seen))
        ids[to], dist[to], seen[to] = new[now[there]], self.dist[at[there]], np.where(fresh[there], 0, -1)
        return Near(ids, dist, seen, start, cap, count, self.bound[left], self.likely[left])

    def renew(self, rows: Ints, lists: Lists) -> None:
        """Of ``rows`` other lists take the place of theirs."""
        n, k = lists.ids.shape
        self.start[rows], self.cap[rows] = len(self.ids) + np.arange(n) * k, k
        self.count[rows], self.bound[rows], self.likely[rows] = lists.count, lists.bound[:n], False
        self.ids, self.dist = np.concatenate([self.ids, lists.ids.reshape(-1)]), np.concatenate([self.dist, lists.dist.reshape(-1)])
        self.seen = np.concatenate([self.seen, np.zeros(n * k, np.int32)])

    @property
    def arrays(self) -> tuple[Any, ...]:
        """In the order in which the chains take them."""
        return self.ids, self.dist, self.seen, self.start, self.cap, self.count, self.bound


def _one_after_the_other(start: Ints, count: NDArray[np.int32]) -> Ints:
    """``start[0]``, ``start[0] + 1``, ... ``count[0]`` of them, then those of the next."""
    end = np.cumsum(count, dtype=np.int64)
    places: Ints = np.arange(end[-1] if len(end) else 0) + np.repeat(start - (end - count), count)
    return places

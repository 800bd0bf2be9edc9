"""The inner loops of the fast linkage, compiled. Pure: arrays in, arrays changed in place.

A list of near neighbours is a row of ``ids`` and ``dist`` [n, k], ``count`` of them filled: a heap with the farthest on top (of
equally far ones the highest row) while it is filled. Nothing outside the list is nearer than ``bound``; inf: nothing is outside.
"""

from __future__ import annotations

import numpy as np

from facesets.clustering.compiled import COMPILED, compiled


@compiled
def dot(a, b):  # type: ignore[no-untyped-def]
    """a . b in float64."""
    s = 0.0
    for i in range(a.shape[0]):
        s += np.float64(a[i]) * np.float64(b[i])
    return s


@compiled
def halves(x, out):  # type: ignore[no-untyped-def]
    """Half the squared norm of every row."""
    for i in range(x.shape[0]):
        out[i] = dot(x[i], x[i]) / 2


@compiled
def along(x, v, out):  # type: ignore[no-untyped-def]
    """Every row . v."""
    for i in range(x.shape[0]):
        out[i] = dot(x[i], v)


@compiled
def candidates(products, rows, columns, scale, low, reach, diagonal, out_i, out_j, out_low):  # type: ignore[no-untyped-def]
    """Of a block of products the pairs whose distance may be within the reach of either, with the least it can be; how many.

    ``rows`` and ``columns`` are the numbers of the first of each; ``diagonal``: only j > i.
    """
    m = 0
    r, width = products.shape
    for i in range(r):
        si, li, ri = scale[rows + i], low[rows + i], reach[rows + i]
        begin = i + 1 + rows - columns if diagonal else 0
        for part in range(begin, width, 128):
            # slices read from 0 on, and counting instead of looking for the largest: so it is done sixteen at a time
            row = products[i, part : part + 128]
            sj = scale[columns + part : columns + part + len(row)]
            lj = low[columns + part : columns + part + len(row)]
            rj = reach[columns + part : columns + part + len(row)]
            some = 0
            for c in range(len(row)):
                some += np.float32(row[c]) * si * sj[c] - lj[c] > li - max(ri, rj[c])
            if some:
                for c in range(len(row)):
                    v = np.float32(row[c]) * si * sj[c] - lj[c]
                    if v > li - max(ri, rj[c]):
                        out_i[m] = rows + i
                        out_j[m] = columns + part + c
                        out_low[m] = li - v
                        m += 1
    return m


@compiled
def after(d, i, e, j):  # type: ignore[no-untyped-def]
    """Whether (distance d, row i) comes after (e, j)."""
    return d > e or (d == e and i > j)


@compiled
def sink(ids, dist, c, n):  # type: ignore[no-untyped-def]
    """Let the entry at c of a heap of n sink to its place."""
    i, d = ids[c], dist[c]
    while 2 * c + 1 < n:
        below = 2 * c + 1
        if below + 1 < n and after(dist[below + 1], ids[below + 1], dist[below], ids[below]):
            below += 1
        if not after(dist[below], ids[below], d, i):
            break
        ids[c], dist[c] = ids[below], dist[below]
        c = below
    ids[c], dist[c] = i, d


@compiled
def push(ids, dist, count, bound, i, j, d):  # type: ignore[no-untyped-def]
    """Put neighbour j at distance d into the list of i; what it has no room for goes into its bound."""
    n = count[i]
    if n < ids.shape[1]:
        while n > 0 and after(d, j, dist[i, (n - 1) // 2], ids[i, (n - 1) // 2]):
            ids[i, n], dist[i, n] = ids[i, (n - 1) // 2], dist[i, (n - 1) // 2]
            n = (n - 1) // 2
        ids[i, n], dist[i, n] = j, d
        count[i] += 1
    elif after(d, j, dist[i, 0], ids[i, 0]):
        bound[i] = min(bound[i], d)
    else:
        bound[i] = min(bound[i], dist[i, 0])
        ids[i, 0], dist[i, 0] = j, d
        sink(ids[i], dist[i], 0, n)


@compiled
def order(ids, dist, count):  # type: ignore[no-untyped-def]
    """Turn every heap into a list, nearest first."""
    for i in range(ids.shape[0]):
        for n in range(count[i] - 1, 0, -1):
            ids[i, 0], ids[i, n] = ids[i, n], ids[i, 0]
            dist[i, 0], dist[i, n] = dist[i, n], dist[i, 0]
            sink(ids[i], dist[i], 0, n)


@compiled
def root(parent, i):  # type: ignore[no-untyped-def]
    """The cluster that row i is in by now."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled
def cannot_link(parent, cannot_head, cannot_pairs, name, a, b):  # type: ignore[no-untyped-def]
    """Whether clusters a and b hold a cannot-link pair, or have two different names (-1: none).

    ``cannot_head`` is where a cluster's pairs begin in ``cannot_pairs``, a linked list: the next one (-1: none), and the other row
    (-1: one that is final).
    """
    if name[a] >= 0 and name[b] >= 0 and name[a] != name[b]:
        return True
    if cannot_head[a] < 0 or cannot_head[b] < 0:
        return False
    e = cannot_head[a]
    while e >= 0:
        if cannot_pairs[e, 1] >= 0 and root(parent, cannot_pairs[e, 1]) == b:
            return True
        e = cannot_pairs[e, 0]
    return False


@compiled
def fill_lists(  # type: ignore[no-untyped-def]
    x, half, row_ids, ids, dist, count, bound, parent, cannot_head, cannot_pairs, name, out_i, out_j, out_low, m, limit
):
    """Look exactly at those of m pairs that can still change a list or a bound; the order in which they come changes nothing.

    Lists and cannot-link pairs hold ``row_ids``. There may be lists of the first rows only.
    """
    looked = 0
    for p in range(m):
        i = out_i[p]
        j = out_j[p]
        if out_low[p] <= max(bound[i], bound[j]):
            d = half[i] + half[j] - dot(x[i], x[j])
            looked += 1
            if d < limit and not cannot_link(parent, cannot_head, cannot_pairs, name, row_ids[i], row_ids[j]):
                push(ids, dist, count, bound, i, row_ids[j], d)
                if j < len(ids):
                    push(ids, dist, count, bound, j, row_ids[i], d)
    return looked


if not COMPILED:  # the loops that touch every number, as numpy does them

    def dot(a, b):  # type: ignore[no-untyped-def]
        """a . b in float64."""
        return float(np.dot(a.astype(np.float64), b))

    def halves(x, out):  # type: ignore[no-untyped-def]
        """Half the squared norm of every row; summed as ``dot`` does, so that the distance of equal rows is 0."""
        out[:] = [dot(row, row) / 2 for row in x]

    def along(x, v, out):  # type: ignore[no-untyped-def]
        """Every row . v."""
        out[:] = [dot(row, v) for row in x]

    def candidates(products, rows, columns, scale, low, reach, diagonal, out_i, out_j, out_low):  # type: ignore[no-untyped-def]
        """Of a block of products the pairs whose distance may be within the reach of either, with the least it can be; how many."""
        r, width = products.shape
        of_rows, of_columns = slice(rows, rows + r), slice(columns, columns + width)
        v = products.astype(np.float32) * scale[of_rows, None] * scale[of_columns] - low[of_columns]
        hit = v > low[of_rows, None] - np.maximum(reach[of_rows, None], reach[of_columns])
        if diagonal:
            hit &= np.arange(columns, columns + width) > np.arange(rows, rows + r)[:, None]
        i, j = np.nonzero(hit)
        out_i[: len(i)], out_j[: len(i)], out_low[: len(i)] = rows + i, columns + j, low[rows + i] - v[i, j]
        return len(i)

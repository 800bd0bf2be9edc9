"""Nearest-neighbour chains over lists of near clusters, compiled. Pure: arrays in, arrays changed in place.

Clusters are numbered in the order of their lowest rows. Of each: that ``row`` of ``x``, weight ``w``, the sum of its weighted vectors
(in ``sums`` at ``slot``; a single row has none: slot -1), mean half squared norm ``half``; so the mean distance of two is
``half_a + half_b - sum_a . sum_b / (w_a w_b)``. Its list holds near clusters; whatever is not in it is no nearer than ``bound``
(inf: it holds all below the limit). That bound survives every merge of others, because the distance to a union is a mean of the
distances to its parts; and a merge's own bound is the mean of both. So the nearest in a list is the nearest of all if it is not
beyond the bound, and final is who has none below the limit.
"""

from __future__ import annotations

import numpy as np

from facesets.clustering.compiled import compiled
from facesets.clustering.kernels import cannot_link, dot, root

OPEN, FINAL, WAITING, GONE = 0, 1, 2, 3
EQUAL = 1e-12  # distances that differ by less are equal: sums in float64 err by less


@compiled
def distance(x, row, sums, slot, w, half, a, b):  # type: ignore[no-untyped-def]
    """The mean distance of clusters a and b."""
    p, q = slot[a], slot[b]
    if p < 0 and q < 0:
        s = dot(x[row[a]], x[row[b]])
    elif p < 0:
        s = dot(x[row[a]], sums[q]) / w[b]
    elif q < 0:
        s = dot(x[row[b]], sums[p]) / w[a]
    else:
        s = dot(sums[p], sums[q]) / (w[a] * w[b])
    return half[a] + half[b] - s


@compiled
def add(x, row, sums, slot, free, w, a, b):  # type: ignore[no-untyped-def]
    """Add the vectors of b to those of a; ``free`` is a stack of unused slots, its height first."""
    p, q = slot[a], slot[b]
    if p < 0 and q >= 0:
        p, q, a, b = q, p, b, a
    if q >= 0:
        for i in range(x.shape[1]):
            sums[p, i] += sums[q, i]
        free[1 + free[0]] = q
        free[0] += 1
    elif p >= 0:
        for i in range(x.shape[1]):
            sums[p, i] += w[b] * np.float64(x[row[b], i])
    else:
        free[0] -= 1
        p = free[1 + free[0]]
        for i in range(x.shape[1]):
            sums[p, i] = w[a] * np.float64(x[row[a], i]) + w[b] * np.float64(x[row[b], i])
    return p


@compiled
def merge(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915 - one step; what it reads is passed by hand
    x,
    row,
    sums,
    slot,
    free,
    w,
    half,
    parent,
    version,
    cannot_head,
    cannot_pairs,
    name,
    ids,
    dist,
    seen,
    count,
    bound,
    stamp,
    clock,
    limit,
    u,
    v,
    at,
    both,
    both_u,
    both_v,
):
    """Make v part of u, and of their lists one."""
    k = ids.shape[1]
    o = 0
    stamp[u] = stamp[v] = clock
    for which in (u, v):
        for c in range(count[which]):
            r = root(parent, ids[which, c])
            if r in (u, v):
                continue
            if stamp[r] != clock:
                stamp[r] = clock
                at[r] = o
                both[o] = r
                both_u[o] = both_v[o] = np.inf  # inf: outside that list, so beyond its bound; nan: inside, but to be computed
                o += 1
            d = dist[which, c] if r == ids[which, c] and seen[which, c] == version[r] else np.nan
            if which == u:
                both_u[at[r]] = d
            else:
                both_v[at[r]] = d
    share = w[v] / (w[u] + w[v])
    bu, bv = min(bound[u], limit), min(bound[v], limit)
    outside = np.inf if bu >= limit and bv >= limit else (1 - share) * bu + share * bv
    slot[u] = add(x, row, sums, slot, free, w, u, v)
    half[u] = (1 - share) * half[u] + share * half[v]
    w[u] += w[v]
    parent[v] = u
    version[u] += 1
    name[u] = max(name[u], name[v])
    if cannot_head[v] >= 0:
        e = cannot_head[v]
        while cannot_pairs[e, 0] >= 0:
            e = cannot_pairs[e, 0]
        cannot_pairs[e, 0] = cannot_head[u]
        cannot_head[u] = cannot_head[v]
    m = 0
    for c in range(o):
        r = both[c]
        if (1 - share) * min(both_u[c], bu) + share * min(both_v[c], bv) >= limit and both_u[c] >= bu and both_v[c] >= bv:
            continue
        if cannot_link(parent, cannot_head, cannot_pairs, name, u, r):
            continue
        d = (1 - share) * both_u[c] + share * both_v[c]
        if not d < np.inf:
            d = distance(x, row, sums, slot, w, half, u, r)
        if d < limit:
            both[m] = r
            both_u[m] = d
            m += 1
    if m > k:
        best = np.argsort(both_u[:m])
        outside = min(outside, both_u[best[k]])
    else:
        best = np.arange(m)
    count[u] = min(m, k)
    count[v] = 0
    bound[u] = outside
    for c in range(count[u]):
        ids[u, c] = both[best[c]]
        dist[u, c] = both_u[best[c]]
        seen[u, c] = version[both[best[c]]]


@compiled
def follow_chains(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915 - one loop; its state would be passed by hand
    x, row, sums, slot, free, w, half, parent, version, cannot_head, cannot_pairs, name, ids, dist, seen, count, bound, state, limit
):
    """Follow a chain from every open cluster, merge what can be proven to merge; how many merges.

    A cluster whose nearest may be outside its list is left WAITING, and so is left OPEN whoever's nearest waits. Of equally near
    clusters the one before in the chain is taken, else the lowest.
    """
    n, k = ids.shape
    chain = np.empty(n + 1, np.int64)
    step = np.empty(n + 1)
    stamp = np.zeros(n, np.int64)
    at, both = np.empty(n, np.int64), np.empty(2 * k, np.int64)
    both_u, both_v = np.empty(2 * k), np.empty(2 * k)
    clock = 0
    merges = 0
    before = -1
    while merges > before:
        before = merges
        for start in range(n):
            length = 1
            chain[0] = start
            step[0] = np.inf
            while length > 0:
                a = chain[length - 1]
                if state[a] != OPEN and length == 1:
                    break
                clock += 1
                stamp[a] = clock
                b, d, o = -1, np.inf, 0
                for c in range(count[a]):  # the list brought up to date, and the nearest in it
                    j = ids[a, c]
                    r = root(parent, j)
                    if stamp[r] == clock:
                        continue
                    stamp[r] = clock
                    if cannot_link(parent, cannot_head, cannot_pairs, name, a, r):
                        continue
                    fresh = r == j and seen[a, c] == version[r]
                    e = dist[a, c] if fresh else distance(x, row, sums, slot, w, half, a, r)
                    ids[a, o] = r
                    dist[a, o] = e
                    seen[a, o] = version[r]
                    o += 1
                    if e < d or (e == d and r < b):
                        b, d = r, e
                count[a] = o
                if bound[a] < limit and min(d, step[length - 1]) > bound[a] + EQUAL:
                    state[a] = WAITING
                    break
                if b < 0 or step[length - 1] <= d:
                    b, d = (chain[length - 2], step[length - 1]) if length > 1 else (b, d)
                if d >= limit:
                    state[a] = FINAL
                    length -= 1
                    continue
                if length < 2 or chain[length - 2] != b:
                    if state[b] == WAITING:
                        break
                    chain[length] = b
                    step[length] = d
                    length += 1
                    continue
                length -= 2
                u, v = min(a, b), max(a, b)
                clock += 1
                merge(
                    x,
                    row,
                    sums,
                    slot,
                    free,
                    w,
                    half,
                    parent,
                    version,
                    cannot_head,
                    cannot_pairs,
                    name,
                    ids,
                    dist,
                    seen,
                    count,
                    bound,
                    stamp,
                    clock,
                    limit,
                    u,
                    v,
                    at,
                    both,
                    both_u,
                    both_v,
                )
                state[u] = OPEN
                state[v] = GONE
                merges += 1
                if length == 0:
                    chain[0] = u
                    length = 1
    return merges

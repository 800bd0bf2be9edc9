"""Other ways to find people among faces, as one would use them instead. Unit vectors in, labels out; noise is single faces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesets.clustering import average_linkage

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]

IMMICH_DISTANCE, IMMICH_FACES = 0.5, 3  # its defaults
EDGE = 0.5  # graphs join faces within this distance
ROUNDS = 20


def immich(x: Vectors) -> Labels:
    """Immich's rule, face by face: one with three near (itself among them) takes a near person or begins one; others try again last."""
    n = len(x)
    person = np.full(n, -1, np.int64)
    later: list[int] = []
    people = 0
    for again, faces in ((False, range(n)), (True, later)):
        for i in faces:
            d = 1 - x @ x[i]
            near = np.flatnonzero(d <= IMMICH_DISTANCE)
            near = near[np.argsort(d[near], kind="stable")][:IMMICH_FACES]
            core = len(near) >= IMMICH_FACES
            if len(near) <= 1:
                continue
            if not core and not again:
                later.append(i)
                continue
            known = [int(person[j]) for j in near.tolist() if person[j] >= 0]
            if not known:
                named = np.flatnonzero((person >= 0) & (d <= IMMICH_DISTANCE))
                known = [int(person[named[np.argmin(d[named])]])] if len(named) else []
            if known:
                person[i] = known[0]
            elif core:
                person[i] = people
                people += 1
    return alone(person)


def dbscan(distance: float) -> Callable[[Vectors], Labels]:
    """Density with three faces."""

    def method(x: Vectors) -> Labels:
        from sklearn.cluster import DBSCAN  # noqa: PLC0415

        return alone(DBSCAN(eps=distance, min_samples=IMMICH_FACES, metric="cosine").fit(x).labels_)

    return method


def hdbscan(x: Vectors) -> Labels:
    """HDBSCAN as scikit-learn has it."""
    from sklearn.cluster import HDBSCAN  # noqa: PLC0415

    return alone(HDBSCAN(min_cluster_size=3, copy=True).fit(x.astype(np.float64)).labels_)


def edges(x: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pairs of faces within ``EDGE``, [m, 2], and their similarities."""
    s = x @ x.T
    pairs = np.argwhere(np.triu(s >= 1 - EDGE, 1))
    return pairs, s[pairs[:, 0], pairs[:, 1]].astype(np.float64)


def chinese_whispers(x: Vectors) -> Labels:
    """Biemann 2006: each face takes the label with most weight among its neighbours, in random order."""
    n = len(x)
    pairs, weights = edges(x)
    near: list[list[tuple[int, float]]] = [[] for _ in range(n)]
    for (i, j), w in zip(pairs.tolist(), weights.tolist(), strict=True):
        near[i].append((j, w))
        near[j].append((i, w))
    label = list(range(n))
    rng = np.random.default_rng(0)
    for _ in range(ROUNDS):
        for i in rng.permutation(n).tolist():
            votes: dict[int, float] = {}
            for j, w in near[i]:
                votes[label[j]] = votes.get(label[j], 0.0) + w
            if votes:
                label[i] = max(votes, key=lambda k: (votes[k], -k))
    return np.array(label, dtype=np.int64)


def leiden(x: Vectors) -> Labels:
    """Leiden by modularity (leidenalg)."""
    import igraph  # noqa: PLC0415
    import leidenalg  # noqa: PLC0415

    pairs, weights = edges(x)
    graph: Any = igraph.Graph(n=len(x), edges=pairs.tolist())
    found = leidenalg.find_partition(graph, leidenalg.ModularityVertexPartition, weights=weights.tolist(), seed=0)
    return np.array(found.membership, dtype=np.int64)


def infomap(x: Vectors) -> Labels:
    """Infomap, two levels, without directions."""
    from infomap import Infomap  # noqa: PLC0415

    pairs, weights = edges(x)
    network = Infomap("--two-level --silent --seed 1")
    for i in range(len(x)):
        network.add_node(i)
    for (i, j), w in zip(pairs.tolist(), weights.tolist(), strict=True):
        network.add_link(i, j, w)
    network.run()
    out = np.arange(len(x)) + len(x)
    modules: dict[int, int] = network.get_modules()  # type: ignore[no-untyped-call]
    for node, module in modules.items():
        out[node] = module
    return out


def alone(labels: NDArray[np.int64]) -> Labels:
    """Everybody with a negative label in a cluster of their own."""
    return np.where(labels < 0, len(labels) + np.arange(len(labels)), labels)


RIVALS: dict[str, Callable[[Vectors], Labels]] = {
    "average linkage .55": lambda x: average_linkage(x, 0.55),
    "average linkage .65": lambda x: average_linkage(x, 0.65),
    "Immich's rule (.5, 3 faces)": immich,
    "DBSCAN .45": dbscan(0.45),
    "DBSCAN .5": dbscan(0.5),
    "HDBSCAN": hdbscan,
    "Chinese whispers": chinese_whispers,
    "Leiden": leiden,
    "Infomap": infomap,
}

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facesets.clustering.arrays import in_order_of_first
from facesets.clustering.linkage import average_linkage
from tests.clustering.people import people

Vectors = NDArray[np.float32]


def half_squared(x: Vectors) -> NDArray[np.float64]:
    from scipy.spatial.distance import pdist  # noqa: PLC0415 - as below

    d: NDArray[np.float64] = pdist(x.astype(np.float64), "sqeuclidean") / 2
    return d


def scipy_labels(x: Vectors, threshold: float) -> NDArray[np.int64]:
    from scipy.cluster.hierarchy import fcluster, linkage  # noqa: PLC0415 - a second, which the fast tier does without

    return in_order_of_first(fcluster(linkage(half_squared(x), "average"), threshold, "distance"))


def naive(x: Vectors, threshold: float, weights: NDArray[np.float64], forbidden: list[tuple[int, int]]) -> NDArray[np.int64]:
    """The definition, merge by merge: the nearest allowed pair of clusters, mean distance over weighted pairs."""
    from scipy.spatial.distance import squareform  # noqa: PLC0415 - as above

    d = squareform(half_squared(x))
    ww = np.outer(weights, weights)
    clusters = [[i] for i in range(len(x))]
    while True:
        best = (threshold, -1, -1)
        for i, a in enumerate(clusters):
            for j, b in enumerate(clusters[:i]):
                if any((p in a and q in b) or (p in b and q in a) for p, q in forbidden):
                    continue
                w = ww[np.ix_(a, b)]
                mean = float((d[np.ix_(a, b)] * w).sum() / w.sum())
                if mean < best[0]:
                    best = (mean, i, j)
        if best[1] < 0:
            labels = np.empty(len(x), np.int64)
            for k, members in enumerate(clusters):
                labels[members] = k
            return in_order_of_first(labels)
        clusters[best[2]] += clusters.pop(best[1])


@pytest.mark.parametrize("seed", range(6))
def test_the_partition_is_that_of_scipy_fastcluster_and_scikit_learn(seed: int) -> None:
    import fastcluster  # noqa: PLC0415 - as above
    from scipy.cluster.hierarchy import fcluster  # noqa: PLC0415
    from sklearn.cluster import AgglomerativeClustering  # noqa: PLC0415

    x, _ = people([40, 25, 12, 8, 5, 3, 2, *[1] * 60], seed=seed, d=24, spread=1.1)
    for threshold in (0.2, 0.45, 0.55, 0.8):
        ours = average_linkage(x, threshold).tolist()
        assert ours == scipy_labels(x, threshold).tolist()
        assert ours == in_order_of_first(fcluster(fastcluster.linkage(half_squared(x), "average"), threshold, "distance")).tolist()
        model = AgglomerativeClustering(n_clusters=None, distance_threshold=threshold, linkage="average", metric="cosine")
        assert ours == in_order_of_first(model.fit(x.astype(np.float64)).labels_).tolist()


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 60), st.integers(1, 12), st.integers(0, 10**6), st.floats(0.05, 1.2), st.floats(0.2, 3))
def test_vectors_of_any_length_are_linked_by_half_squared_distance(n: int, d: int, seed: int, threshold: float, scale: float) -> None:
    x = (np.random.default_rng(seed).standard_normal((n, d)) * scale / np.sqrt(d)).astype(np.float32)
    expected = scipy_labels(x, threshold).tolist() if n > 1 else list(range(n))
    assert average_linkage(x, threshold).tolist() == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 18), st.integers(0, 10**6), st.floats(0.3, 1.0), st.data())
def test_weights_and_forbidden_pairs_follow_the_definition(n: int, seed: int, threshold: float, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    x, _ = people([n // 2, n - n // 2], seed=seed, d=6, spread=0.9)
    weights = rng.uniform(0.2, 3, n)
    two = st.lists(st.integers(0, n - 1), min_size=2, max_size=2, unique=True).map(lambda p: (p[0], p[1]))
    forbidden = data.draw(st.lists(two, max_size=5))
    ours = average_linkage(x, threshold, weights=weights, cannot_link=forbidden)
    assert ours.tolist() == naive(x, threshold, weights, forbidden).tolist()
    assert all(ours[a] != ours[b] for a, b in forbidden)


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_all_alike_is_one_cluster_and_all_apart_is_n(n: int) -> None:
    assert len(set(average_linkage(np.tile(np.eye(1, 8, dtype=np.float32), (n, 1)), 0.5).tolist())) == min(n, 1)
    assert average_linkage(np.eye(n, 8, dtype=np.float32), 0.5).tolist() == list(range(n))


def test_clusters_at_the_threshold_stay_apart() -> None:
    right_angles = np.eye(2, dtype=np.float32)
    assert average_linkage(right_angles, 1.0).tolist() == [0, 1]
    assert average_linkage(right_angles, np.nextafter(1.0, 2)).tolist() == [0, 0]


def test_exact_copies_end_together_and_count_as_so_many() -> None:
    x, _ = people([5, 5, 5], seed=3, d=8, spread=0.4)
    labels = average_linkage(np.repeat(x, 3, axis=0), 0.55)
    assert labels.reshape(-1, 3).tolist() == [[k] * 3 for k in average_linkage(x, 0.55).tolist()]


def test_a_whole_number_weight_is_as_many_copies() -> None:
    x, _ = people([6, 6, 4], seed=5, d=8, spread=1.0)
    times = np.random.default_rng(1).integers(1, 4, len(x))
    copies = average_linkage(np.repeat(x, times, axis=0), 0.5)
    assert average_linkage(x, 0.5, weights=times).tolist() == copies[np.cumsum(times) - 1].tolist()


def test_of_equally_near_faces_the_lowest_row_is_joined_first() -> None:
    line = np.array([[0.0], [1.0], [2.0]], dtype=np.float32)
    assert average_linkage(line, 0.6).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("x", "more", "says"),
    [
        (np.zeros((2, 2, 2)), {}, r"\[n, d\]"),
        (np.array([[1.0, 0], [np.nan, 1]]), {}, "row 1"),
        (np.eye(3), {"weights": [1, 0, 1]}, "3 positive"),
        (np.eye(3), {"cannot_link": [[0, 3]]}, r"0\.\.2"),
        (np.eye(3), {"cannot_link": [[1, 1]]}, "two different"),
    ],
)
def test_nonsense_is_refused_in_words(x: Vectors, more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        average_linkage(x, 0.5, **more)

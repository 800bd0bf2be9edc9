from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import pytest
from benchmarks.families import families
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper

from facesets.clustering import blocked_matmul, linkage, sparse_linkage
from facesets.clustering.arrays import in_order_of_first
from facesets.clustering.knn_join import knn_join
from facesets.clustering.linkage import average_linkage
from facesets.progress import Silent
from tests.clustering.people import people
from tests.clustering.test_linkage import Vectors, naive, scipy_labels

NONE = np.empty((0, 2), np.int64)
# integer products saturate on x86 before VNNI, and are not taken there
PRODUCTS = [True, False] if blocked_matmul.integers_work() else [False]


def fast_labels(x: Vectors, threshold: float, weights: Any = None, cannot_link: Any = NONE, **how: Any) -> NDArray[np.int64]:
    weights = np.ones(len(x)) if weights is None else weights
    pairs = np.asarray(cannot_link, np.int64).reshape(-1, 2)
    return in_order_of_first(sparse_linkage.link(x, threshold, weights, pairs, Silent(), **how))


ways = st.fixed_dictionaries(
    {
        "list_length": st.sampled_from([1, 2, 3, 8, 32]),
        "rows": st.sampled_from([1, 7, 16]),
        "columns": st.sampled_from([16, 24, 1024]),
        "workers": st.sampled_from([1, 3]),
        "integers": st.sampled_from(PRODUCTS),
    }
)


@pytest.mark.slow
@settings(max_examples=1200, deadline=None)
@given(st.integers(0, 70), st.integers(1, 12), st.integers(0, 10**6), st.floats(0.05, 1.2), st.floats(0.2, 3), ways)
def test_short_lists_small_blocks_and_rounded_products_give_scipys_partition(
    n: int, d: int, seed: int, threshold: float, scale: float, how: dict[str, Any]
) -> None:
    x = (np.random.default_rng(seed).standard_normal((n, d)) * scale / np.sqrt(d)).astype(np.float32)
    expected = scipy_labels(x, threshold).tolist() if n > 1 else list(range(n))
    assert fast_labels(x, threshold, **how).tolist() == expected


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.integers(2, 18), st.integers(0, 10**6), st.floats(0.3, 1.0), ways, st.data())
def test_weights_and_forbidden_pairs_follow_the_definition(
    n: int, seed: int, threshold: float, how: dict[str, Any], data: st.DataObject
) -> None:
    x, _ = people([n // 2, n - n // 2], seed=seed, d=6, spread=0.9)
    weights = np.random.default_rng(seed).uniform(0.2, 3, n)
    two = st.lists(st.integers(0, n - 1), min_size=2, max_size=2, unique=True).map(lambda p: (p[0], p[1]))
    apart = data.draw(st.lists(two, max_size=5))
    assert fast_labels(x, threshold, weights, apart, **how).tolist() == naive(x, threshold, weights, apart).tolist()


def hub(seed: int) -> Vectors:
    """One tight crowd that everybody on a wide shell is nearest to."""
    rng = np.random.default_rng(seed)
    shell = rng.standard_normal((300, 24))
    shell *= 0.9 / np.linalg.norm(shell, axis=1, keepdims=True)
    return np.vstack([rng.standard_normal((60, 24)) * 0.02, shell]).astype(np.float32)


def ladder(seed: int) -> Vectors:
    """Each farther from the one before than that from its own before: the longest chain there is."""
    x = np.cumsum(1.02 ** np.arange(200))[:, None] * 0.01
    return (x + np.random.default_rng(seed).normal(0, 1e-4, (200, 2))).astype(np.float32)


def nested(seed: int) -> Vectors:
    """Clusters of clusters of clusters."""
    rng = np.random.default_rng(seed)
    x = np.zeros((1, 16))
    for size in (0.5, 0.3, 0.15, 0.05):
        x = (x[:, None] + rng.standard_normal((1, 5, 16)) * size / 4 + rng.standard_normal((len(x), 5, 16)) * size / 8).reshape(-1, 16)
    return x.astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("make", [hub, ladder, nested])
@pytest.mark.parametrize("threshold", [0.02, 0.1, 0.3, 0.45, 0.8, 3.0])
@pytest.mark.parametrize("how", [{}, {"list_length": 1}, {"list_length": 4}])
def test_shapes_that_break_shortcuts_do_not_break_this(make: Any, threshold: float, how: dict[str, Any]) -> None:
    for seed in range(3):
        x = make(seed)
        assert fast_labels(x, threshold, **how).tolist() == scipy_labels(x, threshold).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_family_library_comes_out_the_same_whatever_threads_blocks_and_bounds(seed: int) -> None:
    x = families(2500, seed=seed, d=128).vectors
    expected = scipy_labels(x, 0.55).tolist()
    assert average_linkage(x, 0.55).tolist() == expected
    for how in ({"workers": 1}, {"workers": 5, "rows": 64}, {"list_length": 2}, {"integers": False}, {"list_length": 200}):
        assert fast_labels(x, 0.55, **how).tolist() == expected


@pytest.mark.slow
def test_both_ways_meet_at_the_size_where_they_change() -> None:
    x = families(linkage.DENSE, seed=9, d=64).vectors
    assert average_linkage(x, 0.5)[:-1].tolist() == average_linkage(x[:-1], 0.5).tolist()


def test_lists_hold_the_nearest_and_the_bound_the_next() -> None:
    x = families(700, seed=4, d=32).vectors
    half = np.einsum("ij,ij->i", x, x, dtype=np.float64) / 2
    full = half[:, None] + half - x.astype(np.float64) @ x.T.astype(np.float64)
    np.fill_diagonal(full, np.inf)
    for integers in PRODUCTS:
        lists = knn_join(x, half, 0.6, 5, rows=32, columns=96, integers=integers)
        for i in range(len(x)):
            below = np.sort(full[i][full[i] < 0.6])
            assert lists.count[i] == min(5, len(below))
            assert lists.dist[i, : lists.count[i]] == pytest.approx(below[:5], abs=1e-12)
            assert lists.bound[i] == pytest.approx(below[5], abs=1e-12) if len(below) > 5 else lists.bound[i] == np.inf


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 600), st.integers(0, 10**6), st.floats(1e-3, 30))
def test_no_product_is_more_wrong_than_it_says(n: int, d: int, seed: int, scale: float) -> None:
    x = (np.random.default_rng(seed).standard_t(2, (n, d)) * scale).astype(np.float32)
    half = np.einsum("ij,ij->i", x, x, dtype=np.float64) / 2
    true = half[:, None] + half - x.astype(np.float64) @ x.T.astype(np.float64)
    for integers in PRODUCTS:
        blocks = blocked_matmul.blocks_of(x, half, 64, integers=integers)
        product = blocks.product(blocks.rows(0, n), 0).astype(np.float32)
        least = blocks.low[:, None] + blocks.low - blocks.scale[:, None] * blocks.scale * product
        assert (least <= true).all()


@pytest.mark.parametrize("n", [40, 3000])
def test_more_copies_than_lists_hold_are_one_cluster_unless_forbidden(n: int) -> None:
    x = np.tile(np.eye(2, 8, dtype=np.float32), (n, 1))
    assert fast_labels(x, 0.5).tolist() == [0, 1] * n
    labels = fast_labels(x, 0.5, cannot_link=[[0, 2]])
    assert labels[0] != labels[2]
    assert len(set(labels.tolist())) == 3


@pytest.mark.parametrize("list_length", [1, 3, 32])
def test_ties_everywhere_end_in_a_valid_average_linkage(list_length: int) -> None:
    lattice = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), axis=-1).reshape(-1, 3).astype(np.float32)
    labels = fast_labels(lattice, 1.5, list_length=list_length)
    assert labels.tolist() == fast_labels(lattice, 1.5, list_length=list_length, workers=4, rows=8, columns=40).tolist()
    groups = [lattice[labels == g].astype(np.float64) for g in range(labels.max() + 1)]
    apart = [((a[:, None] - b) ** 2).sum(-1).mean() / 2 for i, a in enumerate(groups) for b in groups[:i]]
    assert min(apart) >= 1.5 - 1e-9
    within = [((g[:, None] - g) ** 2).sum() / 2 / (len(g) * (len(g) - 1)) for g in groups if len(g) > 1]
    assert max(within) < 1.5 + 1e-9


def test_progress_is_told_in_faces_and_then_in_groups() -> None:
    class Watched(Silent):
        def __init__(self) -> None:
            super().__init__()
            self.tasks: list[list[Any]] = []

        @contextmanager
        def task(self, what: str, total: int | None = None, unit: str = "") -> Iterator[Any]:
            self.tasks.append([what, total, unit, 0])
            yield self

        def advance(self, n: int = 1) -> None:
            self.tasks[-1][3] += n

        def total(self, n: int) -> None:
            raise AssertionError(n)

    watched = Watched()
    average_linkage(families(2000, seed=1, d=32).vectors, 0.55, progress=watched)
    assert watched.tasks[0][:3] == ["comparing faces", 2000, "faces"]
    assert watched.tasks[1][0] == "comparing groups"
    assert all(done == total for _, total, _, done in watched.tasks)


def test_the_models_of_products_are_what_onnx_itself_would_write() -> None:
    def value(name: str, kind: int, shape: list[str]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b", "z"], ["y"])], "g",
        [value("a", TensorProto.UINT8, ["m", "k"]), value("b", TensorProto.INT8, ["k", "n"])],
        [value("y", TensorProto.INT32, ["m", "n"])],
        [helper.make_tensor("z", TensorProto.UINT8, [], [128])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=6)
    assert onnx.load_model_from_string(blocked_matmul.MODELS["int8"]) == model
    tables = [("a", ["m", "k"]), ("b", ["k", "n"]), ("y", ["m", "n"])]
    *inputs, output = (value(name, TensorProto.FLOAT, shape) for name, shape in tables)
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["y"])], "g", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 9)], ir_version=6)
    assert onnx.load_model_from_string(blocked_matmul.MODELS["float32"]) == model
    small = np.random.default_rng(0).integers(-9, 10, (2, 8, 8))  # which saturate nowhere
    blocks = blocked_matmul.Blocks((small[1].astype(np.int8),), 8, *[np.ones(8, np.float32)] * 2)
    got = blocks.product((small[0] + 128).astype(np.uint8), 0)
    assert (got == small[0] @ small[1]).all()


def test_integer_products_that_saturate_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Saturating:
        def run(self, _names: None, feed: dict[str, Any]) -> list[Any]:
            wide = (feed["a"].astype(np.int64) - 128) @ feed["b"].astype(np.int64)
            return [np.minimum(wide, 2**15 - 1)]

    monkeypatch.setattr(blocked_matmul, "_session", lambda _kind: Saturating())
    blocked_matmul.integers_work.cache_clear()
    assert not blocked_matmul.integers_work()
    blocked_matmul.integers_work.cache_clear()


def test_without_onnxruntime_numpy_multiplies_and_the_groups_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x = families(300, seed=5, d=32).vectors
    expected = fast_labels(x, 0.5).tolist()
    monkeypatch.setattr(blocked_matmul, "_session", lambda _kind: None)
    blocked_matmul.integers_work.cache_clear()
    assert not blocked_matmul.integers_work()
    assert fast_labels(x, 0.5).tolist() == expected
    blocked_matmul.integers_work.cache_clear()

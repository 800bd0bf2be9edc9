from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from benchmarks.families import families
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from facesets.clustering.background import FARTHEST, LEAST, backgrounds, cohort_of
from facesets.clustering.cluster import cluster
from facesets.clustering.consolidate import CENTRES, LARGE, SMALL, SMALL_RELIEF, TINY, TO_SIZE, Merge, consolidate, needed_similarity
from facesets.clustering.linkage import average_linkage
from facesets.clustering.same_photo import on_a_grid, shared_photos
from facesets.clustering.scoring import b_cubed
from facesets.thresholds import ARCFACE
from tests.clustering.people import people

MARGIN = ARCFACE.consolidate


@pytest.mark.parametrize("seed", range(3))
def test_fragments_of_a_varied_person_are_joined_and_strangers_are_not(seed: int) -> None:
    x, who = people([60, 40, 30, *[1] * 80], seed=seed, d=256, spread=1.15)
    classic, healed = cluster(x, classic=True), cluster(x)
    assert (classic == average_linkage(x, ARCFACE.cluster)).all()
    assert b_cubed(healed, who).precision == 1.0
    assert b_cubed(healed, who).recall > b_cubed(classic, who).recall + 0.02


def children(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Forty children, who have much in common, and forty grown-ups, who have nothing; eight faces each."""
    x, who = people([8] * 80, seed=seed, d=256, spread=1.0)
    common = np.eye(1, 256, 5, dtype=np.float32)
    x[who < 40] = x[who < 40] * 0.8 + common * 0.75
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), who


@pytest.mark.parametrize("seed", range(3))
def test_children_who_look_alike_are_not_joined_where_grown_ups_as_far_apart_are(seed: int) -> None:
    x, who = children(seed)
    halves = who * 2 + np.arange(len(who)) % 2
    joined, merges = consolidate(x, halves, MARGIN)
    assert b_cubed(joined, who).precision == 1.0
    assert merges
    s = np.stack([x[who == k].mean(axis=0) for k in range(80)])
    between = s @ s.T
    np.fill_diagonal(between, -1)
    assert between[:40, :40].max() > MARGIN + 2 * LEAST  # one cut for all would have joined them


def test_no_two_groups_with_evidence_enough_are_left_and_every_merge_has_its_figures() -> None:
    x, _ = people([40, 30, 20, 10, *[1] * 20], seed=3, d=256, spread=1.15)
    before = average_linkage(x, 0.5)
    after, merges = consolidate(x, before, MARGIN)
    assert merges
    assert all((m.distance <= m.allowed) == (m.centroids is None) and m.kept < m.joined for m in merges)
    assert len(set(before.tolist())) - len(merges) == len(set(after.tolist()))


def by_definition(x: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Consolidation as its formula says, all pairs looked at after every merge."""
    groups = [np.flatnonzero(labels == g) for g in range(labels.max() + 1)]
    means = [x[g].astype(np.float64).mean(axis=0) for g in groups]
    unit = np.stack([m / np.linalg.norm(m) for m in means]).astype(np.float32)
    usual = list(backgrounds(unit, cohort_of(len(groups))))
    while True:
        best = (-1e-12, -1, -1)
        for i in range(len(groups)):
            for j in range(i + 1, len(groups)):
                similarity = float(means[i] @ means[j])
                over = similarity - float(needed_similarity(np.array(usual[i] + usual[j]), len(groups[i]), len(groups[j]), MARGIN))
                if min(len(groups[i]), len(groups[j])) >= LARGE:
                    centroids = similarity / float(np.linalg.norm(means[i]) * np.linalg.norm(means[j]))
                    over = max(over, centroids - usual[i] - usual[j] - CENTRES)
                if over > best[0] + 1e-9:
                    best = (over, i, j)
        if best[1] < 0:
            out = np.empty(len(x), np.int64)
            for k, rows in enumerate(groups):
                out[rows] = k
            return out
        _, i, j = best
        a, b = len(groups[i]), len(groups[j])
        means[i] = (a * means[i] + b * means.pop(j)) / (a + b)
        usual[i] = (a * usual[i] + b * usual.pop(j)) / (a + b)
        groups[i] = np.concatenate([groups[i], groups.pop(j)])


@pytest.mark.parametrize("seed", range(6))
def test_the_result_is_that_of_the_definition(seed: int) -> None:
    x, _ = people([20, 12, 8, 5, 3, *[1] * 30], seed=seed, d=48, spread=1.2)
    labels = average_linkage(x, 0.45)
    assert b_cubed(consolidate(x, labels, MARGIN)[0], by_definition(x, labels)).f == 1.0


def test_two_ages_of_a_person_of_many_photos_join_by_their_centroids_and_of_few_do_not() -> None:
    x, _ = people([40], seed=3, d=128, spread=1.6)
    older = x + 1.1 * np.eye(1, 128, 9, dtype=np.float32)
    strangers, _ = people([1] * 40, seed=8, d=128)
    older /= np.linalg.norm(older, axis=1, keepdims=True)
    for size, joins in ((40, True), (LARGE - 1, False)):
        both = np.vstack([x[:size], older[:size], strangers]).astype(np.float32)
        labels, merges = consolidate(both, [*[0] * size, *[1] * size, *range(2, 42)], 0.3)
        assert (labels[0] == labels[size]) == joins
        assert [m.centroids is not None for m in merges] == [True] * joins


def test_a_margin_of_zero_changes_nothing() -> None:
    x, _ = people([20, 20], spread=1.2)
    labels = average_linkage(x, 0.4)
    assert consolidate(x, labels, 0)[0].tolist() == labels.tolist()


def test_differently_named_people_and_forbidden_pairs_are_never_joined() -> None:
    x, _ = people([40], seed=1, d=64, spread=0.5)
    labels = np.repeat(np.arange(4), 10)
    assert len(set(consolidate(x, labels, MARGIN)[0].tolist())) == 1
    names = np.full(40, -1)
    names[[0, 10]] = 0
    names[20] = 1
    apart = consolidate(x, labels, MARGIN, names=names)[0]
    assert apart[0] == apart[10] != apart[20]
    assert len(set(apart.tolist())) == 2
    apart = consolidate(x, labels, MARGIN, cannot_link=[[0, 39], [10, 39], [20, 30]])[0]
    assert apart.tolist() == [0] * 30 + [1] * 10


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.data())
def test_constraints_hold_through_linkage_and_consolidation(seed: int, data: st.DataObject) -> None:
    x, _ = people([8, 7, 6], seed=seed, d=16, spread=0.8)
    pair = st.lists(st.integers(0, 20), min_size=2, max_size=2, unique=True)
    cannot = data.draw(st.lists(pair, max_size=4))
    must = list(data.draw(st.lists(pair, max_size=3)))
    names = data.draw(st.lists(st.sampled_from([-1, -1, -1, 0, 1]), min_size=21, max_size=21))
    try:
        labels = cluster(x, cannot_link=cannot, must_link=must, names=names)
    except ValueError as err:
        assert "must_link" in str(err)  # noqa: PT017 - the constraints contradict each other
        return
    assert all(labels[a] != labels[b] for a, b in cannot)
    assert all(labels[a] == labels[b] for a, b in must)
    for g in set(labels.tolist()):
        assert len({n for n, k in zip(names, labels.tolist(), strict=True) if k == g and n >= 0}) <= 1


def test_more_faces_are_more_evidence_and_what_is_hardly_a_set_needs_less() -> None:
    sizes = [SMALL + 1, 10, 40, TO_SIZE, 4000]
    needs = needed_similarity(np.zeros(5), sizes, 1, MARGIN).tolist()
    assert needs == sorted(needs, reverse=True)
    assert needs[3] == needs[4]
    few = needed_similarity(np.zeros(3), [TINY // 2, TINY, SMALL], [TINY // 2, 1, 1], MARGIN).tolist()
    assert few[0] < few[2] < few[1] < needs[0]


def test_groups_that_stand_side_by_side_need_more_evidence_the_more_photos_there_are() -> None:
    n = LARGE - 1
    x, _ = people([n], seed=4, d=64, spread=0.5)
    side = x + 1.15 * np.eye(1, 64, 7, dtype=np.float32)
    both = np.vstack([x, side / np.linalg.norm(side, axis=1, keepdims=True)]).astype(np.float32)
    labels, strangers = np.repeat([0, 1], n), people([1] * 30, seed=9, d=64)[0]
    similarity = float((both[:n] @ both[n:].T).mean())
    margin = similarity - 2 * LEAST + SMALL_RELIEF - 0.04  # they would join, with .04 to spare
    for shared, joins in ((0, True), (1, True), (2, False), (9, False)):
        photos = np.arange(2 * n + 30)
        photos[n : n + shared] = photos[:shared]
        found = consolidate(np.vstack([both, strangers]), [*labels, *range(2, 32)], margin, photos=photos, alike=0.01)[0]
        assert (found[0] == found[n]) == joins


def test_a_photo_that_shows_somebody_twice_says_nothing() -> None:
    x, _ = people([2, 2, 2], seed=2, d=64, spread=0.3)
    labels, photos = [0, 1, 2, 2, 3, 3], [0, 0, 1, 1, 0, 1]
    assert shared_photos(x, np.array(labels), np.array(photos), alike=0.0) == {(0, 1): 1, (0, 3): 1, (1, 3): 1, (2, 3): 1}
    assert shared_photos(x, np.array(labels), np.array(photos), alike=0.5) == {}
    apart = x[[0, 2, 4]]
    assert shared_photos(apart, np.array([0, 1, 2]), np.zeros(3, np.int64), alike=0.5) == {(0, 1): 1, (0, 2): 1, (1, 2): 1}


def test_boxes_in_rows_and_columns_are_a_grid_and_a_group_photo_is_none() -> None:
    cells = np.array([[x, y, x + 100, y + 120] for x in (0, 400, 800) for y in (0, 500)], dtype=np.float64)
    jitter = np.random.default_rng(0).uniform(-5, 5, (6, 1))
    assert on_a_grid(cells + jitter)
    assert not on_a_grid(cells[:3])
    row = np.array([[x, y, x + 100, y + 120] for x, y in ((0, 10), (160, 40), (300, 0), (450, 60), (620, 25))], dtype=np.float64)
    assert not on_a_grid(row)


def test_a_background_is_what_a_group_shares_with_those_it_is_not() -> None:
    x, _ = children(0)
    usual = backgrounds(x, np.arange(len(x)))
    assert usual[:320].mean() > usual[320:].mean() + 0.2
    assert backgrounds(x[:5], np.arange(5)).tolist() == [LEAST] * 5
    few = backgrounds(x[:5], np.arange(5), x[5:].astype(np.float64))
    assert few.mean() == pytest.approx(usual[:5].mean(), abs=0.02)
    assert len(x) > FARTHEST


@pytest.mark.parametrize("seed", range(2))
def test_many_groups_and_few_are_compared_in_two_ways_with_one_result(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = families(1800, seed=seed, d=384).vectors
    labels = average_linkage(x, 0.45)
    few = consolidate(x, labels, MARGIN)
    assert few[1]
    monkeypatch.setattr(sys.modules[consolidate.__module__], "_FEW", 0)
    many = consolidate(x, labels, MARGIN)
    assert many[0].tolist() == few[0].tolist()
    assert many[1] == few[1]


def test_copies_without_number_are_no_trouble() -> None:
    x = np.vstack([np.tile(np.eye(1, 16, dtype=np.float32), (3000, 1)), np.eye(16, dtype=np.float32)[[3, 4]]])
    labels, merges = consolidate(x, [0] * 3000 + [1, 2], 0.2)
    assert labels.tolist() == [0] * 3000 + [1, 2]
    assert merges == ()
    joined, (merge,) = consolidate(x[:3000], [0] * 2000 + [1] * 1000, 0.2)
    assert set(joined.tolist()) == {0}
    assert merge == Merge(0, 2000, 2000, 1000, 0.0, round(1 - 0.2 - 2 * LEAST + 0.03 * np.log(TO_SIZE / 5), 6))


def test_the_distances_are_those_of_the_pack_unless_they_are_given() -> None:
    class Pack:
        thresholds = replace(ARCFACE, cluster=0.05, consolidate=0.0)

    x, _ = people([12, 12], seed=2, d=64, spread=0.9)
    assert len(set(cluster(x, pack=Pack()).tolist())) > len(set(cluster(x).tolist()))
    assert cluster(x, pack=Pack(), thresholds=ARCFACE).tolist() == cluster(x).tolist()

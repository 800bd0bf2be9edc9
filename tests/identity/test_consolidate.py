from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from facesets.identity import ARCFACE, average_linkage, cluster, consolidate, groups
from facesets.identity.consolidate import LEAST, REACH, reach_for
from facesets.identity.match import centroid, distances
from facesets.identity.scoring import b_cubed
from facesets.testing.families import families
from tests.identity.people import people


@pytest.mark.parametrize("seed", range(5))
def test_fragments_of_a_varied_person_are_joined_and_strangers_are_not(seed: int) -> None:
    x, who = people([60, 40, 30, *[1] * 40], seed=seed, d=256, spread=1.15)
    classic, healed = cluster(x, classic=True), cluster(x)
    assert (classic == average_linkage(x, ARCFACE.cluster)).all()
    assert b_cubed(healed, who).precision == 1.0
    assert b_cubed(healed, who).recall > b_cubed(classic, who).recall + 0.02


def test_no_two_groups_are_left_within_the_cut_and_every_merge_has_its_evidence() -> None:
    x, _ = people([40, 30, 20, 10, *[1] * 20], seed=3, d=256, spread=1.15)
    before = average_linkage(x, 0.5)
    after, merges = consolidate(x, before, 0.55)
    assert merges
    assert all((m.distance <= 0.55 or m.witness) and m.kept < m.joined and max(m.kept_size, m.joined_size) > 1 for m in merges)
    assert len(set(before.tolist())) - len(merges) == len(set(after.tolist()))
    sizes = np.bincount(after)
    centres = np.stack([centroid(x[after == g]) for g in range(len(sizes))])
    d = distances(centres, centres) + np.eye(len(sizes))
    assert (d[np.ix_(sizes > 1, sizes > 0)] > 0.55).all()


def test_a_cut_of_zero_changes_nothing() -> None:
    x, _ = people([20, 20], spread=1.2)
    labels = average_linkage(x, 0.4)
    assert consolidate(x, labels, 0)[0].tolist() == labels.tolist()


def test_differently_named_people_and_forbidden_pairs_are_never_joined() -> None:
    x, _ = people([40], seed=1, d=64, spread=0.5)
    labels = np.repeat(np.arange(4), 10)
    assert len(set(consolidate(x, labels, 0.55)[0].tolist())) == 1
    names = np.full(40, -1)
    names[[0, 10]] = 0
    names[20] = 1
    apart = consolidate(x, labels, 0.55, names=names)[0]
    assert apart[0] == apart[10] != apart[20]
    assert len(set(apart.tolist())) == 2
    apart = consolidate(x, labels, 0.55, cannot_link=[[0, 39], [10, 39], [20, 30]])[0]
    assert apart.tolist() == [0] * 30 + [1] * 10


def test_a_face_on_the_edge_joins_by_a_witness_and_two_big_groups_never_do() -> None:
    angles = np.radians([0] * 10 + [41, 66])
    x = np.zeros((12, 16), np.float32)
    x[:, 0], x[:, 1] = np.cos(angles), np.sin(angles)
    labels = [0] * 11 + [1]
    joined, (merge,) = consolidate(x, labels, 0.5)
    assert set(joined.tolist()) == {0}
    assert merge.witness == pytest.approx(1 - np.cos(np.radians(25)), abs=1e-5)
    assert merge.distance > 0.5
    assert consolidate(np.delete(x, 10, axis=0), np.delete(labels, 10), 0.5)[1] == ()
    crowd = np.vstack([x, x[11:], x[11:]])
    assert consolidate(crowd, [*labels, 1, 1], 0.5)[1] == ()


def test_groups_that_stand_together_in_two_photos_are_two_people_in_one_a_mirror() -> None:
    x, _ = people([40], seed=1, d=64, spread=0.5)
    labels = np.repeat([0, 1], 20)
    photos = np.arange(40)
    photos[20] = 0
    assert len(set(consolidate(x, labels, 0.55, photos=photos)[0].tolist())) == 1
    photos[21] = 1
    assert len(set(consolidate(x, labels, 0.55, photos=photos)[0].tolist())) == 2


def on_a_circle(*degrees: float) -> NDArray[np.float32]:
    """Unit vectors at these angles, in a plane of a wider space."""
    x = np.zeros((len(degrees), 16), np.float32)
    x[:, 0], x[:, 1] = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return x


def test_two_single_faces_join_beyond_the_cut_if_nobody_else_is_near_and_they_are_of_two_photos() -> None:
    two = on_a_circle(0, 64)  # 0.562 apart
    labels, (merge,) = consolidate(two, [0, 1], 0.55)
    assert labels.tolist() == [0, 0]
    assert merge.distance == merge.witness == pytest.approx(1 - np.cos(np.radians(64)), abs=1e-5)
    assert consolidate(two, [0, 1], 0.55, reach=0)[1] == ()
    assert consolidate(two, [0, 1], 0.55, photos=[7, 7])[1] == ()
    assert consolidate(on_a_circle(0, 80), [0, 1], 0.55)[1] == ()
    third = np.vstack([two, two[1] * np.cos(1.14) + np.eye(16, dtype=np.float32)[5] * np.sin(1.14)])  # 0.582 from the second
    assert consolidate(third, [0, 1, 2], 0.55)[1] == ()


def test_weak_evidence_reaches_less_far_the_more_there_is_to_compare() -> None:
    sizes = [(30, 5), (300, 20), (3000, 300), (30_000, 3000), (1_000_000, 100_000)]
    reaches = [reach_for(*size) for size in sizes]
    assert reaches == sorted(reaches, reverse=True)
    assert (reaches[0], reaches[-1]) == (REACH, LEAST)
    assert 1.08 < reach_for(2627, 281) < 1.11


@pytest.mark.parametrize("seed", range(2))
def test_many_groups_and_few_are_compared_in_two_ways_with_one_result(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = families(2500, seed=seed, d=64).vectors
    labels = average_linkage(x, 0.45)
    few = consolidate(x, labels, 0.5)
    assert few[1]
    monkeypatch.setattr(groups, "_FEW", 0)
    many = consolidate(x, labels, 0.5)
    assert many[0].tolist() == few[0].tolist()
    assert many[1] == few[1]


def test_a_witness_is_the_nearest_face_of_all_whatever_was_joined_in_between() -> None:
    x = families(1200, seed=5, d=48).vectors
    labels = average_linkage(x, 0.4)
    members = {int(g): [int(r) for r in np.flatnonzero(labels == g)] for g in np.unique(labels)}
    of = {rows[0]: rows for rows in members.values()}
    heard = 0
    for merge in consolidate(x, labels, 0.45)[1]:
        one, two = of[merge.kept], of.pop(merge.joined)
        assert (len(one), len(two)) == (merge.kept_size, merge.joined_size)
        if merge.witness is not None:
            assert merge.witness == pytest.approx(distances(x[one], x[two]).min(), abs=2e-6)
            heard += max(len(one), len(two)) > 3
        one += two
    assert heard > 3


def test_copies_without_number_are_no_trouble() -> None:
    x = np.vstack([np.tile(on_a_circle(0), (3000, 1)), on_a_circle(66, 67, 170)])
    labels, merges = consolidate(x, [0] * 3000 + [1, 1, 2], 0.5)
    assert labels.tolist() == [0] * 3000 + [1, 1, 2]
    assert merges == ()


def test_the_cuts_are_those_of_the_pack_unless_they_are_given() -> None:
    class Pack:
        cuts = replace(ARCFACE, cluster=0.05, consolidate=0.0)

    x, _ = people([12, 12], seed=2, d=64, spread=0.9)
    assert len(set(cluster(x, pack=Pack()).tolist())) > len(set(cluster(x).tolist()))
    assert cluster(x, pack=Pack(), cuts=ARCFACE).tolist() == cluster(x).tolist()

from __future__ import annotations

import numpy as np
import pytest

from facesets.identity import ARCFACE, average_linkage, cluster, consolidate
from facesets.identity.match import centroid, distances
from facesets.identity.scoring import b_cubed
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

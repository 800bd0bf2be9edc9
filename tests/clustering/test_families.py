from __future__ import annotations

import numpy as np
import pytest
from benchmarks.families import HOUSEHOLD, STRANGERS, families


def test_a_family_library_has_a_child_who_is_a_seventh_a_household_and_a_third_strangers() -> None:
    f = families(6000, seed=3, d=64)
    sizes = np.sort(np.bincount(f.person))[::-1]
    assert sizes[0] / len(f) == pytest.approx(0.14, abs=0.002)
    assert (sizes[: len(HOUSEHOLD)] > 0.03 * len(f)).all()
    assert (sizes == 1).sum() / len(f) == pytest.approx(STRANGERS, abs=0.01)
    child = f.person == np.argmax(np.bincount(f.person))
    assert f.age[child].min() < 2
    assert f.age[child].max() > 20
    assert f.burst.mean() > 0.08
    assert (f.quality < 0.35).mean() > 0.05


def test_a_flat_library_has_nobody_over_two_percent() -> None:
    assert np.bincount(families(5000, seed=1, d=32, flat=True).person).max() <= 100


def test_vectors_are_of_unit_length_and_the_same_seed_gives_the_same_faces() -> None:
    a, b, c = families(700, seed=5, d=48), families(700, seed=5, d=48), families(700, seed=6, d=48)
    assert np.linalg.norm(a.vectors, axis=1) == pytest.approx(np.ones(700), abs=1e-6)
    assert (a.vectors == b.vectors).all()
    assert (a.person == b.person).all()
    assert not (a.vectors == c.vectors).all()


def test_people_are_nearer_to_themselves_than_to_others_and_children_drift() -> None:
    f = families(8000, seed=2)
    good = f.quality > 0.6
    rows = np.flatnonzero(good & (f.person == 0) & ~f.burst)
    s = f.vectors[rows] @ f.vectors[rows].T
    apart = np.abs(f.year[rows][:, None] - f.year[rows])
    stranger = f.vectors[rows] @ f.vectors[good & (f.person > 100)].T
    assert s[(apart > 0) & (apart < 1)].mean() > 0.5
    assert s[apart > 12].mean() < 0.4
    assert abs(stranger.mean()) < 0.05
    assert stranger.std() < 0.08


@pytest.mark.parametrize("n", [0, 1, 7])
def test_few_faces_are_no_trouble(n: int) -> None:
    assert len(families(n, d=16)) == n

"""Eras are found where looks moved, and nowhere else; dates that say nothing are none."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from benchmarks.families import families
from numpy.typing import NDArray

from facesets.identity import find_eras, known_date, spans_of, year_of
from facesets.thresholds import ARCFACE


def day(year: float) -> str:
    return f"{2000 + int(year)}-{1 + int(year % 1 * 12):02d}-{1 + int(year * 365 % 27):02d}T12:00:00"


def spans(vectors: NDArray[np.float32], taken_at: list[str | None]) -> list[tuple[int, int]]:
    return [(era.first, era.last) for era in find_eras(vectors, taken_at, alike=ARCFACE.cluster)]


@pytest.fixture(scope="module")
def grown() -> dict[int, tuple[bool, list[tuple[int, int]], int]]:
    """Of everybody seen often in a made library: whether they were a child, their eras, and how many years they are seen."""
    made = families(5000, seed=3)
    found = {}
    for who in range(12):
        rows = np.flatnonzero(made.person == who)
        year = made.year[rows]
        if len(rows) >= 60:
            found[who] = (made.age[rows].min() < 5, spans(made.vectors[rows], [day(y) for y in year.tolist()]), int(np.ptp(year)))
    return found


def test_a_child_that_grows_up_has_several_eras_and_a_grown_up_one(grown: dict[int, tuple[bool, list[tuple[int, int]], int]]) -> None:
    children = [(eras, years) for child, eras, years in grown.values() if child and years > 12]
    assert children
    assert all(len(eras) > 1 for eras, _ in children)
    others = [eras for child, eras, _ in grown.values() if not child]
    assert len(others) > 3
    assert sum(len(eras) > 1 for eras in others) == 0


def test_eras_do_not_overlap_and_depend_on_no_order() -> None:
    made = families(2000, seed=4)
    rows = np.flatnonzero(made.person == 0)
    taken = [day(y) for y in made.year[rows].tolist()]
    found = spans(made.vectors[rows], list(taken))
    assert all(a[1] < b[0] for a, b in pairwise(found))
    mixed = np.random.default_rng(0).permutation(len(rows))
    assert spans(made.vectors[rows][mixed], [taken[i] for i in mixed.tolist()]) == found


def test_child_and_grown_up_under_one_name_are_parted_between_them(shared: Path) -> None:
    with np.load(shared / "vectors/ages.npz") as file:
        x, who, age = file["embeddings"].astype(np.float32), file["identity"], file["age"]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    rng, right, wrong, still, people = np.random.default_rng(1), 0, 0, 0, 0
    for one in sorted(set(who.tolist()) - {""}):
        young, old = (np.flatnonzero((who == one) & (age == look)) for look in ("young", "old"))
        if min(len(young), len(old)) < 3:
            continue
        people += 1
        years = [*rng.integers(1990, 2000, len(young)).tolist(), *rng.integers(2012, 2022, len(old)).tolist()]
        found = spans(x[np.concatenate([young, old])], [f"{y}-{1 + n % 12:02d}-03" for n, y in enumerate(years)])
        right += len(found) == 2 and found[0][1] < 2000 and found[1][0] >= 2012
        wrong += len(found) > 2
        still += len(spans(x[old], [f"{y}-{1 + n % 12:02d}-03" for n, y in enumerate(rng.integers(1990, 2022, len(old)))])) == 1
    assert people == 57
    assert right >= 0.6 * people
    assert wrong <= 2
    assert still >= 0.95 * people


@pytest.mark.parametrize("taken_at", [None, "", "0000-00-00", "1970-01-01T00:00:00", "1800-01-01", "2031-01-01", "2015-03-03T08:00:00"])
def test_a_date_that_says_nothing_is_unknown(taken_at: str | None) -> None:
    assert known_date(taken_at, today="2026-06-01", scan_days={"2015-03-03"}) is None


def test_a_date_is_known_up_to_today_and_without_dates_there_is_no_era() -> None:
    assert known_date("2026-06-01T23:00:00", today="2026-06-01") == "2026-06-01T23:00:00"
    assert year_of("1970-01-02") == 1970
    assert find_eras(np.eye(3, dtype=np.float32), [None, None, "1970-01-01"], alike=0.5) == []


def test_people_are_known_by_all_faces_and_by_dense_years_alone() -> None:
    x = np.eye(12, 16, dtype=np.float32)
    found = spans_of(x, np.linspace(0.1, 1, 12), ["2001-01-01"] * 6 + ["2010-01-01"] * 4 + [None] * 2, years=5, dense=5)
    assert [(span.first, span.last, span.n) for span in found] == [(0, 9999, 12), (2000, 2004, 6)]
    assert found[0].vector[11] > found[0].vector[0], "by quality"
    assert np.flatnonzero(found[1].vector).tolist() == [0, 1, 2, 3, 4, 5]

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from facesets.clustering import distance_to_any
from facesets.clustering.centroids import distances
from facesets.identity import Before, Constraints, Decision, FaceTable, Gates, Verdict, decide, decide_growth, is_growth
from facesets.progress import Silent
from facesets.records import Centroid, Reason
from facesets.thresholds import ARCFACE
from tests.clustering.people import people, table_of


def left_by(decision: Decision) -> dict[str, Before]:
    """What a decision said of the faces that are in no set."""
    open_ = [v for v in decision.verdicts if v.set is None or v.reason is Reason.LIKELY]
    return {v.face_id: Before(v.reason, v.group, v.group_size) for v in open_}


def rows_of(table: FaceTable, faces: set[str]) -> FaceTable:
    return table.take(np.array([i for i, f in enumerate(table.face_ids) if f in faces], dtype=np.int64))


def grow(table: FaceTable, existing: list[Centroid], before: dict[str, Before], *, first_number: int = 50) -> dict[str, Verdict]:
    decision = decide_growth(
        table, existing, before,
        thresholds=ARCFACE, gates=Gates(), constraints=Constraints(), first_number=first_number, progress=Silent(),
    )  # fmt: skip
    assert decision.counts.unchanged == len(table) - len(decision.verdicts)
    return {v.face_id: v for v in decision.verdicts}


def library(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Six people of some faces, three whose faces are too few for a set, two hundred strangers."""
    x, who = people([12, 11, 10, 9, 8, 7, 4, 4, 3, *[2] * 20, *[1] * 200], seed=seed, d=128, spread=0.8)
    order = np.random.default_rng(seed).permutation(len(x))
    return x[order], who[order]


@pytest.mark.parametrize("seed", range(5))
def test_new_faces_find_what_they_find_where_all_are_decided_on(seed: int) -> None:
    x, _ = library(seed)
    table, new = table_of(x), len(x) - 15
    first = decide(table.take(np.arange(new)), [], thresholds=ARCFACE)
    existing = [Centroid(s.name, s.centroid, len(s.members)) for s in first.sets]
    before = left_by(first)
    open_ = rows_of(table, set(before) | set(table.face_ids[new:]))
    grown = grow(open_, existing, before)
    whole = decide(open_, existing, thresholds=ARCFACE, first_number=50)
    for verdict in whole.verdicts:
        mine = grown.get(verdict.face_id)
        said = (mine.reason, mine.set) if mine else (before[verdict.face_id].reason, None)
        assert said == (verdict.reason, verdict.set), verdict
    assert set(table.face_ids[new:]) <= set(grown)
    assert len(grown) < len(open_) / 2, "most are left alone"


def test_a_new_face_completes_a_group_that_was_too_small_for_a_set() -> None:
    x, who = people([5, *[1] * 40], d=128, spread=0.5)
    table = table_of(x)
    first = decide(table.take(np.arange(1, len(x))), [], thresholds=ARCFACE)
    assert not first.sets
    grown = grow(table, [], left_by(first))
    assert {f for f, v in grown.items() if v.reason is Reason.MEMBER} == {table.face_ids[i] for i in np.flatnonzero(who == 0)}
    assert {v.set for v in grown.values() if v.reason is Reason.MEMBER} == {"faceset_050"}


def test_what_a_new_set_is_near_to_is_drawn_along_though_no_new_face_is_near() -> None:
    strangers, _ = people([1] * 30, d=64)
    x = np.zeros((6 + len(strangers), 128), np.float32)
    x[:6, 0] = (0.7, 1, 1, 1, 1, 0.6)
    x[[1, 2, 3, 4], [2, 3, 4, 5]] = 0.4
    x[[0, 5], 1] = (0.714, -0.8)  # a new face to one side of its person, a face left over to the other
    x[6:, 64:] = strangers
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert x[0] @ x[5] < 0
    table = table_of(x)
    before = {f: Before(Reason.FEW_FACES, i, 1) for i, f in enumerate(table.face_ids) if i}
    before |= {table.face_ids[i]: Before(Reason.FEW_FACES, 1, 4) for i in range(1, 5)}
    grown = grow(table, [], before)
    assert set(grown) == set(table.face_ids[:6])
    assert {v.set for v in grown.values()} == {"faceset_050"}


def test_a_group_that_lost_a_face_is_decided_on_again_and_others_are_not() -> None:
    x, _ = people([4, 4, *[1] * 30], d=128, spread=0.5)
    table = table_of(x)
    before = left_by(decide(table, [], thresholds=ARCFACE))
    there = table.take(np.arange(1, len(x)))
    grown = grow(there, [], before)
    assert set(grown) == set(table.face_ids[1:4])
    assert {v.group_size for v in grown.values()} == {3}
    assert min(v.group for v in grown.values()) > max(one.group for one in before.values())


def test_likely_faces_and_those_that_a_set_came_near_to_are_always_decided_on_again() -> None:
    x, _ = people([1] * 30, d=128)
    table = table_of(x)
    before = {f: Before(Reason.FEW_FACES, i, 1) for i, f in enumerate(table.face_ids)}
    before[table.face_ids[3]] = Before(Reason.LIKELY, 3, 1)
    grown = grow(table, [Centroid("faceset_001", x[7].astype(np.float64), 5)], before)
    assert {f: v.reason for f, v in grown.items()} == {table.face_ids[3]: Reason.FEW_FACES, table.face_ids[7]: Reason.RECOGNISED}


def test_all_are_decided_on_where_there_are_few_or_many_of_them_came() -> None:
    assert not is_growth(4000, 4000)
    assert is_growth(11_000, 10_000)
    assert not is_growth(11_001, 10_000)


@pytest.mark.parametrize("length", [1.0, 0.4])
def test_nothing_is_said_to_be_further_away_than_it_is(length: float) -> None:
    x, _ = people([3] * 40, d=64, spread=0.9)
    x *= np.float32(length)
    others = x[::7].astype(np.float64)
    exact, said = distances(x, others).min(axis=1), distance_to_any(x, others)
    assert (said <= exact).all()
    assert (said >= exact - 1e-3).all()
    assert np.isinf(distance_to_any(x, others[:0])).all()

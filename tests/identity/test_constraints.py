from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facesets.clustering import centroid
from facesets.identity import Constraints, Decision, FaceTable, Verdict, decide
from facesets.identity.constraints import before
from facesets.records import Centroid, Reason
from facesets.thresholds import ARCFACE
from tests.clustering.people import people, table_of

IN_SET = (Reason.MEMBER, Reason.NEAR_DUPLICATE, Reason.MATCHES_SET)


def by_face(decision: Decision) -> dict[str, Verdict]:
    return {v.face_id: v for v in decision.verdicts}


def library() -> tuple[FaceTable, list[Centroid]]:
    """Three people: one has a set, two have none; and strangers."""
    x, who = people([16, 12, 10, *[1] * 20], seed=2, d=64, spread=0.5)
    return table_of(x), [Centroid("faceset_001", centroid(x[who == 0]), 16)]


def test_a_rejected_face_never_matches_that_person_again_and_is_offered_no_more() -> None:
    table, sets = library()
    assert by_face(decide(table, sets, thresholds=ARCFACE, first_number=2))["f00003"].set == "faceset_001"
    said = Constraints(not_in_set=frozenset({("f00003", "faceset_001")}))
    verdict = by_face(decide(table, sets, thresholds=ARCFACE, first_number=2, constraints=said))["f00003"]
    assert verdict.set is None


def test_two_faces_that_are_not_one_person_are_never_in_one_set() -> None:
    table, sets = library()
    said = Constraints(cannot_link=(("f00003", "f00004"), ("f00017", "f00018")))
    found = by_face(decide(table, sets, thresholds=ARCFACE, first_number=2, constraints=said))
    for a, b in said.cannot_link:
        assert not (found[a].set == found[b].set and {found[a].reason, found[b].reason} <= set(IN_SET))
    assert "faceset_001" in {found["f00003"].set, found["f00004"].set}


def test_what_is_one_person_is_matched_together_whatever_the_vectors_say() -> None:
    table, sets = library()
    said = Constraints(must_link=(("f00003", "f00017"), ("f00018", "f00030")))
    found = by_face(decide(table, sets, thresholds=ARCFACE, first_number=2, constraints=said))
    assert (found["f00017"].reason, found["f00017"].set) == (Reason.MATCHES_SET, "faceset_001")
    assert found["f00018"].group == found["f00030"].group


def test_a_confirmed_face_is_never_put_aside_by_a_gate() -> None:
    x, _ = people([8], spread=0.4)
    table = table_of(x, face_short=[20.0, 20.0, *[200.0] * 6], det_score=[0.1] * 2 + [0.9] * 6)
    said = Constraints(confirmed={"f00000": None})
    found = by_face(decide(table, [], thresholds=ARCFACE, constraints=said))
    assert (found["f00000"].reason, found["f00001"].reason) == (Reason.MEMBER, Reason.TOO_SMALL)


def test_a_face_confirmed_for_a_set_is_that_sets_and_takes_whom_it_is_linked_to_along() -> None:
    table, sets = library()
    said = Constraints(confirmed={"f00020": "faceset_001"}, must_link=(("f00020", "f00021"),))
    found = by_face(decide(table, sets, thresholds=ARCFACE, first_number=2, constraints=said))
    assert [found[f].set for f in ("f00020", "f00021")] == ["faceset_001"] * 2
    assert [found[f].reason for f in ("f00020", "f00021")] == [Reason.MATCHES_SET] * 2


def test_a_face_of_another_name_is_never_that_persons_and_one_of_the_same_name_needs_less() -> None:
    table, sets = library()
    said = Constraints(names={"f00003": "Ben"}, set_names={"faceset_001": "Anna"})
    assert by_face(decide(table, sets, thresholds=ARCFACE, constraints=said, first_number=2))["f00003"].set != "faceset_001"
    strict = Constraints(names={"f00003": "Anna"}, set_names={"faceset_001": "Anna"})
    far = ARCFACE.__class__(match=0.01, likely=0.6, margin=0.08, cluster=0.55, consolidate=0.0, near_duplicate=0.0)
    found = by_face(decide(table, sets, thresholds=far, constraints=strict, first_number=2))
    assert found["f00003"].reason is Reason.MATCHES_SET
    assert found["f00004"].reason is not Reason.MATCHES_SET


def test_groups_of_two_names_never_become_one_set() -> None:
    x, _ = people([20], spread=0.4)
    said = Constraints(names={f"f{i:05d}": "Anna" if i % 2 else "Ben" for i in range(20)})
    decision = decide(table_of(x), [], thresholds=ARCFACE, constraints=said)
    for made in decision.sets:
        assert len({said.names[f] for f in made.members}) == 1


@pytest.mark.parametrize("births", [{"faceset_001": "2010-05-02"}, {"Anna": "2010-05-02"}])
def test_nobody_is_in_a_photo_taken_before_their_birth(births: dict[str, str]) -> None:
    table, sets = library()
    taken = tuple("2009-01-01T10:00:00" if i == 3 else "2015-01-01T10:00:00" for i in range(len(table)))
    old = FaceTable(
        table.face_ids, table.sha256s, table.vectors, table.boxes, table.det_score, table.face_short, table.sharpness, taken
    )
    said = Constraints(births=births, set_names={"faceset_001": "Anna"})
    found = by_face(decide(old, sets, thresholds=ARCFACE, constraints=said, first_number=2))
    assert found["f00003"].set is None
    assert found["f00004"].set == "faceset_001"


def test_dates_are_compared_as_far_as_they_go() -> None:
    assert before("2009-12-31T23:59:59", "2010-01-01")
    assert not before("2010-01-01T00:00:00", "2010-01-01")
    assert not before("2010-06-01T00:00:00", "2010")
    assert not before(None, "2010-01-01")
    assert not before("2009-01-01", None)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.data())
def test_no_decision_breaks_a_constraint(seed: int, data: st.DataObject) -> None:
    x, who = people([9, 8, 7, *[1] * 6], seed=seed, d=32, spread=0.7)
    table = table_of(x)
    sets = [Centroid("faceset_001", centroid(x[who == 0]), 9), Centroid("faceset_002", centroid(x[who == 1]), 8)]
    face = st.sampled_from(table.face_ids)
    cannot = data.draw(st.lists(st.tuples(face, face).filter(lambda p: p[0] != p[1]), max_size=4))
    rejected = data.draw(st.lists(st.tuples(face, st.sampled_from(["faceset_001", "faceset_002"])), max_size=4))
    names = data.draw(st.dictionaries(face, st.sampled_from(["Anna", "Ben"]), max_size=5))
    said = Constraints(
        cannot_link=tuple(cannot), not_in_set=frozenset(rejected), names=names, set_names={"faceset_001": "Anna", "faceset_002": "Ben"}
    )
    found = by_face(decide(table, sets, thresholds=ARCFACE, constraints=said, first_number=3))
    for a, b in cannot:
        both = {found[a].reason, found[b].reason} <= set(IN_SET)
        assert not (both and found[a].set == found[b].set)
    assert all(found[f].set != s for f, s in rejected)
    assert all(said.set_names.get(found[f].set or "", name) == name for f, name in names.items())
    order = np.random.default_rng(seed).permutation(len(table))
    again = decide(table.take(order), sets[::-1], thresholds=ARCFACE, constraints=said, first_number=3)
    assert by_face(again) == found


def test_a_set_that_a_face_is_known_not_to_be_of_claims_it_no_more() -> None:
    x, _ = people([10, *[1] * 20], seed=7, d=64, spread=0.5)
    twin = Centroid("faceset_001", centroid(x[:10]), 30)
    table = table_of(x)
    ours = [f"f{i:05d}" for i in range(10)]
    said = [
        Constraints(not_in_set=frozenset((f, "faceset_001") for f in ours)),
        Constraints(names=dict.fromkeys(ours, "Ben"), set_names={"faceset_001": "Anna"}),
    ]
    for constraints in said:
        (made,) = decide(table, [twin], thresholds=ARCFACE, first_number=2, constraints=constraints).sets
        assert sorted(made.members) == ours  # though the twin's set is nearer to each than its own group's other faces
    half = Constraints(not_in_set=said[0].not_in_set, cannot_link=(("f00000", "f00012"),))
    other = Centroid("faceset_002", centroid(x[:10] + 0.02), 30)
    assert not decide(table, [twin, other], thresholds=ARCFACE, first_number=3, constraints=half).sets  # the next nearest still does

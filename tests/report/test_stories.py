"""What is said of a file, a face and a set, in sentences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from facesets.changes.plan import standing_of
from facesets.identity.decide import decide
from facesets.identity.table import FaceTable
from facesets.identity.verdict import Decision
from facesets.reason_texts import SENTENCES
from facesets.records import Face, FaceSet, Reason
from facesets.registry import Registry, faces, measurements, sets
from facesets.report.gather import face_facts
from facesets.report.stories import FaceFacts, FileFacts, SetFacts, face_story, file_story, set_story
from facesets.thresholds import ARCFACE
from tests.clustering.people import people, table_of


def stories(path: Path, table: FaceTable, decision: Decision) -> dict[str, str]:
    """What is said of each face once the registry has what was decided upon it."""
    with Registry.open(path) as registry:
        for face_id, sha256, vector, box in zip(table.face_ids, table.sha256s, table.vectors, table.boxes.tolist(), strict=True):
            face = Face(face_id, sha256, 0, tuple(box), (), 0.9, 200.0, 1.0, "open@1")
            measurements.add_embedded(registry, sha256, "open@1", Reason.EMBEDDED, [face], vector[None])
        for new in decision.sets:
            sets.add(registry, FaceSet(new.name, new.number, "made", "open@1"), 1, written=False)
        faces.decide(registry, "open@1", map(standing_of, decision.verdicts))
        return {row.face.face_id: " ".join(face_story(face_facts(row, None))) for row in faces.select(registry)}


def test_the_evidence_of_a_verdict_is_said_in_sentences(tmp_path: Path) -> None:
    x, _ = people([60, 40, 3], seed=2, d=256, spread=1.15)
    table = table_of(x, face_short=[50.0, *[200.0] * 102])
    decision = decide(table, [], thresholds=ARCFACE)
    story = stories(tmp_path / "registry.sqlite", table, decision)
    assert "Its short side is 50 pixels; a set asks for 90." in story["f00000"]
    joined = next(v for v in decision.verdicts if v.moved)
    assert joined.moved is not None
    far = f"on average their faces are {joined.moved.distance:.2f} apart; up to {joined.moved.allowed:.2f} they may join."
    assert f"were joined: {far}" in story[joined.face_id]
    neighbors = joined.neighbors[0]
    assert f"one of {neighbors.size} faces at {neighbors.distance:.2f}" in story[joined.face_id]


def test_a_near_duplicate_is_told_which_face_is_better(tmp_path: Path) -> None:
    x, _ = people([8], spread=0.7)
    thresholds = replace(ARCFACE, near_duplicate=0.05)
    table = table_of(np.repeat(x, 2, axis=0), face_short=[100.0, 250.0] * 8)
    story = stories(tmp_path / "registry.sqlite", table, decide(table, [], thresholds=thresholds))["f00000"]
    assert "It is 0 from a better face, f00001; nearer than 0.05 counts as the same moment." in story


def test_a_likely_face_is_told_its_lead_and_no_figures_of_another_gate() -> None:
    def story(has: float, needs: float) -> str:
        evidence = {"failed": {"has": has, "needs": needs}}
        return " ".join(face_story(FaceFacts("f1", 120.0, Reason.LIKELY, set_name="faceset_002", distance=0.41, evidence=evidence)))

    assert "It is 0.01 nearer to that person than to anybody else; a set asks for 0.06." in story(0.01, 0.06)
    assert "asks" not in story(0, 5), "as an older version kept it: so many good faces its group has"


def test_every_reason_of_a_face_makes_whole_sentences() -> None:
    for reason in Reason:
        lines = face_story(FaceFacts("f1", 120.0, reason, "a.jpg", "2019-05-04T10:00:00", "faceset_002", "Anna", 0.2))
        assert lines[0] == "A face of 120 pixels in a.jpg, taken on 2019-05-04."
        assert all(line[0].isupper() and line.endswith(".") for line in lines), lines
        assert "None" not in " ".join(lines)


def test_a_recognised_face_is_not_told_that_its_set_is_older_than_the_run() -> None:
    """A run looks again at what none of its groups took: the set may be of that very run."""
    story = " ".join(face_story(FaceFacts("f1", 120.0, Reason.RECOGNISED, set_name="faceset_002", distance=0.15)))
    assert story.endswith("0.15 from the set's average. Its folder's faces had been chosen before, so it stays as it is.")
    assert "existed" not in story + SENTENCES[Reason.RECOGNISED]


def test_a_file_says_whose_it_is_when_it_was_taken_and_where_it_is() -> None:
    file = FileFacts("a.jpg", "anna", Reason.EMBEDDED, "2019-05-04T10:00:00", None, 1, kept="photos/anna/a.jpg", is_there=True)
    story = " ".join(file_story(file))
    assert story.startswith("a.jpg, taken on 2019-05-04 at 10:00, belongs to anna.")
    assert "Its source found 1 face in it. It is kept as photos/anna/a.jpg." in story
    assert "is not there any more" in " ".join(file_story(replace(file, is_there=False)))
    assert file_story(replace(file, taken_at=None))[0] == "a.jpg, of unknown date, belongs to anna."


def test_a_set_says_of_what_it_was_made_and_what_is_near() -> None:
    facts = SetFacts(
        "faceset_002", "Anna", True, True, 1, 1, ("2019", "2019"), (0.1, 0.3), 2, {Reason.OUTLIER: 1}, ("faceset_005", 0.62)
    )
    assert set_story(facts) == [
        "faceset_002 (Anna) was made by facesets of 1 face in 1 photo, from 2019.",
        "Its faces are 0.10 to 0.30 from the set's average.",
        "2 more faces of your photos were recognised as this person. The folder stays as it is: a run never alters a set.",
        "Grouped with it and left out: 1 face (outlier).",
        "The nearest other set is faceset_005, 0.62 away.",
    ]

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from facesets.export.verify import verify
from facesets.reason_texts import SENTENCES, STATES, is_face_reason
from facesets.records import Reason, State

from .home import Home

OTHER = "has other bytes than when the set was recorded"


def said(home: Home) -> list[str]:
    report = verify(home.workspace, home.registry)
    assert report.ok == (not report.problems)
    return [str(problem) for problem in report.problems]


def test_a_whole_workspace_has_no_problem_and_says_what_was_looked_at(done: Home) -> None:
    report = verify(done.workspace, done.registry)
    assert (report.ok, report.problems, report.notes) == (True, [], [])
    assert {**report.counts, "bytes": 0} == {
        "sets": 4, "made": 2, "adopted": 2, "eras": 0, "planned": 0, "revisions": 0, "files": 15, "bytes": 0, "listed": 30,
        "faces": 24,
    }  # fmt: skip
    assert report.counts["bytes"] == sum(path.stat().st_size for path in done.sets.glob("*/**/*") if path.is_file())
    assert asdict(report)["ok"] is True


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harm", "expected"),
    [
        (lambda sets: flip(sets / "faceset_003/faces/0001.png"), f"faceset_003/faces/0001.png: {OTHER}"),
        (lambda sets: flip(sets / "faceset_001/a <b>.jpg"), f"faceset_001/a <b>.jpg: {OTHER}"),
        (lambda sets: (sets / "faceset_002/notes.txt").write_text("me"),
         f"faceset_002/notes.txt: {OTHER} (4 bytes then, 2 now)"),
        (lambda sets: (sets / "faceset_004/faceset.json").unlink(), "faceset_004/faceset.json: is missing"),
        (lambda sets: (sets / "faceset_001/new.jpg").write_bytes(b""), "faceset_001/new.jpg: was not there when the set was recorded"),
        (lambda sets: shutil.rmtree(sets / "faceset_004"), "faceset_004: its folder is missing; if you removed or renamed it: "
            "facesets accept faceset_004"),
        (lambda sets: (sets / "manifest.json").unlink(), "manifest.json: is missing; facesets run (or write) writes it anew"),
        (lambda sets: (sets / "manifest.json").write_text('{"facesets": [{"name": "faceset_003", "files_sha256": "0"}]}'),
         "faceset_003/manifest.json: has another hash for this set than the registry"),
    ],
)  # fmt: skip
def test_every_change_of_a_set_is_found_and_named(done: Home, harm: Callable[[Path], object], expected: str) -> None:
    harm(done.sets)
    assert expected in said(done)


def test_a_corrupt_manifest_is_a_problem_not_a_crash(done: Home) -> None:
    (done.sets / "manifest.json").write_text("{")
    assert any("not a manifest" in line for line in said(done))


def test_what_is_planned_and_not_written_is_a_problem_and_remains_are_a_note(home: Home) -> None:
    (home.sets / ".faceset_003.partial/faces").mkdir(parents=True)
    (home.sets / "faceset_050").mkdir()
    report = verify(home.workspace, home.registry)
    assert [(p.set, "planned" in p.what) for p in report.problems] == [("faceset_003", True), ("faceset_004", True)]
    assert [note.split()[0] for note in report.notes] == ["faceset_050", ".faceset_003.partial"]


def test_what_a_file_manager_leaves_is_no_change(done: Home) -> None:
    (done.sets / "faceset_001/.DS_Store").write_bytes(b"x")
    (done.sets / "faceset_001/@eaDir").mkdir()
    assert said(done) == []


def test_a_reason_nobody_knows_breaks_the_sum(done: Home) -> None:
    done.registry.db.execute("UPDATE assets SET reason = 'mislaid' WHERE asset_id = 'asset-3'")
    done.registry.db.execute(
        "UPDATE memberships SET standing = 'embedded' WHERE face_id = (SELECT face_id FROM measurements WHERE key = 'f0003')"
    )  # an asset's reason
    assert "30 assets, but only 29 in a state; reasons unknown here: mislaid (1)" in said(done)
    assert any(line.startswith("24 faces, but only 23 in a state; reasons unknown here: embedded (1)") for line in said(done))


def test_faces_and_sets_that_contradict_each_other_are_found(done: Home) -> None:
    done.registry.db.execute("DELETE FROM set_faces WHERE measurement_id = (SELECT id FROM measurements WHERE key = 'f0002')")
    assert said(done) == ["faceset_003: registry inconsistency: face f0002 and its set disagree"]


def test_every_reason_and_state_has_one_plain_sentence() -> None:
    assert set(SENTENCES) == set(Reason)
    assert set(STATES) == set(State)
    assert all(sentence.endswith(".") and len(sentence) < 120 for sentence in SENTENCES.values())
    assert len(set(SENTENCES.values())) == len(SENTENCES)
    assert {r for r in Reason if is_face_reason(r)} == set(list(Reason)[list(Reason).index(Reason.NEW) :])

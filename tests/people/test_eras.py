"""Eras: parts of a person whose looks moved, beside the set, which keeps every byte; they follow it, and can be made again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from facesets import people
from facesets.changes import refresh_averages, write_eras
from facesets.errors import UsageError
from facesets.progress import Silent
from facesets.registry import Registry, backups, eras, sets
from facesets.registry.people import select as people_of
from facesets.testing import Library, immich_server
from facesets.workspace import Workspace

from ..pipeline.world import CommandLine, add_photos, configure
from .home import ONE, THREE, TWO, Home

CHILD, GROWN = "faceset_001_era_2001-2003", "_thin/faceset_001_era_2012-2014"
TODAY = "2026-06-01"


def grow_up(registry: Registry, keys: list[str], later: int) -> None:
    """Give the first faces dates of 2001 to 2003, and the ``later`` last ones of 2012 to 2014 with other looks."""
    with registry.transaction():
        for n, key in enumerate(keys):
            old = n >= len(keys) - later
            row = registry.db.execute("SELECT id, photo_id, vector FROM measurements WHERE key = ?", (key,)).fetchone()
            vector = np.frombuffer(row[2], "<f4").copy()
            if old:
                vector += 1.5 * np.linalg.norm(vector) * np.eye(1, len(vector), 7, dtype=np.float32)[0]
                vector /= np.linalg.norm(vector)
            registry.db.execute("UPDATE measurements SET vector = ? WHERE id = ?", (vector.astype("<f4").tobytes(), row[0]))
            taken = f"{(2012 if old else 2001) + n % 3}-05-{n + 1:02d}T12:00:00"
            registry.db.execute("UPDATE assets SET taken_at = ? WHERE photo_id = ?", (taken, row[1]))


@pytest.fixture
def grown(home: Home) -> Home:
    """The first person has five faces as a child and four as a grown-up, and five are enough for an era."""
    grow_up(home.registry, sorted(home.faces(ONE)), later=4)
    home.cli.set("scan_day = 30")
    text = (home.workspace.root / "facesets.toml").read_text()
    at = text.index("[eras]")
    (home.workspace.root / "facesets.toml").write_text(text[:at] + text[at:].replace("# min_faces = 8", "min_faces = 5", 1))
    return Home(Workspace.open(home.workspace.root), home.registry, home.decoders, home.cli)


def make(home: Home, *which: str) -> people.Outcome:
    outcome = people.eras(home.workspace, home.registry, which, today=TODAY)
    return people.make_eras(home.workspace, home.registry, outcome, Silent(), today=TODAY)


def test_a_person_whose_looks_moved_gets_eras_and_the_set_keeps_every_byte(grown: Home) -> None:
    before, keys = grown.tree(), sorted(grown.faces(ONE))
    outcome = make(grown, ONE)
    assert outcome.changes["written"] == [CHILD, GROWN]
    after = grown.tree()
    assert {path: digest for path, digest in after.items() if path.startswith("faceset_00") and "_era_" not in path} == {
        path: digest for path, digest in before.items() if path != "manifest.json"
    }
    assert set(grown.faces(CHILD)) == set(keys[:5])
    assert set(grown.faces(GROWN)) == set(keys[5:])
    described = json.loads((grown.root / GROWN / "faceset.json").read_text())
    assert (described["name"], described["era"]) == ("faceset_001_era_2012-2014", [2012, 2014])
    assert [each["face_id"] for each in described["faces"]] == grown.faces(GROWN)
    for face in keys:
        era = CHILD if face in keys[:5] else GROWN
        assert (grown.root / grown.crop(era, face)).stat().st_ino == (grown.root / grown.crop(ONE, face)).stat().st_ino
    manifest = json.loads((grown.root / "manifest.json").read_text())
    assert [(e["name"], e["of"], e["from"], e["to"], e["thin"]) for e in manifest["eras"]] == [
        (CHILD, ONE, 2001, 2003, False), (GROWN, ONE, 2012, 2014, True),
    ]  # fmt: skip
    assert grown.verify().ok, grown.verify().problems
    assert grown.verify().counts["eras"] == 2
    listed = {each["set"]: each["eras"] for each in grown.cli("list", "people", "--json").json}
    assert listed == {ONE: [GROWN, CHILD], TWO: [], THREE: []}
    assert [each["era"] for each in grown.cli("explain", ONE, "--json").json["eras"]] == [CHILD, GROWN]
    assert grown.cli("status", "--json").json["eras"] == 2


def test_a_dry_run_says_the_eras_and_changes_nothing(grown: Home) -> None:
    before, tree = list(grown.registry.db.iterdump()), grown.tree()
    answer = grown.cli("eras", ONE, "--dry-run")
    assert "faceset_001 has 2 eras: 2001-2003 (5 faces), 2012-2014 (4 faces, thin)" in answer.out
    assert list(grown.registry.db.iterdump()) == before
    assert grown.tree() == tree


@pytest.mark.parametrize("taken", ["0001-01-01T00:00:00", "1970-01-01T00:00:00", "2031-01-01T00:00:00"])
def test_dates_that_say_nothing_are_in_no_era(grown: Home, taken: str) -> None:
    first = min(grown.faces(ONE))
    with grown.registry.transaction():
        sql = "UPDATE assets SET taken_at = ? WHERE photo_id = (SELECT photo_id FROM measurements WHERE key = ?)"
        grown.registry.db.execute(sql, (taken, first))
    outcome = make(grown, ONE)
    assert outcome.changes["eras"][ONE]["undated"] == 1
    in_eras = {face for era in eras.select(grown.registry) for face in grown.faces(era.name)}
    assert in_eras == set(grown.faces(ONE)) - {first}


def test_a_day_of_scanning_tells_no_date(grown: Home) -> None:
    with grown.registry.transaction():
        grown.registry.db.execute("UPDATE assets SET taken_at = '2015-03-03T10:00:00'")
    assert eras.scan_days(grown.registry, 5) == {"2015-03-03"}
    outcome = people.eras(grown.workspace, grown.registry, [ONE], today=TODAY)
    assert outcome.changes["eras"][ONE]["undated"] == 0, "of 30 photos a day may have that many"
    assert grown.cli("eras", TWO).out.splitlines()[0] == "faceset_002 has no eras: its looks are one in all years"


def test_eras_that_were_removed_are_made_again_of_the_same_bytes(grown: Home) -> None:
    make(grown, ONE)
    tree = grown.tree()
    shutil.rmtree(grown.root / CHILD)
    assert "facesets eras faceset_001  makes it again" in str(grown.verify().problems[0])
    assert make(grown, ONE).changes["written"] == [CHILD]
    assert grown.tree() == tree
    assert make(grown).changes["written"] == [], "nothing is written that is there"


def test_eras_follow_a_decision_and_its_undo(grown: Home) -> None:
    make(grown, ONE)
    tree, (first, *_) = grown.tree(), grown.faces(CHILD)
    people.reject(grown.workspace, grown.registry, [f"{CHILD}/faces/0001.png"])
    assert grown.write().eras == ["_thin/faceset_001_era_2001-2003"], "four faces are few"
    assert first not in grown.faces("_thin/faceset_001_era_2001-2003")
    assert not (grown.root / CHILD).exists()
    assert grown.verify().ok, grown.verify().problems
    people.undo(grown.workspace, grown.registry)
    assert grown.write().eras == [CHILD]
    assert grown.tree() == tree
    assert grown.verify().ok, grown.verify().problems


def test_undone_the_eras_are_gone_and_an_undo_of_that_brings_the_same_bytes(grown: Home) -> None:
    before = grown.tree()
    make(grown, ONE)
    after = grown.tree()
    people.undo(grown.workspace, grown.registry)
    assert grown.cli("status", "--json").json["eras_to_follow"] == [ONE]
    grown.write()
    assert grown.tree() == before
    people.undo(grown.workspace, grown.registry, 2)
    assert grown.write().eras == [CHILD, GROWN]
    assert grown.tree() == after
    assert grown.cli("eras", "1", "--remove").code == 0
    assert grown.tree() == before
    assert grown.verify().ok, grown.verify().problems


@pytest.mark.parametrize("nth", range(1, 9))
def test_killed_at_any_commit_the_eras_end_as_undisturbed(grown: Home, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    make(grown, ONE)
    people.reject(grown.workspace, grown.registry, [grown.faces(CHILD)[0]])
    copy = grown.workspace.root.with_name("undisturbed")
    shutil.copytree(grown.workspace.root, copy, symlinks=True)
    undisturbed = Workspace.open(copy)
    with undisturbed.registry() as registry:
        other = Home(undisturbed, registry, grown.decoders, grown.cli)
        other.write()
        wanted = other.tree()
    commit, commits = Registry.commit, 0

    def dies(self: Registry) -> None:
        nonlocal commits
        commits += 1
        commit(self)
        if commits == nth:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "commit", dies)
        try:
            grown.write()
        except KeyboardInterrupt:
            grown.registry.close()
            grown.registry = grown.workspace.registry()
    grown.write()
    assert grown.tree() == wanted
    assert grown.verify().ok, grown.verify().problems
    grown.registry.close()


def test_eras_wait_for_the_folder_without_a_problem_and_follow_what_was_accepted_too(grown: Home) -> None:
    make(grown, ONE)
    first, second, *_ = grown.faces(CHILD)
    people.reject(grown.workspace, grown.registry, [first])
    assert grown.verify().ok, grown.verify().problems
    people.undo(grown.workspace, grown.registry)
    grown.write()
    (grown.root / grown.crop(ONE, second)).unlink()
    people.accept(grown.workspace, grown.registry, ONE)
    assert grown.cli("status", "--json").json["eras_to_follow"] == [ONE]
    assert grown.write().eras == ["_thin/faceset_001_era_2001-2003"]
    assert second not in grown.faces("_thin/faceset_001_era_2001-2003")
    assert grown.verify().ok, grown.verify().problems


def test_an_era_that_its_owner_altered_is_left_alone(grown: Home) -> None:
    make(grown, ONE)
    (grown.root / CHILD / "faces/mine.png").write_bytes(b"mine")
    people.reject(grown.workspace, grown.registry, [grown.faces(CHILD)[0]])
    assert "is not as it was made" in grown.write().waiting[ONE]
    assert (grown.root / CHILD / "faces/mine.png").read_bytes() == b"mine"
    assert "is an era" in grown.cli("accept", CHILD).line
    shutil.move(grown.root / CHILD, grown.root / "_mine")
    assert grown.write().eras == ["_thin/faceset_001_era_2001-2003"]
    assert grown.verify().ok, grown.verify().problems


def test_a_folder_of_that_name_that_is_not_ours_stays(grown: Home) -> None:
    (grown.root / CHILD).mkdir()
    (grown.root / CHILD / "old.jpg").write_bytes(b"old")
    outcome = make(grown, ONE)
    assert "is there already and is not ours" in outcome.notes[0]
    assert [path.name for path in (grown.root / CHILD).iterdir()] == ["old.jpg"]
    shutil.move(grown.root / CHILD, grown.root / "_old")
    assert make(grown, ONE).changes["written"] == [CHILD, GROWN]


def test_a_merged_set_has_no_eras_any_more(grown: Home) -> None:
    make(grown, ONE)
    before = grown.tree()
    people.merge(grown.workspace, grown.registry, ONE, TWO)
    grown.write()
    assert eras.select(grown.registry) == []
    assert not (grown.root / CHILD).exists()
    assert "eras" not in json.loads((grown.root / "manifest.json").read_text())
    assert grown.verify().ok, grown.verify().problems
    people.undo(grown.workspace, grown.registry)
    grown.write()
    assert grown.tree() == before


def test_eras_wait_for_a_set_whose_folder_is_still_to_follow(grown: Home) -> None:
    people.reject(grown.workspace, grown.registry, [grown.faces(ONE)[0]])
    with pytest.raises(UsageError, match="facesets write"):
        people.eras(grown.workspace, grown.registry, [ONE])
    with pytest.raises(UsageError, match="has no eras"):
        people.eras(grown.workspace, grown.registry, [TWO], remove=True)


def test_targets_take_the_era_asked_for_and_an_eras_own_name(grown: Home) -> None:
    make(grown, ONE)
    people.name(grown.workspace, grown.registry, ONE, "Anna")
    keys = sorted(grown.faces(ONE))
    for words in (("Anna", "--era", "2012-2014"), (GROWN.rpartition("/")[2],)):
        answer = grown.cli("export", *words, "--to", "frigate", "--out", grown.workspace.root / "out", "--dry-run", "--json").json
        (one,) = answer["people"]
        assert {face for face, why in one["left_out"].items() if why == "not known to be of 2012 to 2014"} == set(keys[:5])
    assert "--era '2012-'" in grown.cli("export", "Anna", "--to", "frigate", "--out", "x", "--era", "2012-").line


def test_people_are_known_by_their_years_and_a_rejected_face_is_in_no_average(grown: Home) -> None:
    pack = people_of(grown.registry)[0].pack
    with grown.registry.transaction():
        assert refresh_averages(grown.registry, pack, grown.workspace.settings.eras) == [], "the runs did so"
        grown.registry.set_fact("averages", "{}")  # but the dates are others now
        assert refresh_averages(grown.registry, pack, grown.workspace.settings.eras) == [ONE, TWO, THREE]
        assert refresh_averages(grown.registry, pack, grown.workspace.settings.eras) == []
    rows = grown.registry.db.execute("SELECT year_from, year_to, n FROM centroids WHERE person_id = 1 AND year_to > 0 ORDER BY 1, 2")
    assert [tuple(row) for row in rows] == [(0, 9999, 11), (2001, 2003, 5)]
    assert len([c for c in sets.centroids(grown.registry, pack) if c.name == ONE]) == 3
    assert len([c for c in sets.centroids(grown.registry, pack, whole=True) if c.name == ONE]) == 1
    people.reject(grown.workspace, grown.registry, grown.faces(ONE)[:1])
    with grown.registry.transaction():
        assert refresh_averages(grown.registry, pack, grown.workspace.settings.eras) == [ONE]


def test_a_run_makes_eras_of_new_sets_where_that_is_set(
    tmp_path: Path, pack: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    library, cli = Library(), CommandLine(tmp_path / "w", capsys)
    add_photos(library, library.user("anna"), [1], 9)
    with immich_server(library) as server:
        monkeypatch.setenv("IMMICH_URL", server.url)
        monkeypatch.setenv("IMMICH_API_KEY", server.key_for("anna"))
        assert cli("init").code == 0
        configure(tmp_path / "w", pack)
        cli.set("enabled = true")
        for step in ("stage", "embed", "cluster"):
            assert cli(step, "--user", "anna").code == 0
        workspace = Workspace.open(tmp_path / "w")
        with workspace.registry() as registry:
            grow_up(registry, sorted(key for _, key, _ in sets.members(registry, ONE)), later=4)
        written = cli("write", "--user", "anna", "--json").json
        assert written["eras_written"] == ["_thin/faceset_001_era_2001-2003", GROWN]
        assert cli("write", "--user", "anna", "--json").json["eras_written"] == []
        assert cli("verify").code == 0
    with workspace.registry() as registry:
        assert write_eras(workspace, registry, Silent()).eras == []


def test_eras_that_were_made_since_a_backup_are_known_in_it(grown: Home) -> None:
    backups.make(grown.workspace.registry_file, "schema-7")
    make(grown, ONE)
    there, tree = eras.select(grown.registry), grown.tree()
    grown.registry.close()
    (chosen,) = (each["backup"] for each in grown.cli("restore", "--json").json if each["before"] == "schema-7")
    assert grown.cli("restore", chosen).code == 0
    grown.registry = grown.workspace.registry()
    assert eras.select(grown.registry) == there
    assert grown.verify().ok, grown.verify().problems
    assert write_eras(grown.workspace, grown.registry, Silent(), today=TODAY).eras == []
    people.undo(grown.workspace, grown.registry)
    write_eras(grown.workspace, grown.registry, Silent(), today=TODAY)
    assert [path for path in grown.tree() if "_era_" in path] == []
    make(grown, ONE)
    assert grown.tree() == tree

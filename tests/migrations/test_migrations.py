"""A registry of an older schema becomes what a new one is, and keeps all that was true of it."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sqlite3
import stat
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from facesets.errors import CorruptFile, FacesetsError
from facesets.registry import Registry, assets, backups, faces, from_schema_6, migrations, script
from facesets.registry.migrations import MIGRATIONS, VERSION
from facesets.registry.overlap import same_places
from facesets.workspace import Workspace

from . import worlds

RENAMED = {"matches_set": "recognised"}
SCHEMA_1 = """
CREATE TABLE users (label TEXT PRIMARY KEY, user_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID;
CREATE TABLE runs (id INTEGER PRIMARY KEY, command TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT, exit_code INTEGER,
    counters TEXT NOT NULL DEFAULT '{}') STRICT;
CREATE TABLE assets (id INTEGER PRIMARY KEY, owner_id TEXT NOT NULL, asset_id TEXT NOT NULL, label TEXT NOT NULL, source TEXT NOT NULL,
    type TEXT NOT NULL, original_path TEXT NOT NULL, file_name TEXT NOT NULL, mime_type TEXT NOT NULL, sha1 TEXT, library_id TEXT,
    size_bytes INTEGER, width INTEGER, height INTEGER, taken_at TEXT, updated_at TEXT, thumbhash TEXT, visibility TEXT NOT NULL,
    is_trashed INTEGER NOT NULL, is_offline INTEGER NOT NULL, is_edited INTEGER NOT NULL, boxes TEXT, reason TEXT NOT NULL, detail TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, sha256 TEXT, path TEXT, kept_id INTEGER REFERENCES assets (id), seen_run INTEGER NOT NULL,
    UNIQUE (owner_id, asset_id)) STRICT;
CREATE INDEX assets_by_label ON assets (label, reason);
CREATE INDEX assets_by_sha256 ON assets (sha256) WHERE sha256 IS NOT NULL;
CREATE INDEX assets_by_sha1 ON assets (sha1) WHERE sha1 IS NOT NULL;
CREATE TABLE embedded (sha256 TEXT NOT NULL, pack TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT, width INTEGER, height INTEGER,
    PRIMARY KEY (sha256, pack)) STRICT, WITHOUT ROWID;
CREATE TABLE faces (face_id TEXT PRIMARY KEY, sha256 TEXT NOT NULL, pack TEXT NOT NULL, idx INTEGER NOT NULL, x1 REAL NOT NULL,
    y1 REAL NOT NULL, x2 REAL NOT NULL, y2 REAL NOT NULL, landmarks TEXT NOT NULL, det_score REAL NOT NULL, face_short REAL NOT NULL,
    sharpness REAL NOT NULL, signals TEXT NOT NULL, vector BLOB NOT NULL, reason TEXT NOT NULL, detail TEXT, set_name TEXT,
    distance REAL, UNIQUE (sha256, pack, idx)) STRICT;
CREATE INDEX faces_by_pack ON faces (pack, reason);
CREATE INDEX faces_by_set ON faces (set_name) WHERE set_name IS NOT NULL;
CREATE TABLE sets (name TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, origin TEXT NOT NULL CHECK (origin IN ('made', 'adopted')),
    pack TEXT NOT NULL, person_name TEXT, written INTEGER NOT NULL, run_id INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE set_faces (set_name TEXT NOT NULL REFERENCES sets (name), rank INTEGER NOT NULL, face_id TEXT NOT NULL,
    distance REAL NOT NULL, PRIMARY KEY (set_name, rank)) STRICT, WITHOUT ROWID;
CREATE INDEX set_faces_by_face ON set_faces (face_id);
CREATE TABLE set_files (set_name TEXT NOT NULL REFERENCES sets (name), path TEXT NOT NULL, size INTEGER NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (set_name, path)) STRICT, WITHOUT ROWID;
CREATE TABLE centroids (set_name TEXT NOT NULL REFERENCES sets (name), pack TEXT NOT NULL, n INTEGER NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (set_name, pack)) STRICT, WITHOUT ROWID;
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE journal (id INTEGER PRIMARY KEY, run_id INTEGER, at TEXT NOT NULL, event TEXT NOT NULL, data TEXT NOT NULL DEFAULT '{}')
    STRICT;
INSERT INTO assets (owner_id, asset_id, label, source, type, original_path, file_name, mime_type, visibility, is_trashed, is_offline,
    is_edited, reason, seen_run) VALUES ('o', 'a', 'anna', 'immich', 'IMAGE', '', '', '', 'timeline', 0, 0, 0, 'listed', 1);
PRAGMA user_version = 1;
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A registry as the first version made it."""
    path = tmp_path / "old" / "registry.sqlite"
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.executescript(SCHEMA_1)
    db.close()
    return path


def schema(registry: Registry) -> list[tuple[object, ...]]:
    return [tuple(row) for row in registry.db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")]


def test_migrations_are_named_and_in_order() -> None:
    assert [step.version for step in MIGRATIONS] == list(range(2, VERSION + 1))
    assert len({step.name for step in MIGRATIONS}) == len(MIGRATIONS)


def test_a_migrated_registry_has_the_schema_of_a_new_one_and_says_which_steps_it_took(old: Path, tmp_path: Path) -> None:
    with Registry.open(tmp_path / "new.sqlite") as new, Registry.open(old) as migrated:
        assert schema(migrated) == schema(new)
        assert [row.pixels for row in assets.select(migrated)] == ["original"]
        notes = [json.loads(row[0]) for row in migrated.db.execute("SELECT data FROM journal WHERE event = 'migrated' ORDER BY id")]
        assert notes == [{"version": step.version, "name": step.name} for step in MIGRATIONS]


def test_a_backup_is_made_before_a_migration_and_can_be_migrated_itself(old: Path) -> None:
    with Registry.open(old) as registry:
        assert [(one.kind) for one in backups.listed(registry.path)] == ["schema-1"]
    (backup,) = backups.listed(old)
    assert stat.S_IMODE(backup.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(backup.path.parent.stat().st_mode) == 0o700
    with Registry.open(backup.path) as registry:
        assert len(list(assets.select(registry))) == 1


def _open(path: Path, results: Any) -> None:
    try:
        with Registry.open(path) as registry:
            results.put(len(list(assets.select(registry))))
    except BaseException as err:  # noqa: BLE001 - told to the test
        results.put(repr(err))


def test_two_processes_that_migrate_at_once_end_alike(old: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    both = [context.Process(target=_open, args=(old, results)) for _ in range(2)]
    for process in both:
        process.start()
    assert [results.get(timeout=60) for _ in both] == [1, 1]
    for process in both:
        process.join()


def test_a_migration_that_fails_leaves_the_registry_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(db: sqlite3.Connection) -> None:
        from_schema_6.apply(db)
        db.execute("INSERT INTO faces (photo_id, x1, y1, x2, y2) VALUES (77, 0, 0, 1, 1)")  # of no photo

    broken = migrations.Migration(7, "fails", fails)
    monkeypatch.setattr("facesets.registry.database.MIGRATIONS", (*(step for step in MIGRATIONS if step.version < 7), broken))
    with pytest.raises(CorruptFile, match=r"cannot be migrated \(fails\)"):
        Registry.open(old)
    db = sqlite3.connect(old)
    assert db.execute("PRAGMA user_version").fetchone() == (6,)
    assert db.execute("SELECT reason, is_stacked FROM assets").fetchall() == [("listed", 0)]
    db.close()
    monkeypatch.undo()
    with Registry.open(old) as registry:
        assert len(list(assets.select(registry))) == 1


@pytest.mark.parametrize("begun", ["new", "as old as schema 1"])
def test_a_step_that_follows_is_taken_once_by_new_and_old_registries(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: str
) -> None:
    step = migrations.Migration(VERSION + 1, "one table more", "CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT;\n")
    monkeypatch.setattr("facesets.registry.database.MIGRATIONS", (*MIGRATIONS, step))
    monkeypatch.setattr("facesets.registry.database.VERSION", VERSION + 1)
    path = tmp_path / "new.sqlite" if begun == "new" else old
    for _ in range(2):
        with Registry.open(path) as registry:
            assert registry.db.execute("PRAGMA user_version").fetchone()[0] == VERSION + 1
            assert [row[1] for row in schema(registry)].count("more") == 1
            taken = registry.db.execute("SELECT count(*) FROM journal WHERE data ->> 'name' = 'one table more'").fetchone()
            assert tuple(taken) == (1,)
    assert [one.kind for one in backups.listed(path)] == ([] if begun == "new" else ["schema-1"])


@pytest.mark.parametrize("version", [1, 7])
def test_a_registry_made_by_a_step_before_the_last_is_brought_up_to_date(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    path = old
    if version == 7:
        path = tmp_path / "seven" / "registry.sqlite"
        path.parent.mkdir()
        with monkeypatch.context() as before:
            before.setattr("facesets.registry.database.VERSION", 7)
            Registry.open(path).close()
    step = migrations.Migration(VERSION + 1, "one table more", "CREATE TABLE more (id INTEGER PRIMARY KEY) STRICT;\n")
    monkeypatch.setattr("facesets.registry.database.MIGRATIONS", (*MIGRATIONS, step))
    monkeypatch.setattr("facesets.registry.database.VERSION", VERSION + 1)
    with Registry.open(path) as migrated, Registry.open(tmp_path / "new.sqlite") as new:
        assert schema(migrated) == schema(new)
        assert [one.kind for one in backups.listed(path)] == [f"schema-{version}"]


def test_the_text_of_schema_7_never_changes() -> None:
    """What follows is a step of its own: registries of schema 7 are out there."""
    assert hashlib.sha256(script.schema_7().encode()).hexdigest() == "2df66118df8372d64760c8838e11efdaa684adb785751812946976dacc8a3006"


def test_an_old_registry_that_cannot_be_written_is_said_to_be_old(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = sqlite3.connect(old)
    db.execute("PRAGMA journal_mode = DELETE")
    db.close()
    before = old.read_bytes()
    monkeypatch.setattr("facesets.registry.database._is_on_read_only_disk", lambda _path: True)
    with pytest.raises(FacesetsError, match="older facesets"):
        Registry.read(old)
    assert old.read_bytes() == before


# -- all that was true in schema 6 is true


@pytest.fixture(params=worlds.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def migrated(kind: str, tmp_path: Path) -> Any:
    made = tmp_path / "packs"
    made.mkdir()
    for name in ("twin", "other"):
        (made / name).mkdir()
    workspace = worlds.load(kind, tmp_path / "home", made=made)
    with Workspace.open(workspace, {}).registry() as registry:
        assert registry.db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert registry.db.execute("PRAGMA foreign_key_check").fetchall() == []
        yield registry


def rows(registry: Registry, sql: str, *values: object) -> list[dict[str, Any]]:
    return [dict(row) for row in registry.db.execute(sql, values)]


def filled_in(said: Any, registry: Registry) -> Any:
    """What the fixture says, with this test's folders."""
    text = json.dumps(said)
    for word, path in worlds.placeholders(registry.path.parent.parent).items():
        text = text.replace(word, path)
    return json.loads(text)


def test_every_user_fact_run_and_line_of_the_journal_is_kept(kind: str, migrated: Registry) -> None:
    said = filled_in(worlds.expected(kind), migrated)
    assert rows(migrated, "SELECT label, user_id, name FROM users ORDER BY label") == said["users"]
    facts = {row["key"]: row["value"] for row in rows(migrated, "SELECT key, value FROM facts")}
    assert int(facts.pop("highest_number", 0)) == said["highest_number"]
    assert facts == said["facts"]
    assert rows(migrated, "SELECT command, exit_code, finished_at IS NOT NULL AS finished FROM runs ORDER BY id") == said["runs"]
    journal = rows(migrated, "SELECT event, run_id AS run, data FROM journal WHERE event <> 'migrated' ORDER BY id")
    assert [{**line, "data": json.loads(line["data"])} for line in journal] == said["journal"]
    assert rows(migrated, "SELECT * FROM source_faces ORDER BY label, face_id") == said["streamed_faces"]
    assert rows(migrated, "SELECT label, person_id, name FROM source_people ORDER BY 1, 2") == said["streamed_people"]


def test_every_asset_keeps_its_reason_bytes_and_place(kind: str, migrated: Registry) -> None:
    said = filled_in(worlds.expected(kind), migrated)
    found = rows(
        migrated,
        "SELECT a.*, p.sha256, p.source_key, p.path, k.asset_id AS kept FROM assets AS a LEFT JOIN photos AS p ON p.id = a.photo_id "
        "LEFT JOIN assets AS k ON k.id = a.kept_id ORDER BY a.id",
    )
    assert {f"{row['owner_id']}/{row['asset_id']}" for row in found} == said["assets"].keys()
    for row in found:
        was = said["assets"][f"{row['owner_id']}/{row['asset_id']}"]
        for name in ("label", "source", "reason", "detail", "attempts", "pixels", "kept"):
            assert row[name] == was[name], (name, was)
        assert (row["boxes"] and json.loads(row["boxes"])) == was["boxes"]
        assert (row["seen_run"] > 0) == was["present"]
        assert was["sha256"] in (None, row["sha256"])
        assert was["content"] in (None, row["source_key"])
        assert row["path"] is not None or not was["has_path"]


def test_every_pack_that_went_through_a_photo_is_kept(kind: str, migrated: Registry) -> None:
    found = {
        (key, row["pack"]): row
        for row in rows(
            migrated, "SELECT e.*, p.sha256, p.source_key, p.width, p.height FROM embedded AS e JOIN photos AS p ON p.id = e.photo_id"
        )
        for key in (row["sha256"], row["source_key"])
    }
    photos = worlds.expected(kind)["photos"]
    assert len({id(row) for row in found.values()}) == len(photos)
    for was in photos:
        row = found[was["photo"], was["pack"]]
        assert (row["reason"], row["detail"], row["digest"]) == (was["reason"], was["detail"], was["told"])
        assert was["width"] in (None, row["width"])
        assert was["height"] in (None, row["height"])
        assert row["by_source"] == (":" in was["photo"])


def test_every_measure_is_kept_and_packs_meet_in_one_face(kind: str, migrated: Registry) -> None:
    said = worlds.expected(kind)["faces"]
    found = {
        (key, row["pack"], row["x1"], row["y1"], row["x2"], row["y2"]): row
        for row in rows(migrated, "SELECT m.*, p.sha256, p.source_key FROM measurements AS m JOIN photos AS p ON p.id = m.photo_id")
        for key in (row["sha256"], row["source_key"])
        if key
    }
    together = defaultdict(list)
    for was in said:
        row = found[was["photo"], was["pack"], *was["box"]]
        assert hashlib.sha256(row["vector"]).hexdigest() == was["vector"]
        assert json.loads(row["landmarks"]) == was["landmarks"]
        for name in ("det_score", "sharpness", "face_short"):
            assert row[name] == was[name]
        assert row["engine"] == "unknown"
        together[row["face_id"]].append(was)
    assert migrated.db.execute("SELECT count(*) FROM measurements").fetchone()[0] == len(said)
    standings = {row["face_id"]: row for row in rows(migrated, "SELECT * FROM memberships")}
    assert standings.keys() == together.keys() == {row["id"] for row in rows(migrated, "SELECT id FROM faces")}
    names = {row["person_id"]: row["name"] for row in rows(migrated, "SELECT person_id, name FROM sets")}
    for face_id, measures in together.items():
        assert len({was["pack"] for was in measures}) == len(measures), "one measure a pack"
        (was,) = [each for each in measures if each["pack"] == standings[face_id]["pack"]]
        row = standings[face_id]
        assert row["standing"] == RENAMED.get(was["reason"], was["reason"])
        assert names.get(row["person_id"]) == was["set_name"]
        assert row["distance"] == was["distance"]
        if any(each["reason"] == "member" for each in measures):
            assert row["standing"] == "member"
    for photo in rows(migrated, "SELECT DISTINCT photo_id FROM faces"):
        boxes = [tuple(row) for row in migrated.db.execute("SELECT x1, y1, x2, y2 FROM faces WHERE photo_id = ?", (photo["photo_id"],))]
        assert all(same_places([box], [other]) == {} for box in boxes for other in boxes if other is not box), "no place twice"


def test_what_explain_says_of_each_face_is_kept(kind: str, migrated: Registry) -> None:
    said = {(was["pack"], *was["box"], was["vector"]): was for was in worlds.expected(kind)["faces"]}
    for row in faces.select(migrated):
        was = said[row.face.pack, *row.face.box, hashlib.sha256(row.vector.tobytes()).hexdigest()]
        detail = json.loads(was["detail"] or "{}")
        assert row.detail == {
            "other_set" if name == "other" else name: value for name, value in detail.items() if value is not None and value != []
        }


def test_every_set_keeps_its_number_members_files_and_centroids(kind: str, migrated: Registry) -> None:
    said = worlds.expected(kind)["sets"]
    found = rows(
        migrated, "SELECT s.*, p.number, p.name AS person_name, p.standing FROM sets AS s JOIN people AS p ON p.id = s.person_id"
    )
    by_name = {row["name"]: row for row in found}
    assert by_name.keys() == {was["name"] for was in said}
    for was in said:
        row = by_name[was["name"]]
        for name in ("number", "origin", "pack", "person_name", "written"):
            assert row[name] == was[name]
        assert (row["kind"], row["revision"], row["standing"], row["retired"]) == ("canonical", 1, "active", 0)
        members = rows(
            migrated,
            "SELECT f.rank, f.distance, f.file, m.pack, m.x1, m.y1, m.x2, m.y2, p.sha256, p.source_key FROM set_faces AS f "
            "JOIN measurements AS m ON m.id = f.measurement_id JOIN photos AS p ON p.id = m.photo_id WHERE f.set_id = ? ORDER BY "
            "f.rank",
            row["id"],
        )
        assert [(m["rank"], m["distance"], m["pack"], [m["x1"], m["y1"], m["x2"], m["y2"]]) for m in members] == [
            (m["rank"], m["distance"], m["pack"], m["box"]) for m in was["members"]
        ]
        assert all(w["photo"] in (m["sha256"], m["source_key"]) for m, w in zip(members, was["members"], strict=True))
        files = rows(migrated, "SELECT path, sha256 FROM set_files WHERE set_id = ?", row["id"])
        assert {file["path"]: file["sha256"] for file in files} == was["files"]
        if was["origin"] == "made" and was["written"]:
            assert {m["file"] for m in members} | {"faceset.json"} == was["files"].keys()
        centroids = rows(migrated, "SELECT * FROM centroids WHERE person_id = ?", row["person_id"])
        assert {c["pack"]: {"n": c["n"], "vector": hashlib.sha256(c["vector"]).hexdigest()} for c in centroids} == was["centroids"]
        assert all((c["year_from"], c["year_to"]) == (0, 0) for c in centroids)

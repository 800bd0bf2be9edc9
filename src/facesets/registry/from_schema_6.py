"""The migration from schema 6: photos, faces and people get rows of their own.

Schema 6 knew a photo by the hash of its bytes or by what stood for these (a "content"), wherever it was spoken of, kept a face
once a pack, and took a set for its person. Every set, number, vector, reason and hash is kept, and so are the public ids of faces.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import groupby

from facesets.registry.overlap import same_places
from facesets.registry.script import execute, schema_7

_OLD = ("assets", "embedded", "faces", "sets", "set_faces", "set_files", "centroids", "streamed_faces", "streamed_people", "runs")
_INDEXES = (
    "assets_by_label", "assets_by_sha256", "assets_by_sha1", "assets_by_content", "assets_stacked", "assets_by_look", "assets_by_time",
    "faces_by_pack", "faces_by_set", "set_faces_by_face", "streamed_faces_by_asset",
)  # fmt: skip
_SAME = ("users", "facts", "journal")  # as they were
# where several packs had each given a face its own reason, the first of these stands
_STRONGEST = ("member", "matches_set", "near_duplicate", "outlier", "new")

# which photo each hash and each content is: assets that had both say which of them are one
_PHOTOS = (
    "CREATE TEMP TABLE linked AS SELECT content, sha256, min(CASE WHEN kept_id IS NULL THEN id ELSE id + (1 << 40) END) AS place "
    "FROM old_assets WHERE sha256 IS NOT NULL AND content IS NOT NULL GROUP BY content",
    "CREATE TEMP TABLE first_key AS SELECT sha256, content, min(place) FROM linked GROUP BY sha256",
    "INSERT INTO photos (sha256, source_key) SELECT h.sha256, k.content FROM (SELECT sha256 FROM old_assets WHERE sha256 IS NOT NULL "
    "UNION SELECT sha256 FROM old_embedded WHERE instr(sha256, ':') = 0 UNION SELECT sha256 FROM old_faces WHERE "
    "instr(sha256, ':') = 0) "
    "AS h LEFT JOIN first_key AS k ON k.sha256 = h.sha256 ORDER BY h.sha256",
    "CREATE TEMP TABLE photo_of (key TEXT PRIMARY KEY, photo_id INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO photo_of SELECT sha256, id FROM photos",
    "INSERT INTO photo_of SELECT l.content, p.id FROM linked AS l JOIN photos AS p ON p.sha256 = l.sha256",
    "INSERT INTO photos (source_key) SELECT content FROM old_assets WHERE content IS NOT NULL UNION SELECT sha256 FROM old_embedded "
    "WHERE instr(sha256, ':') > 0 UNION SELECT sha256 FROM old_faces WHERE instr(sha256, ':') > 0 EXCEPT SELECT key FROM photo_of",
    "INSERT INTO photo_of SELECT source_key, id FROM photos WHERE sha256 IS NULL",
)
# an original's row says where it lies and which picture it is; while another picture is wanted, the one before is here
_PICTURES = (
    "CREATE TEMP TABLE picture AS SELECT o.photo_id, a.path, a.size_bytes, CASE WHEN a.reason NOT IN ('listed', 'download_error') "
    "AND a.pixels <> 'none' THEN a.pixels WHEN a.pixels = 'preview' THEN 'fullsize' ELSE 'original' END AS pixels, "
    "min(CASE WHEN a.reason IN ('staged', 'embed_error', 'embedded', 'embedded_no_face') THEN a.id ELSE a.id + (1 << 40) END) "
    "FROM old_assets AS a JOIN photo_of AS o ON o.key = a.sha256 WHERE a.path IS NOT NULL GROUP BY o.photo_id",
    "UPDATE photos SET path = f.path, pixels = f.pixels, size = CASE f.pixels WHEN 'original' THEN f.size_bytes END FROM picture AS f "
    "WHERE f.photo_id = photos.id",
    "UPDATE photos SET width = e.width, height = e.height FROM (SELECT o.photo_id, max(width) AS width, max(height) AS height "
    "FROM old_embedded JOIN photo_of AS o ON o.key = sha256 WHERE width IS NOT NULL GROUP BY 1) AS e WHERE e.photo_id = photos.id",
)
_COLUMNS = (
    "id, owner_id, asset_id, label, source, type, original_path, file_name, mime_type, sha1, library_id, size_bytes, width, height, "
    "taken_at, updated_at, thumbhash, visibility, is_trashed, is_offline, is_edited, boxes, is_stacked, reason, detail, attempts, "
    "pixels, kept_id, seen_run"
)
_ASSETS = (
    f"INSERT INTO assets ({_COLUMNS}, previewed_with, photo_id) SELECT {_COLUMNS}, "
    "CASE WHEN reason = 'no_faces' AND detail LIKE 'second look with %: %' THEN substr(detail, 18, instr(detail, ': ') - 18) END, "
    "(SELECT photo_id FROM photo_of WHERE key = coalesce(sha256, content)) FROM old_assets ORDER BY id",
    "INSERT INTO embedded SELECT o.photo_id, e.pack, e.reason, e.detail, instr(e.sha256, ':') > 0, e.told FROM old_embedded "
    "AS e JOIN photo_of AS o "
    "ON o.key = e.sha256 WHERE true ORDER BY e.told IS NULL ON CONFLICT DO NOTHING",
    "INSERT INTO people (number, name) SELECT number, person_name FROM old_sets ORDER BY number",
    "INSERT INTO sets (person_id, name, origin, pack, written, run_id) SELECT p.id, s.name, s.origin, s.pack, s.written, s.run_id "
    "FROM old_sets AS s JOIN people AS p ON p.number = s.number ORDER BY s.number",
)
_SEVERAL = (
    "SELECT photo_id FROM (SELECT DISTINCT o.photo_id, f.sha256, f.pack FROM old_faces AS f JOIN photo_of AS o ON o.key = f.sha256) "
    "GROUP BY photo_id HAVING count(*) > 1 ORDER BY photo_id"
)
_DETAIL = "CASE WHEN json_valid(f.detail) THEN f.detail ELSE '{}' END"
_FACES = (
    "INSERT INTO faces (id, photo_id, x1, y1, x2, y2) SELECT f.rowid, o.photo_id, f.x1, f.y1, f.x2, f.y2 FROM old_faces AS f "
    "JOIN photo_of AS o ON o.key = f.sha256 WHERE NOT EXISTS (SELECT 1 FROM same_place AS s WHERE s.row = f.rowid AND "
    "s.face_id <> s.row)",
    "INSERT INTO measurements (id, face_id, photo_id, pack, idx, key, by_source, x1, y1, x2, y2, landmarks, det_score, face_short, "
    "sharpness, signals, vector) SELECT f.rowid, coalesce(s.face_id, f.rowid), o.photo_id, f.pack, coalesce(s.idx, f.idx), f.face_id, "
    "instr(f.sha256, ':') > 0, f.x1, f.y1, f.x2, f.y2, f.landmarks, f.det_score, f.face_short, f.sharpness, f.signals, f.vector "
    "FROM old_faces AS f JOIN photo_of AS o ON o.key = f.sha256 LEFT JOIN same_place AS s ON s.row = f.rowid",
    "INSERT INTO memberships (face_id, person_id, standing, pack, distance, runner_up_id, runner_up_distance, ambiguous, group_number, "
    "group_size, gate_has, gate_needs, better_key, was_for, note, evidence) "
    "SELECT face_id, (SELECT person_id FROM sets WHERE name = set_name), CASE reason WHEN 'matches_set' THEN 'recognised' "
    "ELSE reason END, "
    "pack, distance, (SELECT person_id FROM sets WHERE name = detail ->> 'other'), detail ->> 'other_distance', "
    "coalesce(detail ->> 'ambiguous', 0), detail ->> 'group', detail ->> 'group_size', detail ->> '$.failed.has', "
    "detail ->> '$.failed.needs', detail ->> '$.failed.better', detail ->> 'was_for', coalesce(detail ->> 'lacks', detail ->> 'lost'), "
    "CASE WHEN detail -> 'moved' IS NOT NULL OR detail -> 'near' IS NOT NULL THEN json_object('moved', json(detail -> "
    "'moved'), 'near', "
    "json(detail -> 'near')) END FROM (SELECT coalesce(s.face_id, f.rowid) AS face_id, f.set_name, f.reason, f.pack, f.distance, "
    f"{_DETAIL} AS detail FROM old_faces AS f LEFT JOIN same_place AS s ON s.row = f.rowid WHERE coalesce(s.stands, 1))",
    "INSERT INTO set_faces SELECT t.id, s.rank, m.id, s.distance, CASE WHEN t.written THEN printf('faces/%04d.png', row_number() OVER "
    "(PARTITION BY t.id ORDER BY s.rank)) END FROM old_set_faces AS s "
    "JOIN sets AS t "
    "ON t.name = s.set_name JOIN measurements AS m ON m.key = s.face_id",
    "INSERT INTO set_files (set_id, path, size, sha256) SELECT t.id, f.path, f.size, f.sha256 FROM old_set_files AS f JOIN sets AS t "
    "ON t.name = f.set_name",
    "INSERT INTO centroids (person_id, pack, n, vector) SELECT t.person_id, c.pack, c.n, c.vector FROM old_centroids AS c "
    "JOIN sets AS t "
    "ON t.name = c.set_name",
    "INSERT INTO source_faces SELECT * FROM old_streamed_faces",
    "INSERT INTO source_people (label, person_id, name) SELECT label, person_id, name FROM old_streamed_people",
    "INSERT INTO runs (id, command, started_at, finished_at, exit_code, counters) SELECT * FROM old_runs",
)


def apply(db: sqlite3.Connection) -> None:
    """In the caller's transaction, with foreign keys not enforced meanwhile."""
    for index in _INDEXES:
        db.execute(f"DROP INDEX {index}")
    for table in (*_OLD, *_SAME):
        db.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    execute(db, schema_7())
    for table in _SAME:
        db.execute(f"INSERT INTO {table} SELECT * FROM old_{table}")
    for statement in (*_PHOTOS, *_PICTURES, *_ASSETS):
        db.execute(statement)
    db.execute("CREATE TEMP TABLE same_place (row INTEGER PRIMARY KEY, face_id INTEGER, idx INTEGER, stands INTEGER)")
    db.executemany("INSERT INTO same_place VALUES (?, ?, ?, ?)", _same_places(db))
    for statement in _FACES:
        db.execute(statement)
    for table in ("linked", "first_key", "photo_of", "picture", "same_place"):
        db.execute(f"DROP TABLE temp.{table}")
    for table in (*_OLD, *_SAME):
        db.execute(f"DROP TABLE old_{table}")


def _same_places(db: sqlite3.Connection) -> Iterator[tuple[int, int, int, bool]]:
    """Of photos that several packs went through: each row with its face, its place among its pack's, and whether its reason stands."""
    for (photo_id,) in db.execute(_SEVERAL).fetchall():
        rows = db.execute(
            "SELECT f.rowid, f.pack, f.sha256, f.idx, f.x1, f.y1, f.x2, f.y2, f.reason, f.set_name FROM photo_of AS o JOIN "
            "old_faces AS f "
            "ON f.sha256 = o.key WHERE o.photo_id = ? ORDER BY f.pack, f.sha256, f.idx",
            (photo_id,),
        ).fetchall()
        together: dict[int, list[sqlite3.Row]] = {}
        follow: dict[str, int] = {}
        index: dict[int, int] = {}
        for (pack, _), group in groupby(rows, key=lambda row: (row[1], row[2])):
            added = list(group)
            faces = list(together)
            boxes = [tuple(together[face][0])[4:8] for face in faces]
            matched = same_places([tuple(row)[4:8] for row in added], boxes)
            start = follow.get(pack, 0)
            for n, row in enumerate(added):
                index[row[0]] = row[3] if start == 0 else start + row[3]
                together.setdefault(faces[matched[n]] if n in matched else row[0], []).append(row)
            follow[pack] = max(index[row[0]] for row in added) + 1
        for face_id, members in together.items():
            best = min(members, key=_strength)
            for row in members:
                yield row[0], face_id, index[row[0]], row is best


def _strength(row: sqlite3.Row) -> tuple[int, bool, int]:
    reason = row[8]
    place = _STRONGEST.index(reason) if reason in _STRONGEST else len(_STRONGEST)
    return place, row[9] is None, row[0]

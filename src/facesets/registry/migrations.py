"""How an older registry becomes a newer one: named steps in their order, each in a transaction of its own.

A new registry is made from ``schema_7.sql`` and the steps that follow it. That text never changes, since those steps begin with what
step 7 made of an older registry. So a step is written once, for new registries and for old ones.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from facesets.registry import from_schema_6


@dataclass(frozen=True, slots=True)
class Migration:
    """From the version before ``version`` to it: SQL, or a function for what SQL cannot say."""

    version: int
    name: str
    apply: str | Callable[[sqlite3.Connection], None]


MIGRATIONS = (
    Migration(
        2,
        "which picture of an asset is here",
        "ALTER TABLE assets ADD COLUMN pixels TEXT NOT NULL DEFAULT 'original';\n"
        "CREATE INDEX assets_by_look ON assets (size_bytes, thumbhash) WHERE sha256 IS NOT NULL;\n",
    ),
    Migration(
        3,
        "faces from a login's stream",
        "CREATE TABLE streamed_faces (label TEXT NOT NULL, face_id TEXT NOT NULL, asset_id TEXT NOT NULL, person_id TEXT, "
        "box TEXT NOT NULL, PRIMARY KEY (label, face_id)) STRICT, WITHOUT ROWID;\n"
        "CREATE INDEX streamed_faces_by_asset ON streamed_faces (label, asset_id);\n"
        "CREATE TABLE streamed_people (label TEXT NOT NULL, person_id TEXT NOT NULL, name TEXT NOT NULL, "
        "PRIMARY KEY (label, person_id)) STRICT, WITHOUT ROWID;\n",
    ),
    Migration(
        4,
        "counting months from an index",
        "CREATE INDEX assets_by_time ON assets (owner_id, source, taken_at, visibility, is_trashed, asset_id, seen_run) "
        "WHERE seen_run > 0;\n",
    ),
    Migration(
        5,
        "vectors before bytes",
        "ALTER TABLE assets ADD COLUMN content TEXT;\n"
        "CREATE INDEX assets_by_content ON assets (content) WHERE content IS NOT NULL;\n"
        "ALTER TABLE embedded ADD COLUMN told TEXT;\n",
    ),
    Migration(
        6,
        "stacks",
        "ALTER TABLE assets ADD COLUMN is_stacked INTEGER NOT NULL DEFAULT 0;\n"
        "CREATE INDEX assets_stacked ON assets (owner_id, source, taken_at, visibility) WHERE is_stacked = 1;\n",
    ),
    Migration(7, "photos, people and one row a face", from_schema_6.apply),
    Migration(
        8,
        "what went to Immich",
        "CREATE TABLE published (decision_id INTEGER NOT NULL REFERENCES decisions (id), n INTEGER NOT NULL, label TEXT NOT NULL, "
        "action TEXT NOT NULL, number INTEGER NOT NULL, wanted TEXT NOT NULL, before TEXT NOT NULL, result TEXT NOT NULL DEFAULT '{}', "
        "state TEXT NOT NULL DEFAULT 'sent' CHECK (state IN ('sent', 'done', 'refused', 'undoing', 'undone', 'kept')), reason TEXT, "
        "at TEXT NOT NULL, PRIMARY KEY (decision_id, n)) STRICT, WITHOUT ROWID;\n"
        "CREATE INDEX published_by_state ON published (label, state);\n",
    ),
    Migration(
        9,
        "which photos an asset showed before",
        "CREATE TABLE earlier_photos (asset INTEGER NOT NULL REFERENCES assets (id), photo_id INTEGER NOT NULL REFERENCES photos (id), "
        "PRIMARY KEY (asset, photo_id)) STRICT, WITHOUT ROWID;\n"
        "CREATE INDEX earlier_photos_by_photo ON earlier_photos (photo_id);\n"
        "CREATE TRIGGER asset_had_photo AFTER UPDATE OF photo_id ON assets\n"
        "WHEN old.photo_id IS NOT NULL AND new.photo_id IS NOT old.photo_id\n"
        "BEGIN\n INSERT OR IGNORE INTO earlier_photos VALUES (old.id, old.photo_id);\nEND;\n",
    ),
    Migration(
        10,
        "finding what followed from a decision",
        "CREATE INDEX changes_by_decision ON changes (decision_id, kind) WHERE decision_id IS NOT NULL;\n",
    ),
    Migration(
        11,
        "what the images of an owner's own look like",
        "CREATE TABLE own_images (set_id INTEGER NOT NULL REFERENCES sets (id), sha256 TEXT NOT NULL, pack TEXT NOT NULL, "
        "vector BLOB NOT NULL, PRIMARY KEY (set_id, sha256, pack)) STRICT, WITHOUT ROWID;\n",
    ),
)
VERSION = MIGRATIONS[-1].version
FIRST = 7  # what a new registry begins with

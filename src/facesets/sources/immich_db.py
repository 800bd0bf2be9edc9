"""Sources room: a user's library as Immich's own database tells it, read only: every asset, its boxes and people in one query.

Complete by nature, and on 3.x it saves a request for each photo. Bytes still come over the API, with the user's key. Each row is put
into the form of an API answer and read by the same eyes, so both ways end in the same records.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesets import extras
from facesets.errors import BadAnswer, MissingGrant, SettingsError, Unreachable, UsageError
from facesets.immich import ListingCounts, wire
from facesets.progress import Progress
from facesets.records import Asset, FaceBox, SourcePerson, User
from facesets.secrets import database_problem, scrub
from facesets.sources.immich import ImmichSource
from facesets.sources.month import Month
from facesets.sources.source import Fetched, Reconciliation, Work

if TYPE_CHECKING:
    import psycopg

TABLES = 'asset, asset_exif, asset_face, face_search, person, stack, "user"'
_ROWS = 2000  # fetched at a time: the listing of a million photos stays small in memory
_COUNTED = ("timeline", "archive")
# deleted and invisible faces are hidden by the API, and shown by nothing but the database
_ASSETS = """
SELECT a.id::text, a."ownerId"::text, a.type::text, a."originalPath", a."originalFileName", a.checksum, a."libraryId"::text,
       a."isOffline", a."deletedAt" IS NOT NULL OR a.status::text <> 'active', a.visibility::text,
       CASE WHEN a."localDateTime" BETWEEN '0001-01-02' AND '9999-12-30' THEN a."localDateTime" END, a."updatedAt",
       a.thumbhash, a.width, a.height, a."isEdited", e."assetId" IS NOT NULL, e."exifImageWidth", e."exifImageHeight", e.orientation,
       e."fileSizeInByte", f.found
FROM asset a
LEFT JOIN asset_exif e ON e."assetId" = a.id
LEFT JOIN (
    SELECT s."assetId", json_agg(json_build_object(
        'id', s.id, 'boundingBoxX1', s."boundingBoxX1", 'boundingBoxY1', s."boundingBoxY1", 'boundingBoxX2', s."boundingBoxX2",
        'boundingBoxY2', s."boundingBoxY2", 'imageWidth', s."imageWidth", 'imageHeight', s."imageHeight",
        'person', CASE WHEN s."{column}" IS NULL THEN NULL ELSE json_build_object('id', s."{column}", 'name', p.name) END)) AS found
    FROM asset_face s JOIN asset o ON o.id = s."assetId"
    LEFT JOIN person p ON p.{key} = s."{column}" AND p."ownerId" = o."ownerId"
    WHERE o."ownerId" = %(owner)s AND s."deletedAt" IS NULL AND s."isVisible" GROUP BY s."assetId"
) f ON f."assetId" = a.id
WHERE a."ownerId" = %(owner)s ORDER BY a.id
"""
_GROUPED = """
SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('person') AND attname = 'personGroupId' AND NOT attisdropped
"""
# before 3.2, and from it on
_EVERYBODY = tuple(
    f'SELECT {key}::text, name, "birthDate"::text, "isHidden" FROM person WHERE "ownerId" = %s ORDER BY {key}'  # noqa: S608
    for key in ("id", '"personGroupId"')
)
# what a face names, and what it is the person's key: until 3.1 a person; from 3.2 on a group, in which each owner has a person of
# their own. Where the photo's owner has none, the face is somebody's all the same, whose name is not theirs to see
_PEOPLE = {"personId": "id", "personGroupId": '"personGroupId"'}
_FACE_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('asset_face') AND attnum > 0 AND NOT attisdropped"
_MAY_SEE_STACKS = "SELECT CASE WHEN to_regclass('stack') IS NULL THEN false ELSE has_table_privilege('stack', 'SELECT') END"
_STACKED = """
SELECT a.id::text FROM asset a JOIN stack s ON s.id = a."stackId" WHERE a."ownerId" = %s AND a.id <> s."primaryAssetId"
"""


class ImmichDbSource:
    """Lists from the database at ``url`` (libpq's form), brings bytes through ``api``. Every run lists everything: it is one query."""

    name = "immich"
    knows_faces = True
    unlisted = ()
    changes = asks = mark = stream = None

    def __init__(self, api: ImmichSource, url: str) -> None:
        self.api, self.url = api, url
        self.reconciliation = Reconciliation()

    @property
    def user(self) -> User:
        """Whose photos these are."""
        return self.api.user

    @property
    def work(self) -> Work:
        """What the API was asked for; the database's few queries are not requests."""
        return self.api.work

    def listing(self, progress: Progress) -> Iterator[Asset]:
        """Every asset of the user, locked and trashed ones too; partners' are their own affair.

        Raises Unreachable, UsageError (another Immich's database, no driver), MissingPermission, BadAnswer.
        """
        counts = ListingCounts()
        with reading(self.url) as db, progress.task("listing from the database", unit="assets") as task:
            check_owner(db, self.user)
            query = _assets_query(db)
            with db.cursor(name="facesets") as cursor:
                cursor.itersize = _ROWS
                for row in cursor.execute(query, {"owner": self.user.user_id}):
                    asset = wire.asset(_item(row), "database")
                    counts.listed += 1
                    counts.own += 1
                    counts.active += asset.visibility in _COUNTED and not asset.is_trashed
                    task.advance()
                    yield asset
        self.reconciliation = Reconciliation(**asdict(counts))

    def stacked(self, on_top: Mapping[Month, int]) -> Iterator[tuple[Month | None, set[str]]]:  # noqa: ARG002
        """All of the user's assets that lie beneath another of their stack, where the role may read that table. Raises as listing."""
        with reading(self.url) as db:
            row = db.execute(_MAY_SEE_STACKS).fetchone()
            if row is not None and row[0]:
                yield None, {asset_id for (asset_id,) in db.execute(_STACKED, (self.user.user_id,))}

    def check(self) -> int:
        """How many assets the database holds of the user. Raises as :meth:`listing`."""
        with reading(self.url) as db:
            check_owner(db, self.user)
            row = db.execute('SELECT count(*) FROM asset WHERE "ownerId" = %s', (self.user.user_id,)).fetchone()
            db.execute(_assets_query(db) + " LIMIT 0", {"owner": self.user.user_id})
        assert row is not None
        return int(row[0])

    def people(self) -> Iterator[SourcePerson]:
        """Everybody, those without a name too. Raises as :meth:`listing`."""
        with reading(self.url) as db:
            check_owner(db, self.user)
            grouped = db.execute(_GROUPED).fetchone() is not None
            with db.cursor(name="facesets_people") as cursor:
                cursor.itersize = _ROWS
                for person_id, name, birth_date, hidden in cursor.execute(_EVERYBODY[grouped], (self.user.user_id,)):
                    yield SourcePerson(self.user.user_id, person_id, wire.clean(name), wire.birth_date(birth_date or ""), hidden)

    def boxes(self, asset: Asset) -> tuple[FaceBox, ...]:
        """They came with the listing."""
        return asset.boxes or ()

    def fetch(self, asset: Asset, target: Path, pixels: str = "original") -> Fetched:
        """As the API's source does."""
        return self.api.fetch(asset, target, pixels)

    def scanned(self, asset: Asset) -> bool:
        """As the API's source does."""
        return self.api.scanned(asset)

    def preview(self, asset: Asset) -> bytes:
        """As the API's source does."""
        return self.api.preview(asset)

    def samples_match(self, asset: Asset, other: Path) -> bool:
        """As the API's source does."""
        return self.api.samples_match(asset, other)

    def stop(self) -> None:
        """End every request at once."""
        self.api.stop()


def check_owner(db: psycopg.Connection, user: User) -> None:
    """Raises UsageError where the database does not know the user: then it is another Immich's."""
    if db.execute('SELECT 1 FROM "user" WHERE id = %s AND "deletedAt" IS NULL', (user.user_id,)).fetchone() is None:
        raise UsageError(
            f"the database of [sources.immich_db] does not know {user.name!r} ({user.user_id}), whose key this is: "
            "it belongs to another Immich"
        )


def _assets_query(db: psycopg.Connection) -> str:
    """The listing in the form of this database's schema, which is looked up and not derived from a version. Raises BadAnswer."""
    columns = {name for (name,) in db.execute(_FACE_COLUMNS)}
    # where there is no such table at all, the query itself names what is missing
    if column := next((name for name in _PEOPLE if name in columns or not columns), None):
        return _ASSETS.format(column=column, key=_PEOPLE[column])
    raise BadAnswer('Immich\'s database: asset_face has neither "personId" nor "personGroupId"; this facesets knows that of 2.7 to 3.2')


@contextmanager
def reading(url: str) -> Iterator[psycopg.Connection]:
    """A connection that cannot write, whose errors are ours."""
    try:
        import psycopg  # noqa: PLC0415 - an extra: most people have no way to the database
    except ImportError as err:
        raise UsageError(f"reading Immich's database needs a driver: {extras.get('db')}") from err
    if problem := database_problem(url):  # the driver's own message would quote parts of the password
        raise SettingsError(problem, key="[sources.immich_db] url")
    role = "the reader"
    try:
        with psycopg.connect(url, connect_timeout=10, application_name="facesets") as db:
            db.read_only, role = True, db.info.user
            yield db
    except psycopg.errors.InsufficientPrivilege as err:
        named = re.search(r"\btable (\w+)", str(err))  # servers that speak another language do not say it so: then all of them
        table = f'"{named[1]}"' if named and named[1] == "user" else named[1] if named else TABLES
        raise MissingGrant(_line(err), role, table) from err
    except (psycopg.ProgrammingError, psycopg.DataError) as err:  # columns of other types, say
        if err.sqlstate is None:  # of the address, not of the database
            raise SettingsError("must be postgresql://USER@HOST/DATABASE", key="[sources.immich_db] url") from None
        raise BadAnswer(f"Immich's database: {_line(err)}; this facesets knows that of 2.7 to 3.2") from err
    except psycopg.OperationalError as err:
        raise Unreachable(f"Immich's database ([sources.immich_db] url): {_line(err)}") from err


def _line(err: Exception) -> str:
    return scrub((str(err).splitlines() or [type(err).__name__])[0])


def _item(row: tuple[Any, ...]) -> Mapping[str, Any]:
    """A row in the form of an asset of the API."""
    (
        asset_id, owner_id, kind, path, name, checksum, library_id, offline, trashed, visibility, local, updated, thumbhash,
        width, height, edited, has_exif, exif_width, exif_height, orientation, size, found,
    ) = row  # fmt: skip
    faces = found or []
    exif = {"exifImageWidth": exif_width, "exifImageHeight": exif_height, "orientation": orientation, "fileSizeInByte": size}
    return {
        "id": asset_id, "ownerId": owner_id, "type": kind, "originalPath": path, "originalFileName": name,
        "checksum": base64.b64encode(checksum).decode(), "libraryId": library_id, "isOffline": offline, "isTrashed": trashed,
        "visibility": visibility, "localDateTime": _time(local), "updatedAt": _time(updated),
        "thumbhash": None if thumbhash is None else base64.b64encode(thumbhash).decode(), "width": width, "height": height,
        "isEdited": edited, "exifInfo": exif if has_exif else None,
        "unassignedFaces": [face for face in faces if face["person"] is None],
        "people": [{**face["person"], "faces": [face]} for face in faces if face["person"] is not None],
    }  # fmt: skip


def _time(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"

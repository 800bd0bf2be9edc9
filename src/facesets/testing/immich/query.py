"""The search request: what it may say, which assets it means, and in which order they come. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from facesets.testing.immich.auth import require_uuid
from facesets.testing.immich.dialects import Dialect, Problem, invalid
from facesets.testing.immich.ids import as_time
from facesets.testing.immich.library import Library
from facesets.testing.immich.records import SEEDED, Asset, User

TYPES = ("IMAGE", "VIDEO", "AUDIO", "OTHER")
VISIBILITIES = ("archive", "timeline", "hidden", "locked")
_TIMES = {
    "takenAfter": ("file_created_at", 1),
    "takenBefore": ("file_created_at", -1),
    "createdAfter": ("created_at", 1),
    "createdBefore": ("created_at", -1),
    "updatedAfter": ("updated_at", 1),
    "updatedBefore": ("updated_at", -1),
    "trashedAfter": ("deleted_at", 1),
    "trashedBefore": ("deleted_at", -1),
}
_PLAIN = {"page", "size", "order", "withExif", "withPeople", "takenAfter", "takenBefore"}
# what else can be answered for a lazy library, whose photos all stand in the timeline, untrashed, and are updated when they are taken
_LAZY = {"visibility", "withDeleted", "updatedAfter"}
_EXIF_TEXT = {"make": "make", "model": "model"}


@dataclass(frozen=True)
class Query:
    """A parsed search: page and order, and what an asset must be. Unknown fields are dropped silently, as Immich does."""

    page: int = 1
    size: int = 250
    descending: bool = True
    with_exif: bool = False
    with_people: bool = False
    album_ids: tuple[str, ...] = ()
    taken: tuple[datetime | None, datetime | None] = (None, None)
    asset_id: str | None = None
    plain: bool = False  # nothing but page, size, order, type IMAGE and a range of time is asked: a lazy library need not scan
    not_in_timeline: bool = False  # only where a lazy library has nothing
    tests: tuple[Callable[[Asset], bool], ...] = field(default=(), compare=False)

    def matches(self, asset: Asset) -> bool:
        """True where the asset passes every test."""
        return all(test(asset) for test in self.tests)


def parse(body: dict[str, Any], dialect: Dialect, library: Library) -> Query:
    """Read a search request. Raises 400 for a field that does not validate, 401 for locked assets."""
    kind = _choice(body, "type", TYPES)
    visibility = _choice(body, "visibility", VISIBILITIES)
    order = _choice(body, "order", ("asc", "desc"))
    page = _number(body, "page", 1, None, dialect) or 1
    size = _number(body, "size", 1, 1000, dialect) or 250
    if visibility == "locked":
        raise Problem(401, "Elevated permission is required")
    tests: list[Callable[[Asset], bool]] = []
    shown = {visibility} if visibility else dialect.default_visibilities
    tests.append(lambda a: a.visibility in shown)
    deleted_too = _true(body.get("withDeleted")) or _true(body.get("isOffline")) or "trashedAfter" in body or "trashedBefore" in body
    if not deleted_too:
        tests.append(lambda a: a.deleted_at is None)
    if kind:
        tests.append(lambda a: a.type == kind)
    asset_id = require_uuid(body["id"]) if body.get("id") is not None else None
    if asset_id:
        tests.append(lambda a: a.id == asset_id)
    album_ids = _uuids(body, "albumIds")
    tests += _time_tests(body) + _value_tests(body) + _relation_tests(body, library)
    touched = {k for k, v in body.items() if v is not None} - _PLAIN - _LAZY
    since = max((t for t in (_time(body, "takenAfter"), _time(body, "updatedAfter")) if t), default=None)
    return Query(
        page=page,
        size=size,
        descending=order != "asc",
        with_exif=_true(body.get("withExif")),
        with_people=_true(body.get("withPeople")),
        album_ids=album_ids,
        taken=(since, _time(body, "takenBefore")),
        asset_id=asset_id,
        plain=not touched or (touched == {"type"} and kind == "IMAGE"),
        not_in_timeline=visibility not in (None, "timeline"),
        tests=tuple(tests),
    )


def scope(query: Query, viewer: User, library: Library, dialect: Dialect) -> frozenset[str]:
    """Whose assets a search looks at: the viewer's and in-timeline partners'; 3.x opens shared albums that are asked for."""
    owners = {viewer.id, *library.partners_of(viewer.id, in_timeline=True)}
    if dialect.modern and query.album_ids:
        for album in map(library.albums.get, query.album_ids):
            if album and (viewer.id == album.owner_id or viewer.id in album.shared_with):
                owners |= {a.owner_id for a in map(library.asset, album.asset_ids) if a}
    return frozenset(owners)


def select(query: Query, owners: frozenset[str], library: Library) -> Sequence[Asset]:
    """The assets a query means, newest first unless asked otherwise; rows of one instant by id."""
    if query.plain and (rows := library.rows(owners, query.taken, descending=query.descending)) is not None:
        return [] if query.not_in_timeline else rows
    found = [a for a in _candidates(query, owners, library) if query.matches(a)]
    return sorted(found, key=lambda a: (a.file_created_at, a.id), reverse=query.descending)


def _candidates(query: Query, owners: frozenset[str], library: Library) -> Iterable[Asset]:
    if query.asset_id:
        one = library.asset(query.asset_id)
        return [one] if one and one.owner_id in owners else []
    return library.owned_by(owners)


def _true(value: object) -> bool:
    return value is True or value == "true"


def _choice(body: dict[str, Any], name: str, values: Sequence[str]) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if value not in values:
        raise invalid(name, "enum", values=values)
    return str(value)


def _number(body: dict[str, Any], name: str, low: int, high: int | None, dialect: Dialect) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        if dialect.modern or re.fullmatch(r"\s*-?[0-9]+\s*", value) is None:
            raise invalid(name, "type", expected="number", received="string")
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(name, "type", expected="number", received=type(value).__name__)
    if value < low:
        raise invalid(name, "min", limit=low)
    if high is not None and value > high:
        raise invalid(name, "max", limit=high)
    return int(value)


def _uuids(body: dict[str, Any], name: str) -> tuple[str, ...]:
    value = body.get(name)
    return tuple(require_uuid(str(one), name) for one in value) if isinstance(value, list) else ()


def _time(body: dict[str, Any], name: str) -> datetime | None:
    value = body.get(name)
    if value is None:
        return None
    try:
        return as_time(str(value), SEEDED)
    except ValueError:
        raise invalid(name, "type", expected="Date instance", received="string") from None


def _time_tests(body: dict[str, Any]) -> list[Callable[[Asset], bool]]:
    tests: list[Callable[[Asset], bool]] = []
    for name, (attribute, direction) in _TIMES.items():
        limit = _time(body, name)
        if limit is not None:
            tests.append(_time_test(attribute, limit, direction))
    return tests


def _time_test(attribute: str, limit: datetime, direction: int) -> Callable[[Asset], bool]:
    def test(asset: Asset) -> bool:
        value = getattr(asset, attribute)
        return value is not None and (value >= limit if direction > 0 else value <= limit)

    return test


def _value_tests(body: dict[str, Any]) -> list[Callable[[Asset], bool]]:
    tests: list[Callable[[Asset], bool]] = []
    for name, attribute in (("isFavorite", "is_favorite"), ("isOffline", "is_offline")):
        if (flag := body.get(name)) is not None:
            tests.append(_equals(attribute, _true(flag)))
    if (library_id := body.get("libraryId")) is not None:
        tests.append(lambda a: a.library_id == library_id)
    if body.get("withStacked") is False:
        tests.append(lambda a: a.stack_id is None)
    if (checksum := body.get("checksum")) is not None:
        sha1 = _sha1(str(checksum))
        tests.append(lambda a: a.sha1 == sha1)
    if (part := body.get("originalFileName")) is not None:
        tests.append(lambda a: str(part).lower() in a.file_name.lower())
    if (path := body.get("originalPath")) is not None:
        tests.append(lambda a: a.original_path == path)
    for wire, attribute in _EXIF_TEXT.items():
        if (text := body.get(wire)) is not None:
            tests.append(_exif_equals(attribute, text))
    return tests


def _equals(attribute: str, wanted: object) -> Callable[[Asset], bool]:
    return lambda a: getattr(a, attribute) == wanted


def _exif_equals(attribute: str, wanted: object) -> Callable[[Asset], bool]:
    return lambda a: getattr(a.exif, attribute) == wanted


def _among(ids: frozenset[str]) -> Callable[[Asset], bool]:
    return lambda a: a.id in ids


def _sha1(text: str) -> bytes:
    try:
        return bytes.fromhex(text) if len(text) == 40 else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""


def _relation_tests(body: dict[str, Any], library: Library) -> list[Callable[[Asset], bool]]:
    tests: list[Callable[[Asset], bool]] = []
    if people := set(_uuids(body, "personIds")):
        tests.append(lambda a: people <= {f.person_id for f in a.faces if f.is_visible and f.deleted_at is None})
    if tags := set(_uuids(body, "tagIds")):
        tests.append(lambda a: tags <= set(a.tag_ids))
    for album_id in _uuids(body, "albumIds"):
        album = library.albums.get(album_id)
        tests.append(_among(frozenset(album.asset_ids if album else ())))
    if _true(body.get("isNotInAlbum")):
        anywhere = frozenset(i for album in tuple(library.albums.values()) for i in album.asset_ids)
        tests.append(lambda a: a.id not in anywhere)
    return tests

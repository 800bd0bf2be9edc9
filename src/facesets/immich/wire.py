"""Immich room: what the wire carries, read into our own records. Pure.

Unknown fields and enum values are let through; a field that matters and is missing or of the wrong kind is a BadAnswer that
names it. Texts are data: they may hold anything but lone surrogates, which no UTF-8 file or database takes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from operator import contains, itemgetter
from typing import Any

from facesets.errors import BadAnswer
from facesets.records import Asset, FaceBox, SourcePerson

_MISSING = object()
_MONTH = re.compile(r"-?[0-9]{4,}-[0-9]{2}(?=-)")
_YEAR = re.compile(r"(?!0000)[0-9]{4}-")  # JavaScript writes others with a sign and six digits
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOST_PIXELS = 1e9  # beyond any picture; what is no number is not within either
_QUARTER_TURNS = frozenset("5678")  # EXIF orientations that swap width and height


def clean(value: str) -> str:
    """``value`` with lone surrogates written out as escapes."""
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()


def field(table: Any, name: str, kind: type | tuple[type, ...], where: str) -> Any:
    """``table[name]``, which must be there and of ``kind``. Raises BadAnswer naming it."""
    value = table.get(name, _MISSING) if type(table) is dict else _MISSING  # a JSON object is a dict; asked millions of times
    if value is _MISSING:
        raise BadAnswer(f"{where}: the answer lacks {name!r}, which this version of facesets needs")
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
        raise BadAnswer(f"{where}: {name!r} is {type(value).__name__}, which makes no sense there")
    return clean(value) if isinstance(value, str) else value


class _Several:
    """:func:`field` for several fields at once, which is quick where all is well: a listing asks this of millions."""

    def __init__(self, kinds: Mapping[str, tuple[type, ...]]) -> None:
        self.kinds, self._pick, self._allowed = kinds, itemgetter(*kinds), tuple(kinds.values())

    def of(self, table: Any, where: str) -> list[Any]:
        """Their values, in the order of ``kinds``. Raises BadAnswer naming the first that is missing or odd."""
        values = self._pick(table) if type(table) is dict and table.keys() >= self.kinds.keys() else ()
        if values and all(map(contains, self._allowed, map(type, values))):
            return [clean(value) if type(value) is str else value for value in values]
        return [field(table, name, kind, where) for name, kind in self.kinds.items()]


_ASSET = _Several(
    {
        **dict.fromkeys(("id", "ownerId", "type", "originalPath", "visibility", "checksum"), (str,)),
        **dict.fromkeys(("isTrashed", "isOffline"), (bool,)),
    }
)
_BOX = _Several(dict.fromkeys((*(f"boundingBox{c}" for c in ("X1", "Y1", "X2", "Y2")), "imageWidth", "imageHeight"), (int, float)))


def uuid(table: Any, name: str, where: str) -> str:
    """An id, in Immich's one form; ids travel in URLs, so nothing else is let through. Raises BadAnswer."""
    return _id(field(table, name, str, where), name, where)


def _id(value: str, name: str, where: str) -> str:
    value = value.lower()
    if not _UUID.fullmatch(value):
        raise BadAnswer(f"{where}: {name!r} is not an id: {value[:80]!r}")
    return value


def asset(item: Any, where: str = "asset") -> Asset:
    """An asset of a search answer (2.x and 3.x). Its boxes are None where the answer has no ``unassignedFaces`` (3.x)."""
    asset_id = uuid(item, "id", where)
    where = f"{where} {asset_id}"
    _, owner_id, kind, path, visibility, checksum, is_trashed, is_offline = _ASSET.of(item, where)
    exif = item.get("exifInfo")
    exif = exif if isinstance(exif, Mapping) else {}
    width, height = _oriented_size(item, exif)
    return Asset(
        owner_id=_id(owner_id, "ownerId", where),
        asset_id=asset_id,
        type=kind,
        original_path=path,
        file_name=_text(item, "originalFileName"),
        mime_type=_text(item, "originalMimeType"),
        sha1=_sha1(item, checksum, path, where),
        library_id=_text(item, "libraryId") or None,
        size_bytes=whole(exif.get("fileSizeInByte")),
        width=width,
        height=height,
        taken_at=_local_time(item),
        updated_at=_text(item, "updatedAt") or None,
        thumbhash=_text(item, "thumbhash") or None,
        visibility=visibility,
        is_trashed=is_trashed,
        is_offline=is_offline,
        is_edited=item.get("isEdited") is True,
        boxes=boxes(item, where) if isinstance(item.get("unassignedFaces"), list) else None,
    )


def boxes(item: Mapping[str, Any], where: str) -> tuple[FaceBox, ...]:
    """The boxes a search answer of 2.x carries: people's faces and the unassigned ones, in one order that hangs on nothing else."""
    found = [_box(face, None, where) for face in _list(item.get("unassignedFaces"))]
    for person in _list(item.get("people")):
        if isinstance(person, Mapping):
            found += [_box(face, person, where) for face in _list(person.get("faces"))]
    return ordered(found)


def faces(answer: Any, where: str) -> tuple[FaceBox, ...]:
    """The boxes of ``GET /faces``. Raises BadAnswer."""
    if not isinstance(answer, list):
        raise BadAnswer(f"{where}: not a list of faces")
    return ordered([_box(face, face.get("person") if isinstance(face, Mapping) else None, where) for face in answer])


def streamed_face(data: Mapping[str, Any], where: str) -> FaceBox:
    """A box of the sync stream, which names the person by id only. Raises BadAnswer."""
    return _box(data, {"id": data.get("personId")}, where)


def person(item: Any, owner_id: str) -> SourcePerson:
    """Somebody of ``GET /people``. Raises BadAnswer."""
    return SourcePerson(
        owner_id,
        uuid(item, "id", "people"),
        field(item, "name", str, "people"),
        birth_date(_text(item, "birthDate")),
        item.get("isHidden") is True,
    )


def birth_date(text: str) -> str | None:
    """A date (ISO 8601), also where a time follows it; None where it is none."""
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return None


def page(answer: Any, where: str) -> tuple[list[Any], int | None]:
    """The items of a search page and the number of the next one (a text, a number or null on the wire)."""
    assets = field(answer, "assets", dict, where)
    items = field(assets, "items", list, where)
    following = assets.get("nextPage")
    if following is None:
        return items, None
    if isinstance(following, bool) or not str(following).isdecimal():
        raise BadAnswer(f"{where}: 'nextPage' is {following!r}")
    return items, int(following)


def month(bucket: Any, where: str) -> str:
    """Which month a timeline bucket is of (``2020-05``). Raises BadAnswer."""
    text = field(bucket, "timeBucket", str, where)
    found = _MONTH.match(text)
    if found is None:
        raise BadAnswer(f"{where}: 'timeBucket' is {text[:40]!r}")
    return found[0]


def bucket_ids(answer: Any, where: str) -> Iterator[tuple[str, str]]:
    """``(asset id, owner id)`` of a timeline bucket, whose fields are columns. Raises BadAnswer."""
    ids, owners = field(answer, "id", list, where), field(answer, "ownerId", list, where)
    if len(ids) != len(owners):
        raise BadAnswer(f"{where}: {len(ids)} ids, {len(owners)} owners")
    known = {o: uuid({"ownerId": o}, "ownerId", where) for o in set(map(str, owners))}
    return ((uuid({"id": i}, "id", where), known[str(o)]) for i, o in zip(ids, owners, strict=True))


def _box(face: Any, person: Any, where: str) -> FaceBox:
    x1, y1, x2, y2, width, height = numbers = _BOX.of(face, where)
    if not all(-_MOST_PIXELS < number < _MOST_PIXELS for number in numbers):
        raise BadAnswer(f"{where}: a face box whose coordinates are no numbers")
    known = isinstance(person, Mapping)
    return FaceBox(
        float(x1), float(y1), float(x2), float(y2), int(width), int(height), _text(face, "id"),
        person_id=(_text(person, "id") or None) if known else None,
        person_name=(_text(person, "name") or None) if known else None,
    )  # fmt: skip


def ordered(found: Iterable[FaceBox]) -> tuple[FaceBox, ...]:
    """Boxes in one order that hangs on nothing but themselves."""
    return tuple(sorted(found, key=lambda box: (box.x1, box.y1, box.x2, box.y2, box.face_id)))


def _sha1(item: Mapping[str, Any], checksum: str, path: str, where: str) -> str | None:
    """The SHA-1 of the bytes, hex, where it is one: external libraries send that of ``path:<originalPath>``, and do not say so."""
    try:
        digest = base64.b64decode(checksum, validate=True)
    except ValueError as err:
        raise BadAnswer(f"{where}: 'checksum' is not base64") from err
    external = item.get("libraryId", "unknown") is not None or digest == hashlib.sha1(b"path:" + path.encode()).digest()  # noqa: S324
    return None if external or len(digest) != 20 else digest.hex()


def _oriented_size(item: Mapping[str, Any], exif: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The original's size as displayed. The asset's own width and height are those of its edited version."""
    width, height = whole(exif.get("exifImageWidth")), whole(exif.get("exifImageHeight"))
    if width and height:
        return (height, width) if str(exif.get("orientation")) in _QUARTER_TURNS else (width, height)
    if item.get("isEdited") is True:
        return None, None
    return whole(item.get("width")), whole(item.get("height"))


def _local_time(item: Mapping[str, Any]) -> str | None:
    """Wall-clock time where the photo was taken. Immich marks it Z, which it is not. None beyond the years 1 to 9999."""
    value = _text(item, "localDateTime") or _text(item, "fileCreatedAt")
    return value.removesuffix("Z") if _YEAR.match(value) else None


def _text(table: Any, name: str) -> str:
    value = table.get(name)
    return clean(value) if isinstance(value, str) else ""


def whole(value: Any) -> int | None:
    """A whole number of 1 to 2**53, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 2**53:
        return None
    return int(value)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

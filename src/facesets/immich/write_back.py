"""Immich room: what changes something there (people, whose a face is, albums, tags), and what has to be known first. Network only.

Each writing function is one request, sent once: a lost answer does not say that nothing was done. It raises Unreachable where no good
answer came (it may have been done all the same), BadAnswer where the server refuses, MissingPermission naming what the key lacks.
Nothing here is idempotent but :func:`rename`, :func:`assign_face`, :func:`upsert_tag`, :func:`tag_assets` and what takes away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facesets.errors import NotFound
from facesets.immich import wire
from facesets.immich.response import Response, not_immich
from facesets.immich.transport import Client
from facesets.records import FaceBox

_PAGE = 1000  # the most that Immich gives
_PROMPT = 40  # characters of a name that are searched for
_DRAWN = "manual"  # the source of a face that was drawn
_WILD = re.compile(r"[\\%_]")
AT_ONCE = 500  # ids in one request


@dataclass(frozen=True, slots=True)
class PersonNow:
    """A person as Immich has it now. ``updated_at`` (ISO 8601) moves with a new featured face, too.

    ``has_picture``: Immich has made one, of the first face that they were given.
    """

    person_id: str
    name: str
    birth_date: str | None
    is_hidden: bool
    updated_at: str
    has_picture: bool


@dataclass(frozen=True, slots=True)
class AssetNow:
    """Of an asset as Immich has it now: whose it is, and what keeps it from being written to."""

    asset_id: str
    owner_id: str
    visibility: str
    is_trashed: bool
    is_edited: bool
    updated_at: str
    size: tuple[int, int] | None  # oriented pixels of the original
    thumbhash: str | None
    tags: frozenset[str]  # ids


@dataclass(frozen=True, slots=True)
class NamedItem:
    """An album or a tag: id, name (of a tag its path), and of an album its description."""

    id: str
    name: str
    description: str = ""


def people(client: Client) -> Iterator[PersonNow]:
    """Everybody with a face in a photo of the timeline, the hidden too, the unnamed from a few faces on (``person.read``)."""
    page, seen = 1, set[str]()
    while True:
        answer = client.get("/people", {"withHidden": "true", "size": str(_PAGE), "page": str(page)})
        new = [one for item in wire.field(answer, "people", list, "people") if (one := _person(item)).person_id not in seen]
        seen.update(one.person_id for one in new)
        yield from new
        if answer.get("hasNextPage") is not True or not new:
            return
        page += 1


def person(client: Client, person_id: str) -> PersonNow | None:
    """One person; None where there is none any more, or it is somebody else's (``person.read``)."""
    try:
        return _person(client.get(f"/people/{person_id}"))
    except NotFound:
        return None


def people_called(client: Client, name: str) -> list[PersonNow]:
    """People whose name may be this one, to be compared; those without a face too (``person.read``).

    Asked for by the name's beginning, up to what a search of Immich takes for something else; none where nothing is left of it.
    """
    prompt = _WILD.split(name, maxsplit=1)[0][:_PROMPT].strip()
    found = client.get("/search/person", {"name": prompt, "withHidden": "true"}) if prompt else None
    return [_person(item) for item in (found if isinstance(found, list) else [])]


def photos_of(client: Client, person_id: str) -> int:
    """In how many photos of the timeline a person stands (``person.statistics``)."""
    return int(wire.field(client.get(f"/people/{person_id}/statistics"), "assets", int, "people"))


def has_faces(client: Client, person_id: str) -> bool:
    """Whether a person has a face in any photo that the key shows, archived, hidden and trashed ones too (``asset.read``)."""
    return _any(client, {"personIds": [person_id]})


def people_of_faces(client: Client, asset_id: str) -> dict[str, str | None]:
    """Face's id -> the id of its person, of the visible faces of an asset (``face.read``). Raises NotFound."""
    found = wire.faces(client.get("/faces", {"id": asset_id}), f"faces of {asset_id}")
    return {box.face_id: box.person_id for box in found}


def drawn_faces(client: Client, asset_id: str) -> tuple[FaceBox, ...]:
    """Of the visible faces of an asset those that were drawn, not found by machine or read from the file (``face.read``)."""
    found = client.get("/faces", {"id": asset_id})
    drawn = [face for face in found if isinstance(face, Mapping) and face.get("sourceType", _DRAWN) == _DRAWN]
    return wire.faces(drawn, f"faces of {asset_id}")


def asset(client: Client, asset_id: str) -> AssetNow | None:
    """One asset; None where it is not shown to this key: deleted, locked, a stranger's (``asset.read``)."""
    try:
        item = client.get(f"/assets/{asset_id}")
    except NotFound:
        return None
    found = wire.asset(item, f"asset {asset_id}")
    tags = item.get("tags")
    ids = frozenset(str(tag["id"]) for tag in (tags if isinstance(tags, list) else []) if isinstance(tag, Mapping) and "id" in tag)
    size = (found.width, found.height) if found.width and found.height else None
    return AssetNow(
        found.asset_id, found.owner_id, found.visibility, found.is_trashed, found.is_edited, found.updated_at or "", size,
        found.thumbhash, ids,
    )  # fmt: skip


def create_person(client: Client, name: str) -> str:
    """A new person; a second one of a name is a second one. Returns the id (``person.create``)."""
    return wire.uuid(client.post("/people", {"name": name}), "id", "people")


def rename(client: Client, person_id: str, name: str) -> None:
    """Call a person so; "" takes the name away (``person.update``)."""
    _update(client, person_id, {"name": name})


def feature(client: Client, person_id: str, asset_id: str) -> None:
    """Let a person's face in this photo stand for them (``person.update``)."""
    _update(client, person_id, {"featureFaceAssetId": asset_id})


def delete_person(client: Client, person_id: str) -> None:
    """The person goes, their faces become nobody's (``person.delete``)."""
    _send(client, "DELETE", f"/people/{person_id}")


def assign_face(client: Client, face_id: str, person_id: str) -> None:
    """A face is this person's (``face.update``)."""
    _send(client, "PUT", f"/faces/{person_id}", {"id": face_id})


def draw_face(client: Client, asset_id: str, person_id: str, box: tuple[int, int, int, int], frame: tuple[int, int]) -> None:
    """A new face of a person; ``box`` is x1, y1, x2, y2 in ``frame``. The answer does not say its id (``face.create``)."""
    x1, y1, x2, y2 = box
    place = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "imageWidth": frame[0], "imageHeight": frame[1]}
    _send(client, "POST", "/faces", {"assetId": asset_id, "personId": person_id, **place})


def delete_face(client: Client, face_id: str) -> None:
    """A face goes for good: only ever one that was drawn from here (``face.delete``)."""
    _send(client, "DELETE", f"/faces/{face_id}", {"force": True})


def albums(client: Client, owner_id: str) -> list[NamedItem]:
    """The user's own albums, not those that others share with them (``album.read``)."""
    found = client.get("/albums")
    return [
        NamedItem(
            wire.uuid(item, "id", "albums"),
            wire.field(item, "albumName", str, "albums"),
            wire.field(item, "description", str, "albums"),
        )
        for item in (found if isinstance(found, list) else [])
        if _owner(item) == owner_id
    ]  # fmt: skip


def in_album(client: Client, album_id: str) -> set[str]:
    """Ids of the assets of an album that are not in the trash (``asset.read``, ``album.read`` on 2.x)."""
    answer = client.get(f"/albums/{album_id}")
    if isinstance(answer.get("assets"), list):  # 2.x, whose search loses rows
        return {wire.uuid(item, "id", "album") for item in answer["assets"]}
    found: set[str] = set()
    page: int | None = 1
    while page is not None:
        items, page = wire.page(client.search("/search/metadata", {"albumIds": [album_id], "size": _PAGE, "page": page}), "search")
        found.update(wire.uuid(item, "id", "album") for item in items)
    return found


def is_album_used(client: Client, album_id: str) -> bool:
    """Whether any asset that the key shows is in an album, those in the trash too (``asset.read``, ``album.read`` on 2.x)."""
    return bool(in_album(client, album_id)) or _any(client, {"albumIds": [album_id]})


def create_album(client: Client, name: str, description: str) -> str:
    """A new album; a second one of a name is a second one. Returns the id (``album.create``)."""
    return wire.uuid(client.post("/albums", {"albumName": name, "description": description}), "id", "albums")


def add_to_album(client: Client, album_id: str, asset_ids: Sequence[str]) -> dict[str, str]:
    """Put assets in. Returns those that were not: id -> why, ``duplicate`` where it was there (``albumAsset.create``)."""
    return _each(client, "PUT", f"/albums/{album_id}/assets", asset_ids)


def remove_from_album(client: Client, album_id: str, asset_ids: Sequence[str]) -> dict[str, str]:
    """Take assets out; they stay in the library. Returns those that were not, with the reason (``albumAsset.delete``)."""
    return _each(client, "DELETE", f"/albums/{album_id}/assets", asset_ids)


def rename_album(client: Client, album_id: str, name: str) -> None:
    """Call an album so (``album.update``)."""
    _send(client, "PATCH", f"/albums/{album_id}", {"albumName": name})


def delete_album(client: Client, album_id: str) -> None:
    """The album goes, its assets stay (``album.delete``)."""
    _send(client, "DELETE", f"/albums/{album_id}")


def tags(client: Client) -> list[NamedItem]:
    """The tags of the key's owner, by path (``tag.read``)."""
    found = client.get("/tags")
    return [
        NamedItem(wire.uuid(item, "id", "tags"), wire.field(item, "value", str, "tags"))
        for item in (found if isinstance(found, list) else [])
    ]  # fmt: skip


def upsert_tag(client: Client, path: str) -> str:
    """The tag of this path, made with its parents where it is not there. Returns the id (``tag.create``)."""
    answer = client.exchange("PUT", "/tags", client.read_json, body={"tags": [path]})
    return wire.uuid(answer[0] if isinstance(answer, list) and answer else {}, "id", "tags")


def is_tag_used(client: Client, tag_id: str) -> bool:
    """Whether any asset that the key shows bears a tag, or one below it (``asset.read``)."""
    return _any(client, {"tagIds": [tag_id]})


def tag_assets(client: Client, tag_id: str, asset_ids: Sequence[str]) -> None:
    """Put a tag on own assets; those of others are left out by the server without a word (``tag.asset``)."""
    for some in _chunks(asset_ids):
        _send(client, "PUT", "/tags/assets", {"tagIds": [tag_id], "assetIds": some})


def untag_assets(client: Client, tag_id: str, asset_ids: Sequence[str]) -> None:
    """Take a tag off assets; a file that was written beside an original stays, without it (``tag.asset``)."""
    _each(client, "DELETE", f"/tags/{tag_id}/assets", asset_ids)


def delete_tag(client: Client, tag_id: str) -> None:
    """The tag goes, with those below it (``tag.delete``)."""
    _send(client, "DELETE", f"/tags/{tag_id}")


def _any(client: Client, asked: Mapping[str, Any]) -> bool:
    kinds = ("timeline", "archive", "hidden")
    pages = (client.search("/search/metadata", {**asked, "visibility": shown, "withDeleted": True, "size": 1}) for shown in kinds)
    return any(wire.page(page, "search")[0] for page in pages)


def _owner(album: Mapping[str, Any]) -> str:
    """Whose an album is: 2.x says it, 3.x has it among those who may see it."""
    if isinstance(album.get("ownerId"), str):
        return str(album["ownerId"])
    users = album.get("albumUsers")
    own = (one["user"] for one in (users if isinstance(users, list) else []) if one.get("role") == "owner")
    return next((wire.uuid(user, "id", "albums") for user in own), "")


def _update(client: Client, person_id: str, fields: Mapping[str, Any]) -> None:
    try:
        _send(client, "PUT", f"/people/{person_id}", fields)
    except NotFound:  # 3.x calls it deprecated: a later one may have PATCH alone. Who is not there is refused with 400
        _send(client, "PATCH", f"/people/{person_id}", fields)


def _each(client: Client, method: str, path: str, ids: Sequence[str]) -> dict[str, str]:
    failed: dict[str, str] = {}
    for some in _chunks(ids):
        answer = client.exchange(method, path, client.read_json, body={"ids": some})
        for row in answer if isinstance(answer, list) else []:
            if isinstance(row, Mapping) and row.get("success") is not True:
                failed[str(row.get("id"))] = str(row.get("error"))
    return failed


def _chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    rest = list(ids)
    for start in range(0, len(rest), AT_ONCE):
        yield rest[start : start + AT_ONCE]


def _send(client: Client, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
    def consume(response: Response) -> None:
        if "json" in response.content_type:
            client.read_json(response)
        elif response.read():  # what is done is answered in JSON, or with nothing; a login page has done nothing
            raise not_immich(response, f"{client.shown}{path}", "")

    client.exchange(method, path, consume, body=body)


def _person(item: Any) -> PersonNow:
    known = wire.person(item, "")
    updated = item.get("updatedAt")
    updated = updated if isinstance(updated, str) else ""
    return PersonNow(
        known.person_id, known.name, known.birth_date, known.is_hidden, updated, bool(item.get("thumbnailPath")),
    )  # fmt: skip

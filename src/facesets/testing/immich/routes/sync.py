"""The sync stream: everything a session's user owns as JSON lines, and afterwards only what changed.

A row's place in the stream is the number of its last change. Changes are found by comparing each row with what it was when the stream
last looked, so a test may alter the library in any way it likes. Acknowledgements carry that number in a UUID of version 7's shape.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from facesets.testing.immich import wire
from facesets.testing.immich.dialects import Invalid, Problem
from facesets.testing.immich.edits import edited_size
from facesets.testing.immich.ids import digest, js_time
from facesets.testing.immich.records import Asset, Face, Person
from facesets.testing.immich.routing import Call, SyncMemory, route
from facesets.testing.immich.transport import Response

_FIRST = (
    *("Albums", "AlbumUsers", "AlbumToAssets", "AlbumAssets", "AlbumAssetExifs"),
    *("Assets", "AssetExifs", "AssetEdits", "AssetMetadata", "AuthUsers", "Memories", "MemoryToAssets"),
    *("Partners", "PartnerAssets", "PartnerAssetExifs", "PartnerStacks", "Stacks", "Users", "People", "AssetFaces"),
)
TYPES_2 = (*(f"{name}V1" for name in _FIRST), "AssetFacesV2", "UserMetadataV1")
TYPES_3 = (*TYPES_2, "AlbumsV2", "AlbumAssetsV2", "AssetsV2", "AssetOcrV1", "PartnerAssetsV2")
_DEPRECATED = {"AssetsV1": "AssetsV2", "AssetFacesV1": "AssetFacesV2", "PartnerAssetsV1": "PartnerAssetsV2", "AlbumsV1": "AlbumsV2"}
Row = tuple[str, wire.Json]  # id, data


def _maybe(value: datetime | None) -> str | None:
    return js_time(value) if value else None


def _asset(one: Asset, call: Call, *, second: bool) -> wire.Json:
    size = edited_size(one) or (None, None)
    text = wire.duration(one, call.dialect)
    return {
        "id": one.id,
        "ownerId": one.owner_id,
        "originalFileName": one.file_name,
        "fileCreatedAt": js_time(one.file_created_at),
        "fileModifiedAt": js_time(one.file_modified_at),
        **({"createdAt": js_time(one.created_at)} if second else {}),
        "localDateTime": js_time(one.local_time),
        "type": one.type,
        "deletedAt": _maybe(one.deleted_at),
        "isFavorite": one.is_favorite,
        "visibility": one.visibility,
        "duration": one.duration_ms if second else None if one.duration_ms is None else text,
        "livePhotoVideoId": one.live_photo_video_id,
        "stackId": one.stack_id,
        "libraryId": one.library_id,
        "width": size[0],
        "height": size[1],
        "isEdited": bool(one.edits),
        "checksum": one.checksum,
        "thumbhash": one.thumbhash,
    }


def _exif(one: Asset) -> wire.Json:
    info = wire.exif(one)
    dates = {"dateTimeOriginal": _maybe(one.exif.date_time_original), "modifyDate": _maybe(one.exif.modify_date)}
    return {"assetId": one.id, **info, **dates, "profileDescription": None, "fps": None}


def _face(one: Face, asset: Asset, *, second: bool) -> wire.Json:
    return {
        "id": one.id,
        "assetId": asset.id,
        "personId": one.person_id,
        "imageWidth": one.image_width,
        "imageHeight": one.image_height,
        "boundingBoxX1": one.x1,
        "boundingBoxY1": one.y1,
        "boundingBoxX2": one.x2,
        "boundingBoxY2": one.y2,
        "sourceType": one.source_type,
        **({"isVisible": one.is_visible, "deletedAt": _maybe(one.deleted_at)} if second else {}),
    }


def _person(one: Person) -> wire.Json:
    return {
        "id": one.id,
        "createdAt": js_time(one.created_at),
        "updatedAt": js_time(one.updated_at),
        "ownerId": one.owner_id,
        "name": one.name,
        "birthDate": f"{one.birth_date}T00:00:00.000Z" if one.birth_date else None,
        "isHidden": one.is_hidden,
        "isFavorite": one.is_favorite,
        "color": one.color,
        "faceAssetId": one.face_id,
    }


def _rows(kind: str, call: Call) -> tuple[str, str, str, Iterable[Row]]:
    """Of a requested type: the entity streamed, the entity of a deletion and its field, and the rows as they are now."""
    own = call.library.owned_by(frozenset({call.user.id}))
    second = kind.endswith("V2")
    match kind[:-2]:
        case "Assets":
            return f"Asset{kind[-2:]}", "AssetDeleteV1", "assetId", ((a.id, _asset(a, call, second=second)) for a in own)
        case "AssetExifs":
            return "AssetExifV1", "", "", ((a.id, _exif(a)) for a in own)
        case "AssetFaces":
            faces = ((f.id, _face(f, a, second=second)) for a in own for f in a.faces)
            return f"AssetFace{kind[-2:]}", "AssetFaceDeleteV1", "assetFaceId", faces
        case "People":
            people = [p for p in tuple(call.library.people.values()) if p.owner_id == call.user.id]
            return "PersonV1", "PersonDeleteV1", "personId", ((p.id, _person(p)) for p in people)
        case _:
            return kind, "", "", ()


def _uuid7(number: int) -> str:
    h = f"{number:012x}"
    rest = digest("update", number).hex()
    return f"{h[:8]}-{h[8:]}-7{rest[:3]}-8{rest[3:6]}-{rest[6:18]}"


def _number(ack: str | None) -> int:
    parts = ack.split("|")[1].split("-") if ack else []
    return int(parts[0] + parts[1], 16) if len(parts) == 5 else 0


def _changes(kind: str, call: Call, memory: SyncMemory) -> Iterable[tuple[int, str, wire.Json]]:
    """Rows and deletions of one type, with the number of their last change, in that order."""
    entity, deletion, field, rows = _rows(kind, call)
    if call.library.rows(frozenset({call.user.id})) is not None:  # a lazy library never changes: rows are numbered as they come
        return ((number, entity, data) for number, (_, data) in enumerate(rows, 1))
    found, present = [], set()
    for row_id, data in rows:
        key = (call.user.id, entity, row_id)
        present.add(key)
        mark = digest(json.dumps(data, sort_keys=True))
        if memory.rows.get(key, (b"", 0))[0] != mark:
            memory.changes += 1
            memory.rows[key] = (mark, memory.changes)
            memory.gone.pop(key, None)
        found.append((memory.rows[key][1], entity, data))
    for key in [k for k in memory.rows if k[:2] == (call.user.id, entity) and k not in present]:
        del memory.rows[key]
        memory.changes += 1
        memory.gone[key] = memory.changes
    if deletion:
        found += [(n, deletion, {field: k[2]}) for k, n in memory.gone.items() if k[:2] == (call.user.id, entity)]
    return sorted(found, key=lambda c: c[0])


def _types(call: Call) -> list[str]:
    wanted = call.json().get("types", [])
    allowed = TYPES_3 if call.dialect.modern else TYPES_2
    if not isinstance(wanted, list) or any(t not in allowed for t in wanted):
        mislabelled = {"Content-Type": "application/jsonlines+json; charset=utf-8"}
        raise Problem(400, "", Invalid("types", "each", values=allowed), headers=mislabelled)
    for one in wanted if call.dialect.modern else ():
        if one in _DEPRECATED:
            raise Problem(400, f"SyncRequestType.{one} is deprecated, use SyncRequestType.{_DEPRECATED[one]} instead")
    return list(wanted)


def _session(call: Call) -> str:
    if call.caller is None or call.caller.session is None:
        raise Problem(403, "Sync endpoints cannot be used with API keys")
    return call.caller.session


@route("POST", "/api/sync/stream", "sync.stream")
def stream(call: Call) -> Any:
    """What the session has not acknowledged yet, type by type, then SyncCompleteV1; ``reset`` begins anew."""
    session = _session(call)
    wanted = _types(call)
    memory = call.state.sync
    if call.json().get("reset") is True:
        memory.acks.pop(session, None)
    acks = memory.acks.setdefault(session, {})
    acked = {entity: _number(ack) for entity, ack in acks.items()}

    def lines() -> Iterator[bytes]:
        for kind in wanted:
            for number, entity, data in _changes(kind, call, memory):
                if number > acked.get(entity, 0):
                    yield _line(entity, data, number)
        yield _line("SyncCompleteV1", {}, memory.changes)

    headers = {"Content-Type": "application/jsonlines+json", "Vary": "Accept-Encoding"}
    return Response(200, headers, stream=lines(), compress=True)


def _line(entity: str, data: wire.Json, number: int) -> bytes:
    row = {"type": entity, "data": data, "ack": f"{entity}|{_uuid7(number)}"}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


@route("POST", "/api/sync/ack", "syncCheckpoint.update", status=204)
def set_acks(call: Call) -> Any:
    """Remember how far the session has got."""
    acks = call.state.sync.acks.setdefault(_session(call), {})
    acks.update({str(ack).split("|", 1)[0]: str(ack) for ack in call.json().get("acks", [])})


@route("POST", "/api/sync/full-sync", "all", majors=(2,))
def full(call: Call) -> Any:
    """2.x's older way: the caller's assets by id, a limited number after ``lastId``; trashed and locked ones too."""
    body = call.json()
    owner = body.get("userId") or call.user.id
    rows = sorted(call.library.owned_by(frozenset({str(owner)})), key=lambda a: a.id)
    last = str(body.get("lastId") or "")
    chosen = [a for a in rows if a.id > last and a.visibility != "locked"][: int(body.get("limit", 10000))]
    return [wire.asset(a, call.dialect, with_exif=True, detail={"stack": wire.asset_detail(a, call.library)["stack"]}) for a in chosen]

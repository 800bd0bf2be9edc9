"""Library records as the JSON that Immich sends. Pure; one function a wire type."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from facesets.testing.immich.dialects import Dialect
from facesets.testing.immich.edits import edited_box, edited_size
from facesets.testing.immich.ids import js_time, pg_time
from facesets.testing.immich.library import Library
from facesets.testing.immich.records import Asset, Face, Person, User

Json = dict[str, Any]
_EXIF_REST = (
    "lensModel",
    "fNumber",
    "focalLength",
    "iso",
    "exposureTime",
    "latitude",
    "longitude",
    "city",
    "state",
    "country",
)


def user_brief(user: User, *, stamp: Callable[[datetime], str] = js_time) -> Json:
    """UserResponseDto."""
    return {
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "profileImagePath": "",
        "avatarColor": user.avatar_color,
        "profileChangedAt": stamp(user.created_at),
    }


def user_full(user: User, usage: int, dialect: Dialect) -> Json:
    """UserAdminResponseDto: what ``/users/me`` and the admin's list give."""
    return {
        **user_brief(user),
        **({"clusterGroupId": user.cluster_group_id} if dialect.has_cluster_groups else {}),
        "storageLabel": user.storage_label,
        "shouldChangePassword": True,
        "isAdmin": user.is_admin,
        "createdAt": js_time(user.created_at),
        "deletedAt": None,
        "updatedAt": js_time(user.updated_at),
        "oauthId": "",
        "quotaSizeInBytes": None,
        "quotaUsageInBytes": usage,
        "status": "active",
        "license": None,
    }


def person(one: Person, *, stamp: Callable[[datetime], str] = js_time) -> Json:
    """PersonResponseDto; ``color`` stands only where there is one."""
    made = f"/data/thumbs/{one.owner_id}/{one.id[:2]}/{one.id[2:4]}/{one.id}.jpeg"
    return {
        "id": one.id,
        "name": one.name,
        "birthDate": one.birth_date,
        "thumbnailPath": made if one.thumbnail else "",
        "isHidden": one.is_hidden,
        "isFavorite": one.is_favorite,
        **({"color": one.color} if one.color else {}),
        "updatedAt": stamp(one.updated_at),
    }


def visible_faces(asset: Asset) -> list[Face]:
    """The rows that the API shows: not invisible, not deleted."""
    return [f for f in asset.faces if f.is_visible and f.deleted_at is None]


def face(one: Face, asset: Asset, *, edited: bool) -> Json:
    """AssetFaceWithoutPersonResponseDto; ``edited`` puts the box into the edited picture's frame."""
    stored = one.x1, one.y1, one.x2, one.y2, one.image_width, one.image_height
    x1, y1, x2, y2, width, height = edited_box(asset, one) if edited else stored
    return {
        "id": one.id,
        "boundingBoxX1": x1,
        "boundingBoxY1": y1,
        "boundingBoxX2": x2,
        "boundingBoxY2": y2,
        "imageWidth": width,
        "imageHeight": height,
        "sourceType": one.source_type,
    }


def face_with_person(one: Face, asset: Asset, library: Library, viewer: str) -> Json:
    """AssetFaceResponseDto; a person of somebody else is not told."""
    known = library.person_of(one.person_id, viewer)
    return {**face(one, asset, edited=True), "person": person(known, stamp=pg_time) if known else None}


def people_of(asset: Asset, library: Library, dialect: Dialect, *, edited: bool) -> Json:
    """``people`` and, in 2.x, ``unassignedFaces``."""
    people: dict[str, Json] = {}
    loose: list[Json] = []
    for one in visible_faces(asset):
        who = library.person_of(one.person_id, asset.owner_id)
        if who is None:
            loose.append(face(one, asset, edited=edited))
            continue
        entry = people.setdefault(who.id, person(who, stamp=pg_time))
        if dialect.faces_in_search:
            entry.setdefault("faces", []).append(face(one, asset, edited=edited))
    return {"people": list(people.values()), **({"unassignedFaces": loose} if dialect.faces_in_search else {})}


def exif(asset: Asset) -> Json:
    """ExifResponseDto: sizes raw, as stored in the file."""
    info = asset.exif
    return {
        "make": info.make,
        "model": info.model,
        "exifImageWidth": info.width,
        "exifImageHeight": info.height,
        "fileSizeInByte": asset.size,
        "orientation": info.orientation,
        "dateTimeOriginal": pg_time(info.date_time_original) if info.date_time_original else None,
        "modifyDate": pg_time(info.modify_date) if info.modify_date else None,
        "timeZone": info.time_zone,
        **dict.fromkeys(_EXIF_REST),
        "description": info.description,
        "projectionType": None,
        "rating": None,
        **info.more,
    }


def duration(asset: Asset, dialect: Dialect) -> str | int | None:
    """Text in 2.x, whole milliseconds or null in 3.x."""
    if dialect.modern:
        return asset.duration_ms
    if asset.duration_ms is None:
        return "0:00:00.00000"
    seconds, ms = divmod(asset.duration_ms, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{ms:03d}"


def asset(
    one: Asset,
    dialect: Dialect,
    *,
    with_exif: bool = False,
    people: Json | None = None,
    detail: Json | None = None,
    stamp: Callable[[datetime], str] = js_time,
) -> Json:
    """AssetResponseDto. ``people`` as :func:`people_of` gives them; ``detail``: owner, tags and stack of a single asset's answer."""
    detail = detail or {}
    size = edited_size(one)
    body: Json = {"id": one.id, "createdAt": stamp(one.created_at)}
    if not dialect.modern:
        body["deviceAssetId"] = one.device_asset_id
    body["ownerId"] = one.owner_id
    if "owner" in detail:
        body["owner"] = detail["owner"]
    if not dialect.modern:
        body["deviceId"] = one.device_id
    body |= {
        "libraryId": one.library_id,
        "type": one.type,
        "originalPath": one.original_path,
        "originalFileName": one.file_name,
        "originalMimeType": one.mime_type,
        "thumbhash": one.thumbhash,
        "fileCreatedAt": stamp(one.file_created_at),
        "fileModifiedAt": stamp(one.file_modified_at),
        "localDateTime": stamp(one.local_time),
        "updatedAt": stamp(one.updated_at),
        "isFavorite": one.is_favorite,
        "isArchived": one.visibility == "archive",
        "isTrashed": one.is_trashed,
        "visibility": one.visibility,
        "duration": duration(one, dialect),
    }
    if with_exif:
        body["exifInfo"] = exif(one)
    body["livePhotoVideoId"] = one.live_photo_video_id
    if "tags" in detail:
        body["tags"] = detail["tags"]
    body |= people if people is not None else {"people": []}
    body["checksum"] = one.checksum
    if "stack" in detail:
        body["stack"] = detail["stack"]
    return body | {
        "isOffline": one.is_offline,
        "hasMetadata": one.has_metadata,
        "duplicateId": one.duplicate_id,
        "resized": True,
        "width": size[0] if size else None,
        "height": size[1] if size else None,
        "isEdited": bool(one.edits),
    }


def tag(tag_id: str, library: Library) -> Json:
    """TagResponseDto."""
    one = library.tags[tag_id]
    return {
        "id": one.id,
        **({"parentId": one.parent_id} if one.parent_id else {}),
        "name": one.value.rsplit("/", 1)[-1],
        "value": one.value,
        "createdAt": js_time(one.created_at),
        "updatedAt": js_time(one.updated_at),
        **({"color": one.color} if one.color else {}),
    }


def asset_detail(one: Asset, library: Library) -> Json:
    """The further fields of a single asset's answer: owner, tags, stack."""
    stack = library.stacks.get(one.stack_id) if one.stack_id else None
    return {
        "owner": user_brief(library.users[one.owner_id], stamp=pg_time),
        "tags": [tag(t, library) for t in one.tag_ids],
        "stack": {"id": stack.id, "primaryAssetId": stack.primary_id, "assetCount": len(stack.asset_ids)} if stack else None,
    }


def search_page(items: Iterable[Json], next_page: str | None) -> Json:
    """SearchResponseDto; ``total`` is this page's count, as both majors answer."""
    rows = list(items)
    return {
        "albums": {"total": 0, "count": 0, "items": [], "facets": []},
        "assets": {"total": len(rows), "count": len(rows), "items": rows, "facets": [], "nextPage": next_page},
    }

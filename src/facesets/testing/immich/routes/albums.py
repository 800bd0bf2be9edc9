"""Albums: listed, made, filled, shared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from facesets.testing.immich import wire
from facesets.testing.immich.auth import may_see, require_uuid
from facesets.testing.immich.dialects import no_access
from facesets.testing.immich.ids import js_time, pg_time
from facesets.testing.immich.records import Album, Asset
from facesets.testing.immich.routing import Call, route


def _members(album: Album, call: Call) -> list[Asset]:
    found = [a for a in map(call.library.asset, album.asset_ids) if a and not a.is_trashed]
    return sorted(found, key=lambda a: (a.file_created_at, a.id), reverse=True)


def _album(album: Album, call: Call, *, with_assets: bool) -> wire.Json:
    users, members = call.library.users, _members(album, call)
    owner = wire.user_brief(users[album.owner_id], stamp=pg_time)
    shared = [{"user": wire.user_brief(users[u], stamp=pg_time), "role": role} for u, role in album.shared_with.items()]
    body: wire.Json = {
        "albumName": album.name,
        "description": album.description,
        "albumThumbnailAssetId": members[0].id if members else None,
        "createdAt": js_time(album.created_at),
        "updatedAt": js_time(album.updated_at),
        "id": album.id,
    }
    if call.dialect.modern:
        body["albumUsers"] = [{"user": owner, "role": "owner"}, *shared]
    else:
        body |= {"ownerId": album.owner_id, "owner": owner, "albumUsers": shared}
    body |= {"shared": bool(shared), "hasSharedLink": False}
    if members:
        times = [a.local_time for a in members]
        body |= {"startDate": pg_time(min(times)), "endDate": pg_time(max(times))}
    if not call.dialect.modern:
        body["assets"] = [wire.asset(a, call.dialect, with_exif=True, stamp=pg_time) for a in members] if with_assets else []
    return body | {"assetCount": len(members), "isActivityEnabled": True, "order": "desc"}


def _find(call: Call, permission: str, *, own: bool = False) -> Album:
    album = call.library.albums.get(require_uuid(call.params["id"]))
    if album is None or call.user.id not in {album.owner_id, *(() if own else album.shared_with)}:
        raise no_access(permission)
    return album


@route("GET", "/api/albums", "album.read")
def albums(call: Call) -> Any:
    """The caller's albums; ``shared=true`` (3.x: ``isShared``) those shared by or with the caller, ``assetId`` those holding it."""
    shared = call.query.get("isShared" if call.dialect.modern else "shared")
    inside = call.query.get("assetId")
    rows = []
    for album in tuple(call.library.albums.values()):
        mine, with_me = album.owner_id == call.user.id, call.user.id in album.shared_with
        if inside:
            shown = (mine or with_me) and inside in album.asset_ids
        elif shared is None:
            shown = mine or (with_me and call.dialect.modern)
        else:
            shown = (mine or with_me) and bool(album.shared_with) is (shared == "true")
        if shown:
            rows.append(_album(album, call, with_assets=False))
    return rows


@route("GET", "/api/albums/{id}", "album.read")
def get(call: Call) -> Any:
    """One album; 2.x brings its assets along."""
    album = _find(call, "album.read")
    body = _album(album, call, with_assets=call.query.get("withoutAssets") != "true")
    changed = max((a.updated_at for a in _members(album, call)), default=None)
    return body | ({"lastModifiedAssetTimestamp": pg_time(changed)} if changed else {})


@route("POST", "/api/albums", "album.create", status=201)
def create(call: Call) -> Any:
    """A new album."""
    body = call.json()
    album = Album(call.library.new_id("album"), call.user.id, str(body.get("albumName", "")))
    album.description = str(body.get("description", ""))
    album.created_at = album.updated_at = call.library.now()
    album.shared_with = {u["userId"]: u["role"] for u in body.get("albumUsers", [])}
    _put(call, album, body.get("assetIds", []))
    call.library.albums[album.id] = album
    return _album(album, call, with_assets=True)


@route("PATCH", "/api/albums/{id}", "album.update")
def update(call: Call) -> Any:
    """Rename or describe."""
    album, body = _find(call, "album.update", own=True), call.json()
    album.name = str(body.get("albumName", album.name))
    album.description = str(body.get("description", album.description))
    album.updated_at = call.library.now()
    return _album(album, call, with_assets=False)


@route("DELETE", "/api/albums/{id}", "album.delete", status=204)
def delete(call: Call) -> Any:
    """The album goes, its assets stay."""
    del call.library.albums[_find(call, "album.delete", own=True).id]


@route("PUT", "/api/albums/{id}/assets", "albumAsset.create")
def add(call: Call) -> Any:
    """Put assets in; says for each whether it worked."""
    album = _find(call, "albumAsset.create")
    album.updated_at = call.library.now()
    return _put(call, album, call.json().get("ids", []))


def _put(call: Call, album: Album, ids: Iterable[str]) -> list[wire.Json]:
    results: list[wire.Json] = []
    for one in ids:
        asset = call.library.asset(one)
        if one in album.asset_ids:
            results.append({"id": one, "success": False, "error": "duplicate"})
        elif asset is None or not may_see(asset, call.user, call.library):
            results.append({"id": one, "success": False, "error": "no_permission"})
        else:
            album.asset_ids.append(one)
            results.append({"id": one, "success": True})
    return results


@route("DELETE", "/api/albums/{id}/assets", "albumAsset.delete")
def remove(call: Call) -> Any:
    """Take assets out."""
    album = _find(call, "albumAsset.delete")
    results: list[wire.Json] = []
    for one in call.json().get("ids", []):
        if one in album.asset_ids:
            album.asset_ids.remove(one)
            results.append({"id": one, "success": True})
        else:
            results.append({"id": one, "success": False, "error": "not_found"})
    return results

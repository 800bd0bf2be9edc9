"""Tags: a tree of names on assets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from facesets.testing.immich import jobs, wire
from facesets.testing.immich.auth import may_see, require_uuid
from facesets.testing.immich.dialects import Problem, invalid, no_access
from facesets.testing.immich.records import Tag
from facesets.testing.immich.routing import Call, route


def _own(call: Call) -> list[Tag]:
    return [t for t in tuple(call.library.tags.values()) if t.owner_id == call.user.id]


def _find(call: Call, permission: str) -> Tag:
    tag = call.library.tags.get(require_uuid(call.params["id"]))
    if tag is None or tag.owner_id != call.user.id:
        raise no_access(permission)
    return tag


@route("GET", "/api/tags", "tag.read")
def tags(call: Call) -> Any:
    """The caller's tags, by path."""
    return [wire.tag(t.id, call.library) for t in sorted(_own(call), key=lambda t: t.value)]


@route("POST", "/api/tags", "tag.create", status=201)
def create(call: Call) -> Any:
    """A new tag, perhaps under a parent; one of that path already is refused. A slash in the name makes no parent."""
    body = call.json()
    name = str(body["name"])
    if not name and not call.dialect.modern:
        raise invalid("name", "empty")
    parent = call.library.tags.get(str(body.get("parentId")))
    value = f"{parent.value}/{name}" if parent else name
    if any(t.value == value for t in _own(call)):
        raise Problem(400, "A tag with that name already exists")
    tag = Tag(call.library.new_id("tag"), call.user.id, value, color=body.get("color"), parent_id=parent.id if parent else None)
    tag.created_at = tag.updated_at = call.library.now()
    call.library.tags[tag.id] = tag
    return wire.tag(tag.id, call.library)


@route("PUT", "/api/tags", "tag.create")
def upsert(call: Call) -> Any:
    """These paths, made with their parents where they are not there."""
    return [wire.tag(jobs.upsert_tag(call.library, call.user.id, value).id, call.library) for value in call.json().get("tags", [])]


@route("PUT", "/api/tags/{id}", "tag.update")
def update(call: Call) -> Any:
    """Another colour; from 3.2 on another name too, which before is taken and not looked at."""
    tag, body = _find(call, "tag.update"), call.json()
    tag.color = body.get("color", tag.color)
    if "name" in body and call.dialect.parts >= (3, 2):
        before, tag.value = tag.value, "/".join([*tag.value.split("/")[:-1], str(body["name"])])
        for other in _own(call):
            if other.value.startswith(f"{before}/"):
                other.value = tag.value + other.value.removeprefix(before)
    tag.updated_at = call.library.now()
    return wire.tag(tag.id, call.library)


@route("PUT", "/api/tags/assets", "tag.asset")
def tag_many(call: Call) -> Any:
    """Every tag on every own asset, others are left out without a word; counts what is new."""
    body, count = call.json(), 0
    tags = [t for t in _own(call) if t.id in body.get("tagIds", [])]
    for one in body.get("assetIds", []):
        asset = call.library.asset(one)
        if asset and asset.owner_id == call.user.id:
            count += sum(_put(call, tag, one)["success"] for tag in tags)
    return {"count": count}


@route("PUT", "/api/tags/{id}/assets", "tag.asset")
def add(call: Call) -> Any:
    """One tag on some assets, a partner's too."""
    tag = _find(call, "tag.asset")
    return [_put(call, tag, one) for one in call.json().get("ids", [])]


def _put(call: Call, tag: Tag, asset_id: str) -> wire.Json:
    asset = call.library.asset(asset_id)
    if asset is None or not may_see(asset, call.user, call.library):
        return {"id": asset_id, "success": False, "error": "no_permission"}
    if tag.id in asset.tag_ids:
        return {"id": asset_id, "success": False, "error": "duplicate"}
    asset.tag_ids.append(tag.id)
    jobs.write_sidecar(call.library, asset)
    return {"id": asset_id, "success": True}


@route("DELETE", "/api/tags/{id}/assets", "tag.asset")
def remove(call: Call) -> Any:
    """Off some assets again; the file beside the original stays, without it."""
    tag = _find(call, "tag.asset")
    results: list[wire.Json] = []
    for one in call.json().get("ids", []):
        asset = call.library.asset(one)
        if asset is None or tag.id not in asset.tag_ids:
            results.append({"id": one, "success": False, "error": "not_found"})
        else:
            asset.tag_ids.remove(tag.id)
            jobs.write_sidecar(call.library, asset)
            results.append({"id": one, "success": True})
    return results


@route("DELETE", "/api/tags/{id}", "tag.delete", status=204)
def delete(call: Call) -> Any:
    """The tag goes, with all below it, from everywhere but the files beside the originals: reading those again brings it back."""
    tag = _find(call, "tag.delete")
    gone = {t.id for t in _own(call) if t.id == tag.id or t.value.startswith(tag.value + "/")}
    for tag_id in gone:
        del call.library.tags[tag_id]
    _strip(call.library.owned_by(frozenset({call.user.id})), gone)


def _strip(assets: Iterable[Any], gone: set[str]) -> None:
    for asset in assets:
        asset.tag_ids = [t for t in asset.tag_ids if t not in gone]

"""Testing room: tags: a tree of names on assets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import wire
from ..auth import require_uuid
from ..dialects import Problem, no_access
from ..records import Tag
from ..routing import Call, route


def _own(call: Call) -> list[Tag]:
    return [t for t in tuple(call.library.tags.values()) if t.owner_id == call.user.id]


def _find(call: Call, permission: str) -> Tag:
    tag = call.library.tags.get(require_uuid(call.params["id"]))
    if tag is None or tag.owner_id != call.user.id:
        raise no_access(permission)
    return tag


def _upsert(call: Call, value: str) -> Tag:
    parent: Tag | None = None
    parts = value.split("/")
    for depth in range(1, len(parts) + 1):
        path = "/".join(parts[:depth])
        tag = next((t for t in _own(call) if t.value == path), None)
        if tag is None:
            tag = Tag(call.library.new_id("tag"), call.user.id, path, parent_id=parent.id if parent else None)
            tag.created_at = tag.updated_at = call.library.now()
            call.library.tags[tag.id] = tag
        parent = tag
    assert parent is not None
    return parent


@route("GET", "/api/tags", "tag.read")
def tags(call: Call) -> Any:
    """The caller's tags, by path."""
    return [wire.tag(t.id, call.library) for t in sorted(_own(call), key=lambda t: t.value)]


@route("GET", "/api/tags/{id}", "tag.read")
def get(call: Call) -> Any:
    """One tag."""
    return wire.tag(_find(call, "tag.read").id, call.library)


@route("POST", "/api/tags", "tag.create", status=201)
def create(call: Call) -> Any:
    """A new tag, perhaps under a parent; one of that path already is refused."""
    body = call.json()
    parent = call.library.tags.get(str(body.get("parentId")))
    value = f"{parent.value}/{body['name']}" if parent else str(body["name"])
    if any(t.value == value for t in _own(call)):
        raise Problem(400, "A tag with that name already exists")
    return wire.tag(_upsert(call, value).id, call.library)


@route("PUT", "/api/tags", "tag.create")
def upsert(call: Call) -> Any:
    """These paths, made where they are not there."""
    return [wire.tag(_upsert(call, value).id, call.library) for value in call.json().get("tags", [])]


@route("PUT", "/api/tags/assets", "tag.asset")
def tag_many(call: Call) -> Any:
    """Every tag on every asset; counts what is new."""
    body, count = call.json(), 0
    tag_ids = [i for i in body.get("tagIds", []) if i in {t.id for t in _own(call)}]
    for one in body.get("assetIds", []):
        count += sum(_put(call, tag_id, one)["success"] for tag_id in tag_ids)
    return {"count": count}


@route("PUT", "/api/tags/{id}/assets", "tag.asset")
def add(call: Call) -> Any:
    """One tag on some assets."""
    tag = _find(call, "tag.asset")
    return [_put(call, tag.id, one) for one in call.json().get("ids", [])]


def _put(call: Call, tag_id: str, asset_id: str) -> wire.Json:
    asset = call.library.asset(asset_id)
    if asset is None or asset.owner_id != call.user.id:
        return {"id": asset_id, "success": False, "error": "no_permission"}
    if tag_id in asset.tag_ids:
        return {"id": asset_id, "success": False, "error": "duplicate"}
    asset.tag_ids.append(tag_id)
    return {"id": asset_id, "success": True}


@route("DELETE", "/api/tags/{id}/assets", "tag.asset")
def remove(call: Call) -> Any:
    """Off some assets again."""
    tag = _find(call, "tag.asset")
    results: list[wire.Json] = []
    for one in call.json().get("ids", []):
        asset = call.library.asset(one)
        if asset is None or tag.id not in asset.tag_ids:
            results.append({"id": one, "success": False, "error": "not_found"})
        else:
            asset.tag_ids.remove(tag.id)
            results.append({"id": one, "success": True})
    return results


@route("DELETE", "/api/tags/{id}", "tag.delete", status=204)
def delete(call: Call) -> Any:
    """The tag goes, with all below it, from everywhere."""
    tag = _find(call, "tag.delete")
    gone = {t.id for t in _own(call) if t.id == tag.id or t.value.startswith(tag.value + "/")}
    for tag_id in gone:
        del call.library.tags[tag_id]
    _strip(call.library.owned_by(frozenset({call.user.id})), gone)


def _strip(assets: Iterable[Any], gone: set[str]) -> None:
    for asset in assets:
        asset.tag_ids = [t for t in asset.tag_ids if t not in gone]

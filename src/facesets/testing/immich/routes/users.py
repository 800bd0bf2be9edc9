"""Accounts, keys, partners, libraries."""

from __future__ import annotations

from typing import Any

from facesets.testing.immich import wire
from facesets.testing.immich.dialects import Problem, invalid
from facesets.testing.immich.ids import js_time, pg_time
from facesets.testing.immich.routing import Call, route


@route("GET", "/api/users/me", "user.read")
def me(call: Call) -> Any:
    """The caller."""
    return wire.user_full(call.user, call.library.usage(call.user.id), call.dialect)


@route("GET", "/api/users", "user.read")
def users(call: Call) -> Any:
    """Everybody, briefly."""
    return [wire.user_brief(u) for u in reversed(tuple(call.library.users.values()))]


@route("GET", "/api/admin/users", "adminUser.read", admin=True)
def admin_users(call: Call) -> Any:
    """Everybody, whole."""
    return [wire.user_full(u, call.library.usage(u.id), call.dialect) for u in reversed(tuple(call.library.users.values()))]


@route("GET", "/api/api-keys/me")
def key(call: Call) -> Any:
    """The key that asks; a session has none."""
    one = call.caller.key if call.caller else None
    if one is None:
        raise Problem(403, "Not authenticated with an API Key")
    return {
        "id": one.id,
        "name": one.name,
        "createdAt": js_time(one.created_at),
        "updatedAt": js_time(one.updated_at),
        "permissions": list(one.permissions),
    }


@route("GET", "/api/partners", "partner.read")
def partners(call: Call) -> Any:
    """Who shares with the caller, or with whom the caller shares."""
    directions = ("shared-by", "shared-with")
    direction = call.query.get("direction")
    if direction not in directions:
        raise invalid("direction", "enum", values=directions)
    incoming = direction == "shared-with"
    rows = []
    for one in call.library.partners:
        mine, other = (one.viewer_id, one.sharer_id) if incoming else (one.sharer_id, one.viewer_id)
        if mine == call.user.id:
            rows.append({**wire.user_brief(call.library.users[other], stamp=pg_time), "inTimeline": one.in_timeline})
    return rows


@route("GET", "/api/libraries", "library.read", admin=True)
def libraries(call: Call) -> Any:
    """Every external library."""
    return [
        {
            "id": one.id,
            "ownerId": one.owner_id,
            "name": one.name,
            "createdAt": js_time(one.created_at),
            "updatedAt": js_time(one.updated_at),
            "refreshedAt": js_time(one.refreshed_at) if one.refreshed_at else None,
            "assetCount": 0,  # as recorded: the list does not count
            "importPaths": list(one.import_paths),
            "exclusionPatterns": list(one.exclusion_patterns),
        }
        for one in tuple(call.library.libraries.values())
    ]

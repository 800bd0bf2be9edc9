"""Who asks, and what they may see: API keys, sessions, permissions, partners and shared albums. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from facesets.testing.immich.dialects import Problem, invalid, no_access
from facesets.testing.immich.ids import UUID4
from facesets.testing.immich.library import Library
from facesets.testing.immich.records import ApiKey, Asset, Person, User
from facesets.testing.immich.transport import Request


@dataclass(frozen=True)
class Caller:
    """An authenticated request's user, with the key it came by; a session has none and may do all."""

    user: User
    key: ApiKey | None = None
    session: str | None = None

    def require(self, permission: str) -> None:
        """Raise 403 naming ``permission`` where the key lacks it."""
        if self.key and not {"all", permission} & set(self.key.permissions):
            raise Problem(403, f"Missing required permission: {permission}")


def identify(request: Request, library: Library, sessions: dict[str, str]) -> Caller:
    """The caller of a request, by key (header or query) or session (bearer, header or cookie). Raises 401."""
    secret = request.headers.get("x-api-key") or request.query.get("apiKey")
    if secret:
        key = library.keys.get(secret)
        if key is None:
            raise Problem(401, "Invalid API key")
        return Caller(library.users[key.owner_id], key=key)
    token = session_token(request)
    if token is None:
        raise Problem(401, "Authentication required")
    if token not in sessions:
        raise Problem(401, "Invalid user token")
    return Caller(library.users[sessions[token]], session=token)


def session_token(request: Request) -> str | None:
    """The session token that a request carries, if any."""
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer:
        return bearer
    named = request.headers.get("x-immich-user-token") or request.headers.get("x-immich-session-token")
    if named:
        return named
    try:
        cookie = SimpleCookie(request.headers.get("cookie", "")).get("immich_access_token")
    except CookieError:
        return None
    return cookie.value if cookie else None


def require_uuid(value: str | None, field: str = "id") -> str:
    """``value`` where it is a version 4 UUID. Raises 400."""
    if value is None:
        raise invalid(field, "missing")
    if not UUID4.match(value):
        raise invalid(field, "uuid")
    return value.lower()


def may_see(asset: Asset, viewer: User, library: Library) -> bool:
    """Own, a partner's, or in an album shared with the viewer; a locked asset needs more than a key, so never."""
    if asset.visibility == "locked":
        return False
    if asset.owner_id == viewer.id:
        return True
    if asset.is_trashed:
        return False
    if asset.owner_id in library.partners_of(viewer.id) and asset.visibility in ("timeline", "hidden"):
        return True
    albums = tuple(library.albums.values())
    return any(asset.id in a.asset_ids and (viewer.id == a.owner_id or viewer.id in a.shared_with) for a in albums)


def find_asset(
    library: Library,
    viewer: User,
    asset_id: str | None,
    permission: str = "asset.read",
    *,
    headers: Mapping[str, str] | None = None,
) -> Asset:
    """The asset of this id, if the viewer may see it. Raises 400 in Immich's words."""
    asset = library.asset(require_uuid(asset_id))
    if asset is None or not may_see(asset, viewer, library):
        raise no_access(permission, headers=headers)
    return asset


def find_own_asset(library: Library, viewer: User, asset_id: str | None, permission: str) -> Asset:
    """The viewer's own asset of this id, to be changed. Raises 400."""
    asset = library.asset(require_uuid(asset_id))
    if asset is None or asset.owner_id != viewer.id or asset.visibility == "locked":
        raise no_access(permission)
    return asset


def find_person(library: Library, viewer: User, person_id: str | None, permission: str = "person.read") -> Person:
    """The viewer's own person of this id. Raises 400."""
    found = library.person_of(require_uuid(person_id), viewer.id)
    if found is None:
        raise no_access(permission)
    return found

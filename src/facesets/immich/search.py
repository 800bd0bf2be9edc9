"""Immich room: one page of a search, in the dialect of the server at hand. Touches the network only.

Up to 3.1 a search has flat fields and numbered pages; from 3.2 on a ``filter`` of operators and a ``cursor`` (the flat fields are
deprecated there). Which one is spoken follows from the server's version, asked for once. The visibility is always said, since
without it 2.x leaves the archive out; no other user's id ever is, since every version drops it silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facesets.errors import BadAnswer
from facesets.immich import server, wire
from facesets.immich.transport import Client

CURSORS_SINCE = (3, 2)
PageCursor = int | str | None  # where a page begins: its number, or the cursor that the page before gave


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What a search is for. ``updated_after`` (ISO 8601) includes that moment; ``people`` brings the boxes where a server has them."""

    visibility: str
    asset_id: str | None = None
    updated_after: str | None = None
    people: bool = True


def page(client: Client, asked: SearchQuery, size: int, after: PageCursor = None) -> tuple[list[Any], PageCursor]:
    """The items of one page, trashed and offline ones too, and where the next begins (None: nowhere). Raises BadAnswer."""
    if has_cursors(client):
        begin = {"cursor": after} if after else {}
        answer = client.search("/search/metadata", {**_with(asked, size), "filter": _filter(asked), **begin})
        found = wire.field(answer, "assets", dict, "search")
        following = found.get("nextCursor")
        if following is not None and (not isinstance(following, str) or following == after):
            raise BadAnswer(f"search: the cursor after {after!r} is said to be {following!r}")
        return wire.field(found, "items", list, "search"), following or None
    number = after if isinstance(after, int) else 1
    items, following = wire.page(client.search("/search/metadata", {**_with(asked, size), **_flat(asked), "page": number}), "search")
    if following is not None and following <= number:
        raise BadAnswer(f"search: the page after {number} is said to be {following}")
    return items, following


def has_cursors(client: Client) -> bool:
    """Whether the server takes ``filter`` and ``cursor``."""
    return version(client) >= CURSORS_SINCE


def version(client: Client) -> tuple[int, int, int]:
    """The server's version, asked for once."""
    if client.version is None:
        found = server.version(client)
        client.version = found.major, found.minor, found.patch
    return client.version


def _with(asked: SearchQuery, size: int) -> dict[str, Any]:
    return {"size": size, "withExif": True, "withPeople": asked.people, "withDeleted": True}


def _flat(asked: SearchQuery) -> Mapping[str, Any]:
    named = {"id": asked.asset_id, "updatedAfter": asked.updated_after}
    return {"visibility": asked.visibility, **{name: value for name, value in named.items() if value is not None}}


def _filter(asked: SearchQuery) -> Mapping[str, Any]:
    made: dict[str, Any] = {"visibility": {"eq": asked.visibility}}
    if asked.asset_id is not None:
        made["id"] = {"eq": asked.asset_id}
    if asked.updated_after is not None:
        made["updatedAt"] = {"gte": asked.updated_after}
    return made

"""Listing assets: search by metadata, counting, drawing at random."""

from __future__ import annotations

import random
from typing import Any

from facesets.testing.immich import cursors, paging, query, wire
from facesets.testing.immich.records import Asset
from facesets.testing.immich.routing import Call, route


def item(asset: Asset, call: Call, asked: query.Query) -> wire.Json:
    """A search result. Its boxes are in the original's frame, even of edited photos."""
    people = wire.people_of(asset, call.library, call.dialect, edited=False) if asked.with_people else None
    return wire.asset(asset, call.dialect, with_exif=asked.with_exif, people=people)


@route("POST", "/api/search/metadata", "asset.read")
def metadata(call: Call) -> Any:
    """A page of assets, with what else was asked of them."""
    body, has_cursors = call.json(), call.dialect.parts >= cursors.SINCE
    asked = query.parse(cursors.flat(body) if has_cursors else body, call.dialect, call.library)
    owners = query.scope(asked, call.user, call.library, call.dialect)
    rows, more = paging.page(asked, owners, call.library, ties_lost=call.dialect.ties_lost)
    answer = wire.search_page([item(a, call, asked) for a in rows], str(asked.page + 1) if more else None)
    if has_cursors:
        answer["assets"]["nextCursor"] = cursors.cursor(asked.page + 1) if more else None
    return answer


@route("POST", "/api/search/statistics", "asset.statistics")
def statistics(call: Call) -> Any:
    """How many a search would find."""
    asked = query.parse(call.json(), call.dialect, call.library)
    return {"total": paging.count(asked, query.scope(asked, call.user, call.library, call.dialect), call.library)}


@route("POST", "/api/search/random", "asset.read")
def draw(call: Call) -> Any:
    """Some assets: always the same ones for one library and request, where Immich draws anew."""
    asked = query.parse(call.json(), call.dialect, call.library)
    rows = query.select(asked, query.scope(asked, call.user, call.library, call.dialect), call.library)
    chosen = random.Random(call.library.seed).sample(rows, min(asked.size, len(rows)))  # noqa: S311  repeatable, not secret
    return [item(a, call, asked) for a in chosen]

"""Immich room: every asset a key can see, each once, and what changed since. Touches the network only.

Two lists are laid over each other, since neither is whole: the timeline names every id of the key's owner (complete on 2.x and
3.x) but tells little; the search tells all but loses rows between pages on 2.x. What only the timeline knows is fetched singly.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from facesets.errors import BadAnswer, MissingPermission, NotFound, ServerError
from facesets.immich import search, timeline, wire
from facesets.immich.search import PageCursor, SearchQuery
from facesets.immich.timeline import VISIBILITIES, Bucket
from facesets.immich.transport import Client
from facesets.records import Asset

_COUNTED = ("timeline", "archive")  # what /assets/statistics counts
_KEY = 16  # bytes of an id
_AHEAD = 2  # pages asked for before the one at hand is read


@dataclass(slots=True)
class ListingCounts:
    """The same library counted three ways, as the listing goes along. Complete once the listing is exhausted.

    ``listed`` are all assets yielded; ``own`` those of the key's owner, of which ``active`` stand in timeline or archive and not
    in the trash; ``timeline`` is the timeline's count of the owner's, ``statistics`` the server's own count of the active ones
    (None where the key may not ask).
    """

    listed: int = 0
    own: int = 0
    active: int = 0
    timeline: int | None = None
    statistics: int | None = None
    fetched_singly: int = 0  # named by the timeline, lost by the search's pages
    lost: int = 0  # named by the timeline, gone when asked for


def assets(client: Client, owner_id: str, counts: ListingCounts, *, page_size: int = 1000, workers: int = 8) -> Iterator[Asset]:
    """Every asset the key can see, videos, trashed, offline, archived and partners' included, each once. Fills ``counts``.

    Holds the ids (about 170 bytes each) and three pages. Raises the errors of :class:`Client`, BadAnswer.
    """
    seen: dict[bytes, bool] = {}  # id of what was yielded -> named by the timeline
    with client.threads(workers) as pool, client.threads(_AHEAD + 1) as readers:
        buckets = _buckets(client, pool)
        named = pool.map(lambda bucket: b"".join(map(_key, timeline.ids(client, bucket, owner_id))), buckets or ())
        counted = pool.submit(statistics, client)  # all of it on its way while the pages are read
        for visibility in VISIBILITIES:
            expected = sum(count for bucket, count in (buckets or {}).items() if bucket.visibility == visibility)
            for asset in _pages(client, SearchQuery(visibility), page_size, readers, expected):
                yield from _once(asset, owner_id, seen, counts)
        counts.statistics = counted.result()
        missing = list[bytes]() if buckets is None else _unseen(named, seen, counts)
        for found in singly(client, map(_text_id, missing), pool):
            if found is None:
                counts.lost += 1
                continue
            counts.fetched_singly += 1
            yield from _once(found, owner_id, seen, counts)


def one(client: Client, asset_id: str) -> Asset | None:
    """One asset, in the form and coordinates of the search; None where the server shows it no longer."""
    for visibility in VISIBILITIES:
        items, _ = search.page(client, SearchQuery(visibility, asset_id=asset_id), 1)
        for item in items:
            asset = wire.asset(item)
            if asset.asset_id != asset_id:
                raise BadAnswer(f"search: asked for asset {asset_id}, got {asset.asset_id}")
            return asset
    return None


def singly(client: Client, ids: Iterable[str], pool: ThreadPoolExecutor) -> Iterator[Asset | None]:
    """:func:`one` for each id, a few side by side, in the order asked."""
    waiting: deque[Future[Asset | None]] = deque()
    for asset_id in ids:
        waiting.append(pool.submit(one, client, asset_id))
        if len(waiting) >= 64:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def updated_since(client: Client, moment: str, *, page_size: int = 1000, most: int) -> list[Asset] | None:
    """Assets that the server changed at ``moment`` (ISO 8601) or later, partners' too; None where they are more than ``most``, or
    where its paging dealt one twice, so that it may have lost another.
    """
    found: dict[str, Asset] = {}
    for visibility in VISIBILITIES:
        after: PageCursor = None
        while True:
            items, after = search.page(client, SearchQuery(visibility, updated_after=moment), page_size, after)
            for asset in map(wire.asset, items):
                if asset.asset_id in found and asset.visibility == found[asset.asset_id].visibility:
                    return None
                found[asset.asset_id] = asset
            if after is None:
                break
            if len(found) > most:
                return None
    return list(found.values())


def some(client: Client, size: int, number: int) -> list[Asset]:
    """``size`` assets of the timeline, by the number of their page: a sample. Not for servers with cursors."""
    items, _ = search.page(client, SearchQuery("timeline"), size, number)
    return [wire.asset(item) for item in items]


def statistics(client: Client) -> int | None:
    """The server's own count of the owner's assets in timeline and archive; None where the key may not ask (asset.statistics)."""
    try:
        return int(wire.field(client.get("/assets/statistics", {"isTrashed": "false"}), "total", int, "statistics"))
    except ServerError:
        return None  # a second opinion: the summary says where it is missing


def _pages(client: Client, asked: SearchQuery, size: int, pool: ThreadPoolExecutor, expected: int) -> Iterator[Asset]:
    """All pages of a search, the next ones on their way while one is read: by number as many as ``expected`` assets fill."""
    by_number = not search.has_cursors(client)
    last = -(-expected // size)
    number, after = 1, None
    under_way: deque[Future[tuple[list[Any], PageCursor]]] = deque([pool.submit(search.page, client, asked, size, None)])
    while under_way:
        while by_number and len(under_way) <= _AHEAD and number < last:
            number += 1
            under_way.append(pool.submit(search.page, client, asked, size, number))
        items, after = under_way.popleft().result()
        if not items:
            last = number  # whatever the timeline counts
        if after is not None and not under_way:
            number += 1
            under_way.append(pool.submit(search.page, client, asked, size, after))
        yield from map(wire.asset, items)


def _once(asset: Asset, owner_id: str, seen: dict[bytes, bool], counts: ListingCounts) -> Iterator[Asset]:
    key = _key(asset.asset_id)
    if key in seen:
        return
    seen[key] = False
    counts.listed += 1
    if asset.owner_id == owner_id:
        counts.own += 1
        counts.active += asset.visibility in _COUNTED and not asset.is_trashed
    yield asset


def _buckets(client: Client, pool: ThreadPoolExecutor) -> dict[Bucket, int] | None:
    """What the timeline holds; None where it may not be asked."""
    try:
        return timeline.counts(client, pool)
    except (MissingPermission, NotFound):
        return None


def _unseen(named: Iterable[bytes], seen: dict[bytes, bool], counts: ListingCounts) -> list[bytes]:
    """What the timeline names and the search's pages did not bring; counts what it names."""
    missing, known = dict[bytes, None](), 0
    for packed in named:
        for key in (packed[at : at + _KEY] for at in range(0, len(packed), _KEY)):
            if key not in seen:
                missing[key] = None
            elif not seen[key]:
                seen[key] = True
                known += 1
    counts.timeline = known + len(missing)
    return list(missing)


def _key(asset_id: str) -> bytes:
    return bytes.fromhex(asset_id.replace("-", ""))


def _text_id(key: bytes) -> str:
    text = key.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

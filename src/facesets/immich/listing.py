"""Immich room: every asset a key can see, each once. Touches the network only.

Two lists are laid over each other, since neither is whole: the timeline names every id of the key's owner (complete on 2.x and
3.x) but tells little; the search tells all but loses rows between pages on 2.x. What only the timeline knows is fetched singly.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..errors import BadAnswer, MissingPermission, NotFound, ServerError
from ..records import Asset
from . import wire
from .transport import Client

VISIBILITIES = ("timeline", "archive", "hidden")  # locked ones are not shown to API keys
_COUNTED = ("timeline", "archive")  # what /assets/statistics counts


@dataclass(slots=True)
class Reconciliation:
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

    @property
    def agrees(self) -> bool:
        """Whether no count contradicts another."""
        return self.timeline in (None, self.own) and self.statistics in (None, self.active)

    def told(self) -> str:
        """One line for the summary."""
        parts = [f"listed {self.listed}", f"of them own {self.own}", f"timeline {_or_unknown(self.timeline)}"]
        parts.append(f"statistics {_or_unknown(self.statistics)} for {self.active} active")
        if self.fetched_singly:
            parts.append(f"{self.fetched_singly} lost by paging and fetched singly")
        if self.lost:
            parts.append(f"{self.lost} named by the timeline and gone when asked for")
        return ", ".join(parts) + (": complete" if self.agrees else ": THE COUNTS DIFFER")


def _or_unknown(count: int | None) -> str:
    return "not told" if count is None else str(count)


def assets(client: Client, owner_id: str, counts: Reconciliation, *, page_size: int = 1000, workers: int = 8) -> Iterator[Asset]:
    """Every asset the key can see, videos, trashed, offline, archived and partners' included, each once. Fills ``counts``.

    Holds the ids (about 150 bytes each) and one page. Raises the errors of :class:`Client`, BadAnswer.
    """
    seen: dict[bytes, bool] = {}  # id -> already yielded
    with ThreadPoolExecutor(workers, thread_name_prefix="listing") as pool:
        counts.timeline = _read_timeline(client, owner_id, pool, seen)
    counts.statistics = _statistics(client)
    for visibility in VISIBILITIES:
        for asset in _pages(client, visibility, page_size):
            yield from _once(asset, owner_id, seen, counts)
    for asset_id in [key for key, yielded in seen.items() if not yielded]:
        found = one(client, _text_id(asset_id))
        if found is None:
            counts.lost += 1
            continue
        counts.fetched_singly += 1
        yield from _once(found, owner_id, seen, counts)


def one(client: Client, asset_id: str) -> Asset | None:
    """One asset, in the form and coordinates of the search; None where the server shows it no longer."""
    for visibility in VISIBILITIES:
        answer = client.search("/search/metadata", {**_ASKED, "id": asset_id, "visibility": visibility, "size": 1})
        items, _ = wire.page(answer, "search")
        for item in items:
            asset = wire.asset(item)
            if asset.asset_id != asset_id:
                raise BadAnswer(f"search: asked for asset {asset_id}, got {asset.asset_id}")
            return asset
    return None


_ASKED = {"withExif": True, "withPeople": True, "withDeleted": True}


def _pages(client: Client, visibility: str, page_size: int) -> Iterator[Asset]:
    number: int | None = 1
    while number is not None:
        body = {**_ASKED, "visibility": visibility, "size": page_size, "page": number}
        items, following = wire.page(client.search("/search/metadata", body), "search")
        yield from map(wire.asset, items)
        if following is not None and following <= number:
            raise BadAnswer(f"search: the page after {number} is said to be {following}")
        number = following


def _once(asset: Asset, owner_id: str, seen: dict[bytes, bool], counts: Reconciliation) -> Iterator[Asset]:
    key = bytes.fromhex(asset.asset_id.replace("-", ""))
    if seen.get(key):
        return
    seen[key] = True
    counts.listed += 1
    if asset.owner_id == owner_id:
        counts.own += 1
        counts.active += asset.visibility in _COUNTED and not asset.is_trashed
    yield asset


def _read_timeline(client: Client, owner_id: str, pool: ThreadPoolExecutor, seen: dict[bytes, bool]) -> int | None:
    """Enter the owner's ids into ``seen``; returns how many, or None where the timeline may not be asked."""
    try:
        wanted = [
            {"timeBucket": wire.field(bucket, "timeBucket", str, "timeline"), **asked}
            for visibility in VISIBILITIES
            for asked in ({"visibility": visibility}, {"visibility": visibility, "isTrashed": "true"})
            for bucket in _listed(client.get("/timeline/buckets", asked))
        ]
        count = 0
        for answer in pool.map(lambda asked: client.get("/timeline/bucket", asked), wanted):
            for asset_id, owner in wire.bucket_ids(answer, "timeline"):
                key = bytes.fromhex(asset_id.replace("-", ""))
                if owner == owner_id and key not in seen:
                    seen[key] = False
                    count += 1
    except (MissingPermission, NotFound):
        return None
    return count


def _statistics(client: Client) -> int | None:
    try:
        return int(wire.field(client.get("/assets/statistics", {"isTrashed": "false"}), "total", int, "statistics"))
    except ServerError:
        return None  # a second opinion that needs a permission of its own (asset.statistics): its absence is told in the summary


def _listed(answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise BadAnswer("timeline: not a list of buckets")
    return answer


def _text_id(key: bytes) -> str:
    text = key.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

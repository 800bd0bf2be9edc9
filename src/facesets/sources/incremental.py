"""Sources room: what changed on an Immich since a listing, in a handful of requests whatever the library's size.

Three looks make it complete: assets that the server marked as updated since; the timeline's count of every month, which gives away
what was added, deleted or moved unmarked; and faces of some assets, others each time, since a change of faces leaves no mark at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from facesets.errors import BadAnswer, MissingPermission, NotFound, NotImmich, ServerError, Unreachable
from facesets.immich import Bucket, Client, listing, search, timeline
from facesets.records import Asset, FaceBox, User
from facesets.sources.month import Month

# two clocks and a transaction under way: what changed this long before a listing may not have been in it
_MARGIN = timedelta(minutes=2)
_SAMPLE = 250  # assets whose boxes are compared, where one page tells them
_MONTH = len("2020-05")
_MOST = 20_000  # changed assets; beyond, a complete listing is as quick and surer


@dataclass(frozen=True, slots=True)
class SyncCursor:
    """How far a listing got: the server's newest ``updated``, from when on (``since``) something may be missing, by which
    version, whether it carried face boxes, and which other owners it showed. Times are ISO 8601 in UTC.
    """

    since: str
    updated: str
    version: str
    boxes: bool
    partners: tuple[str, ...] = ()

    def text(self) -> str:
        """For keeping."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def read(cls, text: str) -> SyncCursor:
        """What :meth:`text` wrote."""
        known = json.loads(text)
        return cls(known["since"], known["updated"], known["version"], known["boxes"], tuple(known["partners"]))


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """The server's answer: assets that were updated, how many there are of each month, and of how many others' it shows."""

    assets: list[Asset]
    months: Mapping[Month, int]
    of_partners: int | None  # None: it does not say
    statistics: int | None
    mark: SyncCursor


class CursorBuilder:
    """Makes the mark while a listing goes by."""

    def __init__(self, client: Client, user: User) -> None:
        self.version = ".".join(map(str, search.version(client)))
        self.begun, self.updated = client.server_time, ""
        self.boxes, self.user, self.partners = False, user, set[str]()

    def note(self, asset: Asset) -> None:
        """Take an asset into account."""
        self.updated = max(self.updated, asset.updated_at or "")
        self.boxes = self.boxes or asset.boxes is not None
        if asset.owner_id != self.user.user_id:
            self.partners.add(asset.owner_id)

    def mark(self, before: SyncCursor | None = None) -> SyncCursor | None:
        """How far the listing got, ``before`` included; None where server or assets carry no usable time."""
        updated = max(self.updated, before.updated if before else "")
        newest = _moment(updated)
        if newest is None or self.begun is None:
            return None
        since = min(newest + timedelta(milliseconds=1), self.begun - _MARGIN)
        if before is not None:
            since = max(since, _moment(before.since) or since)
        partners = tuple(sorted(self.partners.union(before.partners if before else ())))
        boxes = self.boxes or (before is not None and before.boxes)
        return SyncCursor(since.isoformat(timespec="milliseconds").replace("+00:00", "Z"), updated, self.version, boxes, partners)


class Changes:
    """Asks one user's server what changed, with up to ``workers`` requests at a time. ``boxes_of`` asks for one asset's faces."""

    def __init__(
        self, client: Client, user: User, boxes_of: Callable[[Asset], tuple[FaceBox, ...]], *, page_size: int, workers: int
    ) -> None:
        self.client, self.user, self.boxes_of, self.page_size, self.workers = client, user, boxes_of, page_size, workers
        self.only: Collection[str] | None = None  # ids of the assets whose faces have to be asked for again; None: of all
        self._undated: dict[Month, set[Bucket]] = {}

    def since(self, before: SyncCursor) -> ChangeSet | None:
        """What changed since ``before``; None where only a complete listing shows it (another version, too much, no timeline)."""
        cursor = CursorBuilder(self.client, self.user)
        if cursor.version != before.version:
            return None
        with self.client.threads(self.workers) as pool:
            changed = pool.submit(listing.updated_since, self.client, before.since, page_size=self.page_size, most=_MOST)
            partners = pool.submit(self._with_partners)
            statistics = pool.submit(listing.statistics, self.client)
            try:
                months = self.months(timeline.counts(self.client, pool))
            except (MissingPermission, NotFound):
                return None
            assets, shown = changed.result(), partners.result()
        if assets is None:
            return None
        for asset in assets:
            cursor.note(asset)
        mark = cursor.mark(before)
        own = sum(count for month, count in months.items() if month.visibility == "timeline" and not month.trashed)
        return ChangeSet(assets, months, None if shown is None else shown - own, statistics.result(), mark) if mark else None

    def months(self, counts: Mapping[Bucket, int]) -> dict[Month, int]:
        """The server's buckets by our months: photos of the year 20221 have no date for us, and a month of their own there."""
        found: dict[Month, int] = {}
        for bucket, n in counts.items():
            month = Month(bucket.month if len(bucket.month) == _MONTH else "", bucket.visibility, bucket.trashed)
            found[month] = found.get(month, 0) + n
            if not month.month:
                self._undated.setdefault(month, set()).add(bucket)
        return found

    def ids(self, months: Iterable[Month], *, collapsed: bool = False) -> dict[Month, set[str]]:
        """The owner's asset ids in these months; ``collapsed``: of a stack only the one on top."""
        wanted = list(months)
        with self.client.threads(self.workers) as pool:
            found = pool.map(lambda month: self._ids(month, collapsed=collapsed), wanted)
            return dict(zip(wanted, found, strict=True))

    def _ids(self, month: Month, *, collapsed: bool) -> set[str]:
        buckets = [Bucket(*month)] if month.month else self._undated.get(month, ())
        return {found for bucket in buckets for found in timeline.ids(self.client, bucket, self.user.user_id, collapsed=collapsed)}

    def singly(self, asset_ids: Iterable[str]) -> Iterator[Asset]:
        """These assets, without those that are gone by now."""
        with self.client.threads(self.workers) as pool:
            yield from filter(None, listing.singly(self.client, asset_ids, pool))

    def boxes(self, assets: Sequence[Asset]) -> tuple[dict[str, tuple[FaceBox, ...]], set[str]]:
        """The face boxes that the server has now of these assets, by asset id, of those that it gives; and of which no answer came."""
        with self.client.threads(self.workers) as pool:
            found = dict(zip((asset.asset_id for asset in assets), pool.map(self._boxes, assets), strict=True))
        silent = {asset_id for asset_id, boxes in found.items() if isinstance(boxes, ServerError)}
        return {asset_id: boxes for asset_id, boxes in found.items() if isinstance(boxes, tuple)}, silent

    def sample(self, mark: SyncCursor, turn: int, total: int) -> dict[str, tuple[FaceBox, ...]] | None:
        """Boxes of some of the owner's assets in one request, others at each ``turn``; None where each asset must be asked for."""
        if not mark.boxes:
            return None
        pages = max(1, -(-total // _SAMPLE))
        found = listing.some(self.client, _SAMPLE, 1 + turn % pages)
        return {asset.asset_id: asset.boxes for asset in found if asset.boxes is not None and asset.owner_id == self.user.user_id}

    def _boxes(self, asset: Asset) -> tuple[FaceBox, ...] | ServerError | None:
        try:
            return self.boxes_of(asset)
        except (NotFound, BadAnswer):
            return None
        except (Unreachable, NotImmich) as err:  # a proxy's page now and then is no answer either
            return err

    def _with_partners(self) -> int | None:
        try:
            return timeline.count_with_partners(self.client)
        except ServerError:
            return None  # a check that is missed only where partners share photos; a complete listing makes it up


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None

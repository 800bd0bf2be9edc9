"""Staging room: what a source has goes into the registry: everything, or what changed since. Touches the source and the registry.

A complete listing leaves a mark. From then on the changes since are enough, and are proven to be: the server's count of every month
must be the registry's. Where they cannot be had, or too much is different, everything is listed again. Of faces no server marks a
change, so all of them are asked for again, shard by shard ([immich] faces_within).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from itertools import islice

from facesets.errors import BadAnswer, NotFound, NotImmich, Refused
from facesets.progress import Progress
from facesets.records import Asset, Reason
from facesets.registry import Registry, assets, listings
from facesets.settings import ImmichSettings
from facesets.sources import Changes, ChangeSet, Month, Reconciliation, Source, Stream, SyncCursor
from facesets.staging import refresh_boxes, sync_faces
from facesets.staging.counters import StageCounters
from facesets.staging.sync_faces import differ

log = logging.getLogger(__name__)

_BATCH = 4000  # rows a transaction: each waits for the disk
_MOST_MONTHS, _MOST_SINGLY = 200, 2000  # beyond, a complete listing is quicker
_COUNTED = ("timeline", "archive")


class Listing:
    """Records what one source has. ``run_id`` is the run that sees it; ``asked``: whose photos are to be taken."""

    def __init__(
        self,
        registry: Registry,
        source: Source,
        counters: StageCounters,
        run_id: int,
        asked: ImmichSettings,
        *,
        accept_missing: bool = False,
    ) -> None:
        self.registry, self.source, self.counters, self.run_id = registry, source, counters, run_id
        self.accept_missing = accept_missing
        self.label, self.owner_id, self.asked = source.user.label, source.user.user_id, asked
        self.lists_boxes: bool | None = False  # whether the listing tells faces; None: it has told all of them just now
        self.users = {user.user_id for user in assets.users(registry)}

    def record(self, progress: Progress, *, full: bool) -> None:
        """Record the changes since the last listing; ``full``, or where that cannot be done: everything, its faces included."""
        marked = listings.cursor(self.registry, self.label, self.source.name)
        changes = self.source.changes
        shard = listings.refresh_shard(self.registry, self.label)
        if full or changes is None or marked is None or not self._record_changes(changes, SyncCursor.read(marked), shard, progress):
            if full and self.source.knows_faces:
                with self.registry.transaction():
                    listings.forget_faces(self.registry, self.label, self.source.name)
            self._record_everything(progress)
        if not self.asked.stacked:
            self._record_stacks()
        if self.source.stream is not None:
            self._record_stream(self.source.stream, progress, full=full)
        shards = 1 if full else self.asked.faces_within
        asks = self.source.asks
        told = self.source.stream is not None or (self.lists_boxes is None and (asks is None or asks.only is None))
        refreshing = None if told else asks
        refresh_boxes.refresh(self.registry, self.source, refreshing, shard, 0 if self.lists_boxes else shards, self.counters, progress)
        self.counters.total_assets_seen = listings.present(self.registry, [self.label])

    def _record_stacks(self) -> None:
        """What lies beneath another of its stack: the search does not say so, but the months' counts give it away."""
        beneath = listings.stacked(self.registry, self.owner_id, self.source.name)
        on_top = {month: n - beneath.get(month, 0) for month, n in self._known().items()}
        for month, asset_ids in self.source.stacked(on_top):
            with self.registry.transaction():
                listings.set_stacked(self.registry, self.owner_id, self.source.name, asset_ids, month)

    def _record_stream(self, stream: Stream, progress: Progress, *, full: bool) -> None:
        try:
            sync_faces.record(self.registry, stream, self.source.user, progress, full=full)
        except (BadAnswer, NotFound, NotImmich) as err:
            progress.note(f"The server's stream of faces cannot be used ({err}); photos are asked for theirs one by one.")

    def _record_everything(self, progress: Progress) -> None:
        """Record the whole listing; then what it names no longer is GONE, but for what lies where it could not look.

        Raises Refused where a folder that had photos has none: its disk may not be mounted.
        """
        listing, photos, lists_boxes = self.source.listing(progress), 0, False
        while batch := list(islice(listing, _BATCH)):
            photos += sum(asset.type == "IMAGE" for asset in batch)
            lists_boxes = lists_boxes or any(asset.boxes is not None for asset in batch)
            with self.registry.transaction():
                self._enter(batch)
        if self.source.name == "folder":
            missing = listings.unnamed(self.registry, self.label, self.source.name, self.run_id)
            unseen = [row.asset for row in missing if row.asset.original_path.startswith(tuple(self.source.unlisted))]
            gone = len(missing) - len(unseen)
            if gone and not photos and not self.accept_missing:
                raise Refused(
                    f"the folder of user {self.label!r} holds no photo, and {gone:,} file{'s' if gone > 1 else ''} that were listed "
                    "before are missing: is its disk mounted? Nothing was taken for deleted. If they are really gone: facesets run "
                    "--accept-missing"
                )
            if gone:
                progress.note(f"{gone:,} file{'s' if gone > 1 else ''} that were in the folder of user {self.label!r} are gone.")
            with self.registry.transaction():
                self._enter(unseen)
        with self.registry.transaction():
            self.counters.gone += assets.mark_unseen_gone(self.registry, self.label, self.source.name, self.run_id)
            listings.set_cursor(self.registry, self.label, self.source.name, self.source.mark)
        self.counters.reconciliation = self.source.reconciliation
        self.lists_boxes = None if lists_boxes else False

    def _enter(self, batch: Iterable[Asset]) -> None:
        own: list[Asset] = []
        others: list[Asset] = []
        for asset in batch:
            (own if asset.owner_id == self.owner_id else others).append(asset)
        if self.asked.partners:
            taken = assets.of_other_labels(self.registry, self.label, others)
            own += [a for a in others if a.owner_id not in self.users and (a.owner_id, a.asset_id) not in taken]
            others = [a for a in others if a.owner_id in self.users or (a.owner_id, a.asset_id) in taken]
        assets.add_listed(self.registry, self.label, self.source.name, own, self.run_id)
        new = assets.add_foreign(self.registry, self.label, self.source.name, others, self.run_id)
        self.counters.by_reason[Reason.OTHER_OWNER] += new
        self.counters.listed += len(own) + len(others)

    # -- changes

    def _record_changes(self, changes: Changes, before: SyncCursor, shard: int, progress: Progress) -> bool:
        """Whether the changes were enough. What is recorded on the way to finding that they were not does no harm."""
        self.lists_boxes = before.boxes
        with progress.task("listing changes", unit="assets") as task:
            since = changes.since(before)
            if since is None:
                return self._not_enough("they cannot be had")
            with self.registry.transaction():
                self._enter(since.assets)
            task.advance(len(since.assets))
            fetched = self._settle_months(changes, since)
            if fetched is None or not self._settle_partners(since) or not self._settle_faces(changes, before, since, shard):
                return False
        with self.registry.transaction():
            listings.set_cursor(self.registry, self.label, self.source.name, since.mark.text())
        counts = self.counters.reconciliation = self._reconcile(since, *fetched)
        if not counts.agrees:
            progress.note(f"The server contradicts itself about what it has: {counts}.")
        return True

    def _settle_months(self, changes: Changes, since: ChangeSet) -> tuple[int, int] | None:
        """Look into each month whose count is not the registry's: what is missing is fetched, what is in none of them is gone.

        Returns how many were fetched, and how many of the missing ones are gone; None where everything must be listed.
        """
        differing = self._differing(since.months)
        if len(differing) > _MOST_MONTHS:
            self._not_enough(f"{len(differing)} months differ")
            return None
        missing, surplus = set[str](), set[str]()
        found_there = changes.ids(month for month in differing if since.months.get(month))
        for month in differing:
            there = found_there.get(month, set())
            here = listings.ids(self.registry, self.owner_id, self.source.name, month)
            missing |= there - here
            surplus |= here - there
        if len(missing) > _MOST_SINGLY:
            self._not_enough(f"{len(missing)} assets are missing")
            return None
        found = list(changes.singly(sorted(missing)))
        with self.registry.transaction():
            self._enter(found)
            gone = surplus - {asset.asset_id for asset in found} - {asset.asset_id for asset in since.assets}
            self.counters.gone += listings.mark_gone(self.registry, self.owner_id, sorted(gone))
        return len(found), len(missing) - len(found)

    def _known(self) -> dict[Month, int]:
        """How many of the user's assets the registry knows of each month."""
        return {Month(*month): n for month, n in listings.counts(self.registry, self.owner_id, self.source.name).items()}

    def _differing(self, there: Mapping[Month, int]) -> list[Month]:
        here = self._known()
        return sorted(month for month in there.keys() | here.keys() if there.get(month, 0) != here.get(month, 0))

    def _settle_partners(self, since: ChangeSet) -> bool:
        """Of partners the server gives a total only; a new partner's photos, and deleted ones, are in no list of changes."""
        if since.of_partners is None or since.of_partners == listings.in_timelines(self.registry, since.mark.partners):
            return True
        return self._not_enough("partners' photos came or went")

    def _settle_faces(self, changes: Changes, before: SyncCursor, since: ChangeSet, shard: int) -> bool:
        """Where the listing has boxes: now and then all of it, and a page of it each time."""
        if self.source.stream is not None or not before.boxes:
            return True  # it sends every change; or faces are asked for asset by asset
        if shard % self.asked.faces_within == self.asked.faces_within - 1:
            return self._not_enough("it is time to look at all faces")
        found = changes.sample(before, shard, sum(since.months.values())) or {}
        rows = listings.owned(self.registry, self.owner_id, found)
        drifted = [row for row in rows if row.asset.boxes is not None and differ(row, found[row.asset.asset_id])]
        return not drifted or self._not_enough(f"the faces of {len(drifted)} of {len(rows)} assets are others now")

    def _reconcile(self, since: ChangeSet, fetched: int, lost: int) -> Reconciliation:
        here = self._known()
        return Reconciliation(
            listed=listings.present(self.registry, [self.label]),
            own=sum(here.values()),
            active=sum(n for month, n in here.items() if month.visibility in _COUNTED and not month.trashed),
            timeline=sum(since.months.values()),
            statistics=since.statistics,
            fetched_singly=fetched,
            lost=lost,
        )

    def _not_enough(self, why: str) -> bool:
        log.info("%s: everything is listed again, the changes are not enough: %s", self.label, why)
        return False

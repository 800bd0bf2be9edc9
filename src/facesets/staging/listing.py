"""Staging room: what a source has goes into the registry: everything, or what changed since. Touches the source and the registry.

A complete listing leaves a mark. From then on the changes since are enough, and are proven to be: the server's count of every month
must be the registry's. Where they cannot be had, or too much is different, everything is listed again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from itertools import islice

from ..errors import BadAnswer, NotFound, NotImmich
from ..immich.listing import Reconciliation
from ..immich.timeline import STACKABLE, Bucket
from ..progress import Progress
from ..records import Asset, Reason
from ..registry import Registry, assets, listings
from ..registry.assets import AssetRow
from ..settings import ImmichSettings
from ..sources import Source
from ..sources.changes import Changes, Mark, Told
from ..sources.stream import Stream
from . import streamed
from .counters import StageCounters
from .streamed import differ

log = logging.getLogger(__name__)

_BATCH = 4000  # rows a transaction: each waits for the disk
_MOST_BUCKETS, _MOST_SINGLY = 200, 2000  # beyond, a complete listing is quicker
_STEP = 32  # assets whose faces are asked for again before looking whether any had changed
_COUNTED = ("timeline", "archive")


class Listing:
    """Records what one source has. ``run_id`` is the run that sees it; ``asked``: whose photos are to be taken."""

    def __init__(self, registry: Registry, source: Source, counters: StageCounters, run_id: int, asked: ImmichSettings) -> None:
        self.registry, self.source, self.counters, self.run_id = registry, source, counters, run_id
        self.label, self.owner_id, self.asked = source.user.label, source.user.user_id, asked
        self.users = {user.user_id for user in assets.users(registry)}

    def record(self, progress: Progress, *, full: bool) -> None:
        """Record the changes since the last listing; ``full``, or where that cannot be done: everything, its faces included."""
        marked = listings.mark(self.registry, self.label, self.source.name)
        changes = self.source.changes
        if full or changes is None or marked is None or not self._record_changes(changes, Mark.read(marked), progress):
            if full and self.source.tells_faces:
                with self.registry.transaction():
                    listings.forget_faces(self.registry, self.label, self.source.name)
            self._record_everything(progress)
        if not self.asked.stacked:
            self._record_stacks()
        if self.source.stream is not None:
            self._record_stream(self.source.stream, progress, full=full)
        self.counters.total_assets_seen = listings.present(self.registry, [self.label])

    def _record_stacks(self) -> None:
        """What lies beneath another of its stack: the search does not tell, but the months' counts give it away."""
        beneath = listings.stacked(self.registry, self.owner_id, self.source.name)
        here = listings.counts(self.registry, self.owner_id, self.source.name)
        on_top = {b: n - beneath.get(b, 0) for b, n in here.items() if b[1] in STACKABLE and not b[2]}
        for bucket, asset_ids in self.source.stacked(on_top):
            with self.registry.transaction():
                listings.set_stacked(self.registry, self.owner_id, self.source.name, asset_ids, bucket)

    def _record_stream(self, stream: Stream, progress: Progress, *, full: bool) -> None:
        try:
            streamed.record(self.registry, stream, self.source.user, progress, full=full)
        except (BadAnswer, NotFound, NotImmich) as err:
            progress.note(f"The server's stream of faces cannot be used ({err}); photos are asked for theirs one by one.")

    def _record_everything(self, progress: Progress) -> None:
        """Record the whole listing; then what it names no longer is GONE."""
        listing = self.source.listing(progress)
        while batch := list(islice(listing, _BATCH)):
            with self.registry.transaction():
                self._enter(batch)
        with self.registry.transaction():
            self.counters.gone += assets.mark_gone(self.registry, self.label, self.source.name, self.run_id)
            listings.remember(self.registry, self.label, self.source.name, self.source.mark)
        self.counters.reconciliation = self.source.reconciliation

    def _enter(self, batch: Iterable[Asset]) -> None:
        own: list[Asset] = []
        others: list[Asset] = []
        for asset in batch:
            (own if asset.owner_id == self.owner_id else others).append(asset)
        if self.asked.partners:
            elsewhere = assets.filed_elsewhere(self.registry, self.label, others)
            own += [a for a in others if a.owner_id not in self.users and (a.owner_id, a.asset_id) not in elsewhere]
            others = [a for a in others if a.owner_id in self.users or (a.owner_id, a.asset_id) in elsewhere]
        assets.add_listed(self.registry, self.label, self.source.name, own, self.run_id)
        new = assets.add_foreign(self.registry, self.label, self.source.name, others, self.run_id)
        self.counters.by_reason[Reason.OTHER_OWNER] += new
        self.counters.listed += len(own) + len(others)

    # -- changes

    def _record_changes(self, changes: Changes, before: Mark, progress: Progress) -> bool:
        """Whether the changes were enough. What is recorded on the way to finding that they were not does no harm."""
        with progress.task("listing changes", unit="assets") as task:
            told = changes.since(before)
            if told is None:
                return self._not_enough("they cannot be told")
            with self.registry.transaction():
                self._enter(told.assets)
            task.advance(len(told.assets))
            counts = Reconciliation()
            if not self._settle_months(changes, told, counts) or not self._settle_partners(told):
                return False
            if not self._settle_faces(changes, before, told):
                return False
        with self.registry.transaction():
            listings.remember(self.registry, self.label, self.source.name, told.mark.text())
        self._reconcile(told, counts)
        if not counts.agrees:
            progress.note(f"The server contradicts itself about what it has: {counts.told()}.")
        return True

    def _settle_months(self, changes: Changes, told: Told, counts: Reconciliation) -> bool:
        """Look into each month whose count is not the registry's: what is missing is fetched, what is in none of them is gone."""
        differing = self._differing(told.buckets)
        if len(differing) > _MOST_BUCKETS:
            return self._not_enough(f"{len(differing)} months differ")
        missing, surplus = set[str](), set[str]()
        found_there = changes.ids(bucket for bucket in differing if told.buckets.get(bucket))
        for bucket in differing:
            there = found_there.get(bucket, set())
            here = listings.ids(self.registry, self.owner_id, self.source.name, bucket)
            missing |= there - here
            surplus |= here - there
        if len(missing) > _MOST_SINGLY:
            return self._not_enough(f"{len(missing)} assets are missing")
        found = list(changes.singly(sorted(missing)))
        counts.fetched_singly, counts.lost = len(found), len(missing) - len(found)
        with self.registry.transaction():
            self._enter(found)
            gone = surplus - {asset.asset_id for asset in found} - {asset.asset_id for asset in told.assets}
            self.counters.gone += listings.mark_gone(self.registry, self.owner_id, sorted(gone))
        return True

    def _differing(self, there: Mapping[Bucket, int]) -> list[Bucket]:
        here = {Bucket(*bucket): n for bucket, n in listings.counts(self.registry, self.owner_id, self.source.name).items()}
        return sorted(bucket for bucket in there.keys() | here.keys() if there.get(bucket, 0) != here.get(bucket, 0))

    def _settle_partners(self, told: Told) -> bool:
        """Of partners the server tells a total only; a new partner's photos, and deleted ones, are in no list of changes."""
        if told.of_partners is None or told.of_partners == listings.in_timelines(self.registry, told.mark.partners):
            return True
        return self._not_enough("partners' photos came or went")

    def _settle_faces(self, changes: Changes, before: Mark, told: Told) -> bool:
        """The drift check: a change of faces leaves no mark, so some assets are asked for theirs, others each time."""
        fact = f"drift_turn:{self.label}"
        turn = int(self.registry.fact(fact) or 0)
        with self.registry.transaction():
            self.registry.set_fact(fact, str(turn + 1))
        if self.source.stream is not None:
            return True  # which tells of every change
        found = changes.sample(before, turn, sum(told.buckets.values()))
        if found is not None:
            rows = listings.owned(self.registry, self.owner_id, found)
            drifted = [row for row in rows if row.asset.boxes is not None and differ(row, found[row.asset.asset_id])]
            return not drifted or self._not_enough(f"the faces of {len(drifted)} of {len(rows)} assets are others now")
        self._ask_again(changes, turn)
        return True

    def _ask_again(self, changes: Changes, turn: int) -> None:
        """Where the listing tells no faces: ask for those of some assets. From the newest of those left aside for their faces on, as
        far as there are changes; then of a few anywhere, and if one of those has changed, of all that were left aside.
        """
        step, skip = changes.sample_size // 2, 0
        while rows := listings.faceless(self.registry, self.label, self.source.name, limit=step, skip=skip):
            changed = self._compare(changes, rows)
            if not changed:
                break
            step, skip = _STEP, skip + len(rows) - changed
        anywhere = listings.with_boxes(self.registry, self.label, self.source.name, turn, changes.sample_size // 2)
        if self._compare(changes, anywhere):
            log.warning("faces have changed: asking again for those of all assets that were left aside for them")
            with self.registry.transaction():
                listings.forget_faces(self.registry, self.label, self.source.name)

    def _compare(self, changes: Changes, rows: list[AssetRow]) -> int:
        """Ask for the faces of these, keep what is new, decide again about those left aside for them; returns how many had changed."""
        found = changes.boxes([row.asset for row in rows])
        changed = [row for row in rows if row.asset.asset_id in found and differ(row, found[row.asset.asset_id])]
        with self.registry.transaction():
            for row in changed:
                assets.set_boxes(self.registry, row.id, found[row.asset.asset_id])
                if row.reason in (Reason.NO_FACES, Reason.NO_BIG_FACE):
                    assets.settle(self.registry, row.id, Reason.LISTED)
        return len(changed)

    def _reconcile(self, told: Told, counts: Reconciliation) -> None:
        here = listings.counts(self.registry, self.owner_id, self.source.name)
        counts.listed = listings.present(self.registry, [self.label])
        counts.own, counts.timeline, counts.statistics = sum(here.values()), sum(told.buckets.values()), told.statistics
        counts.active = sum(n for (_, visibility, trashed), n in here.items() if visibility in _COUNTED and not trashed)
        self.counters.reconciliation = counts

    def _not_enough(self, why: str) -> bool:
        log.info("%s: everything is listed again, the changes are not enough: %s", self.label, why)
        return False

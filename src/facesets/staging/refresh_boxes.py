"""Staging room: photos are asked again for their faces, since no server marks one whose faces change. Touches source and registry.

Each run asks those that changed last, to which Immich's detector gets last. Where the listing has no boxes (3.x with a key), it asks
one shard of all, too, so that within a stated number of runs each photo is asked; where a dump has those of most, so it goes with the
others.
"""

from __future__ import annotations

import logging

from facesets.progress import Progress
from facesets.records import Reason
from facesets.registry import AssetRow, Registry, assets, listings
from facesets.sources import Changes, Source
from facesets.staging.counters import StageCounters
from facesets.staging.sync_faces import differ, reassign

log = logging.getLogger(__name__)

_NEWEST, _STEP = 4, 32  # photos that are asked, the first time and then, before looking whether any of them had changed
_AT_ONCE = 1000  # in memory
_FEW = 50  # one in so many has other faces: somebody's hand; more: Immich has looked anew
_MANY_UNANSWERED = 1000  # photos that gave no answer and are asked by the next run; more: that run takes the whole shard again
_ASIDE = (Reason.NO_FACES, Reason.NO_BIG_FACE, Reason.NOT_SCANNED, Reason.MEASURED)  # decided by faces alone


def refresh(
    registry: Registry, source: Source, changes: Changes | None, shard: int, shards: int, counters: StageCounters, progress: Progress
) -> None:
    """Ask the photos that changed last, and one ``shard`` out of ``shards`` (0: none). ``changes``: what asks; None: no need."""
    label, state = source.user.label, None
    if changes is not None:
        refresher = _Refresher(registry, source, changes)
        refresher.newest()
        state = refresher.refresh(shard, shards, progress) if shards else None
        counters.faces_asked_again, counters.faces_changed = refresher.asked, refresher.changed
    with registry.transaction():
        again = state is not None and state.unanswered > _MANY_UNANSWERED
        listings.set_refresh(registry, label, shard if again else shard + 1, state)


class _Refresher:
    def __init__(self, registry: Registry, source: Source, changes: Changes) -> None:
        self.registry, self.label, self.name, self.changes = registry, source.user.label, source.name, changes
        self.only = changes.only
        self.asked = self.changed = 0
        self.unanswered = list[int]()  # row ids of those that gave no answer

    def newest(self) -> None:
        """From the newest of those left aside for their faces on, as far as there are changes."""
        step, skip = _NEWEST, 0
        while rows := listings.left_aside_for_faces(self.registry, self.label, self.name, only=self.only, limit=step, skip=skip):
            changed = self._compare(rows)
            if not changed:
                return
            step, skip = _STEP, skip + len(rows) - changed

    def refresh(self, shard: int, shards: int, progress: Progress) -> listings.Refresh:
        """A shard, and those that gave no answer last time; if many of them have changed, all that were left aside are asked."""
        every = listings.refreshable(self.registry, self.label, self.name, only=self.only)
        due = listings.refreshable(self.registry, self.label, self.name, shard, shards, only=self.only)
        due.extend(sorted(set(listings.unanswered(self.registry, self.label)).intersection(every).difference(due)))
        self.unanswered.clear()  # the newest are asked again in any case
        drifted = 0
        with progress.task("asking again for faces", len(due), "photos") as task:
            for start in range(0, len(due), _AT_ONCE):
                batch = [assets.get(self.registry, row_id) for row_id in due[start : start + _AT_ONCE]]
                drifted += self._compare(batch)
                task.advance(len(batch))
        with self.registry.transaction():
            listings.set_unanswered(self.registry, self.label, self.unanswered if len(self.unanswered) <= _MANY_UNANSWERED else ())
            if drifted * _FEW > len(due) and shards > 1:  # else all are asked in any case
                log.warning("faces have changed: asking again for those of all photos that were left aside for them")
                listings.forget_faces(self.registry, self.label, self.name, only=self.only)
        return listings.Refresh(len(every), len(due) - len(self.unanswered), len(self.unanswered))

    def _compare(self, rows: list[AssetRow]) -> int:
        """Ask for the faces of these, keep what is new, decide again about those left aside for them; returns how many had changed."""
        found, silent = self.changes.boxes([row.asset for row in rows])
        answered = [row for row in rows if row.asset.asset_id in found]
        changed = [row for row in answered if differ(row, found[row.asset.asset_id])]
        same = [row for row in answered if row.asset.boxes and not differ(row, found[row.asset.asset_id])]
        with self.registry.transaction():
            for row in changed:
                assets.set_boxes(self.registry, row.id, found[row.asset.asset_id])
                if row.reason in _ASIDE:
                    assets.settle(self.registry, row.id, Reason.LISTED)
            reassign(self.registry, [(row, found[row.asset.asset_id]) for row in same])
        self.unanswered += [row.id for row in rows if row.asset.asset_id in silent]
        self.asked, self.changed = self.asked + len(rows) - len(silent), self.changed + len(changed)
        return len(changed)

"""Staging room: list and decide; what is worth its bytes is then brought (``bring``). Touches the source and the registry.

May be killed at any point and run again: a row changes in the transaction that follows its file, and a file that is whole is
never fetched twice.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence

from ..progress import Progress
from ..records import Reason
from ..registry import Registry, assets
from ..registry.assets import AssetRow
from ..sources import Source, Work
from ..workspace import Workspace
from . import filters, renditions
from .asking import Asking
from .bring import Bringing
from .counters import StageCounters
from .listing import Listing

_BATCH = 4000  # rows a transaction
# decided by settings that may change
_RULED = (
    *(Reason.EXCLUDED_PATH, Reason.ARCHIVED, Reason.STACKED, Reason.OTHER_OWNER, Reason.NO_BIG_FACE),
    *(Reason.STAGED, Reason.FACES_ERROR, Reason.DOWNLOAD_ERROR, Reason.MEASURED),
)
_UNKNOWN = (Reason.NOT_IMAGE, Reason.HIDDEN)  # with a detail: for a value that only newer servers know


def stage(
    workspace: Workspace,
    registry: Registry,
    source: Source,
    *,
    run_id: int,
    known_sha256: Mapping[str, str],
    full: bool = False,
    bring: bool = True,
    progress: Progress,
) -> StageCounters:
    """Record what ``source`` lists, decide about each asset, and bring the originals that matter.

    Without ``bring`` these stay LISTED: their faces have been measured already, and bytes are for later.
    ``full``: list everything and ask for all faces again, instead of what changed since the last time.
    ``known_sha256``: hash -> where, of photos that external caches hold. Afterwards every listed asset has a reason, and those
    worth embedding are STAGED with ``sha256`` and ``path``. Items that may heal are left FACES_ERROR or DOWNLOAD_ERROR; what
    concerns the whole run is raised: Unreachable where the server is gone, WrongKey, MissingPermission, FacesetsError (disk full).
    """
    begun, before = time.monotonic(), source.work
    counters = StageCounters()
    work = _Deciding(workspace, registry, source, counters)
    try:
        Listing(registry, source, counters, run_id, workspace.settings.immich).record(progress, full=full)
        if full:
            assets.relist(registry, source.user.label, (Reason.NOT_AVAILABLE,))
        if not bring:
            assets.relist(registry, source.user.label, (Reason.FACES_ERROR,))
        work.decide_standing()
        if not bring:
            counters.by_reason[Reason.LISTED] = len(assets.ids_in_order(registry, source.user.label, source.name, (Reason.LISTED,)))
            counters.already_settled = counters.total_assets_seen - sum(counters.by_reason.values())
            return counters
        if source.tells_faces:
            own = workspace.settings
            asking = Asking(registry, source, counters, workers=max(1, own.immich.connections), min_face_short=own.stage.min_face_short)
            asking.ask(progress)
        Bringing(workspace, registry, source, known_sha256, counters).bring(progress)
    finally:
        _count(counters, before, source.work, begun)
        for note in counters.notes():
            progress.note(note)
    return counters


def substitute(
    workspace: Workspace, registry: Registry, source: Source, *, known_sha256: Mapping[str, str], progress: Progress
) -> StageCounters:
    """After embedding: bring the server's next best picture of every photo that no decoder took. Raises as :func:`stage`."""
    ids = renditions.want(registry, source.user.label, source.name)
    return bring_only(workspace, registry, source, ids, known_sha256=known_sha256, progress=progress)


def bring_only(
    workspace: Workspace, registry: Registry, source: Source, ids: Sequence[int], *, known_sha256: Mapping[str, str], progress: Progress
) -> StageCounters:
    """Bring the photos of these rows, which are LISTED and wanted whatever their boxes say. Raises as :func:`stage`."""
    begun, before = time.monotonic(), source.work
    counters = StageCounters(total_assets_seen=len(ids))
    try:
        Bringing(workspace, registry, source, known_sha256, counters).bring(progress, ids)
    finally:
        _count(counters, before, source.work, begun)
    return counters


def _count(counters: StageCounters, before: Work, after: Work, begun: float) -> None:
    counters.requests, counters.downloads = after.requests - before.requests, after.downloads - before.downloads
    counters.seconds = time.monotonic() - begun


class _Deciding:
    def __init__(self, workspace: Workspace, registry: Registry, source: Source, counters: StageCounters) -> None:
        self.workspace, self.registry, self.source, self.counters = workspace, registry, source, counters
        self.settings = workspace.settings.stage
        self.label = source.user.label

    def decide_standing(self) -> None:
        """Everything that needs no network: changed settings, vanished files, and reasons that the listing itself gives."""
        immich = self.workspace.settings.immich
        rules = json.dumps([self.settings.min_face_short, self.settings.exclude, immich.archived, immich.stacked, immich.partners])
        fact, digest = f"stage_rules:{self.label}", hashlib.sha256(rules.encode()).hexdigest()
        with self.registry.transaction():
            if self.registry.fact(fact) not in (None, digest):
                assets.relist(self.registry, self.label, _RULED)
            self.registry.set_fact(fact, digest)
            if self.settings.verify_duplicates:
                assets.relist(self.registry, self.label, (Reason.PROBABLE_DUP,))
        self._find_vanished()
        renditions.want(self.registry, self.label, self.source.name)
        users = {user.user_id for user in assets.users(self.registry)}
        excluded = filters.path_filter(self.settings.exclude)
        for rows in self._walk((Reason.LISTED,)):
            decided: list[tuple[int, Reason, str | None]] = []
            for row in rows:
                taken = row.asset.owner_id == self.source.user.user_id or (immich.partners and row.asset.owner_id not in users)
                owner_id = row.asset.owner_id if taken else self.source.user.user_id
                beneath = row.is_stacked and not immich.stacked
                against = filters.standing(row.asset, owner_id, archived=immich.archived, stacked=beneath, excluded=excluded)
                if against is None and self.source.tells_faces:
                    against = filters.by_size(row.asset, self.settings.min_face_short)
                if against is None and row.asset.boxes is not None:
                    against = filters.by_faces(row.asset, row.asset.boxes, self.settings.min_face_short)
                if against is not None:
                    decided.append((row.id, *against))
            with self.registry.transaction():
                assets.settle_many(self.registry, decided)
            self.counters.by_reason.update(reason for _, reason, _ in decided)
            self.counters.unknown.update(detail for _, reason, detail in decided if detail and reason in _UNKNOWN)
        with self.registry.transaction():
            assets.relist_orphans(self.registry, self.label)

    def _find_vanished(self) -> None:
        """Staged originals that somebody deleted are brought again."""
        for rows in self._walk((Reason.STAGED, Reason.EMBED_ERROR)):
            lost = [row for row in rows if row.path is None or not (self.workspace.root / row.path).is_file()]
            with self.registry.transaction():
                assets.settle_many(self.registry, ((row.id, Reason.LISTED, None) for row in lost))

    def _walk(self, reasons: tuple[Reason, ...]) -> Iterator[list[AssetRow]]:
        after = 0
        while rows := list(assets.select(self.registry, labels=[self.label], reasons=reasons, after=after, limit=_BATCH)):
            after = rows[-1].id
            yield [row for row in rows if row.source == self.source.name]

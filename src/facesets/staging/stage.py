"""Staging room: list and decide; what is worth its bytes is then downloaded. Touches the source and the registry.

May be killed at any point and run again: a row changes in the transaction that follows its file, and a file that is whole is
never fetched twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from facesets.progress import Progress
from facesets.records import Reason
from facesets.registry import AssetRow, Registry, assets, failures, originals
from facesets.sources import Source, Work
from facesets.staging import filters, renditions
from facesets.staging.counters import StageCounters
from facesets.staging.download import Downloader
from facesets.staging.face_boxes import BoxFetcher
from facesets.staging.inventory import Listing
from facesets.staging.people import record_people
from facesets.workspace import Workspace

Clock = Callable[[], datetime]
_BATCH = 4000  # rows a transaction
# decided by settings that may change
_RULED = (
    *(Reason.EXCLUDED_PATH, Reason.ARCHIVED, Reason.STACKED, Reason.OTHER_OWNER, Reason.NO_BIG_FACE),
    *(Reason.STAGED, Reason.FACES_ERROR, Reason.DOWNLOAD_ERROR, Reason.MEASURED),
)
_UNKNOWN = (Reason.NOT_IMAGE, Reason.HIDDEN)  # with a detail: for a value that only newer servers know


def _now() -> datetime:
    return datetime.now(UTC)


def stage(
    workspace: Workspace,
    registry: Registry,
    source: Source,
    *,
    run_id: int,
    known_sha256: Mapping[str, str],
    full: bool = False,
    accept_missing: bool = False,
    download: bool = True,
    progress: Progress,
    clock: Clock = _now,
) -> StageCounters:
    """Record what ``source`` lists, decide about each asset, and download the originals that matter.

    Without ``download`` these stay LISTED: their faces have been measured already, and bytes are for later.
    ``full``: list everything and ask for all faces again, instead of what changed since the last time.
    ``known_sha256``: hash -> where, of photos that external caches hold. Afterwards every listed asset has a reason, and those
    worth embedding are STAGED with ``sha256`` and ``path``. Items that may heal are left FACES_ERROR or DOWNLOAD_ERROR; what
    concerns the whole run is raised: SourceAway where the server is gone, WrongKey, MissingPermission, FacesetsError (disk full), and
    Refused where a folder is suddenly empty (unless ``accept_missing``).
    """
    begun, before = time.monotonic(), source.work
    counters = StageCounters()
    work = _Deciding(workspace, registry, source, counters)
    try:
        listing = Listing(registry, source, counters, run_id, workspace.settings.immich, accept_missing=accept_missing)
        listing.record(progress, full=full)
        record_people(registry, source, progress)
        with registry.transaction():
            failures.try_again(registry, source.user.label, clock(), everything=full)
            assets.relist(registry, source.user.label, (Reason.NO_ACCESS,))
        if not download:
            assets.relist(registry, source.user.label, (Reason.FACES_ERROR,))
        work.apply_filters()
        if source.knows_faces:
            own = workspace.settings
            boxes = BoxFetcher(
                registry,
                source,
                counters,
                workers=max(1, own.immich.connections),
                min_face_short=own.stage.min_face_short,
                last=not download,
            )
            boxes.fetch(progress)
        if not download:
            counters.by_reason[Reason.LISTED] = len(assets.ids_in_order(registry, source.user.label, source.name, (Reason.LISTED,)))
            counters.already_settled = counters.total_assets_seen - sum(counters.by_reason.values())
            return counters
        Downloader(workspace, registry, source, known_sha256, counters).download(progress)
        count_failures(registry, [source.user.label], (Reason.FACES_ERROR, Reason.DOWNLOAD_ERROR), progress, clock)
    finally:
        _count(counters, before, source.work, begun)
        for note in counters.notes():
            progress.note(note)
    return counters


def count_failures(
    registry: Registry, labels: Sequence[str], reasons: Sequence[Reason], progress: Progress, clock: Clock = _now
) -> None:
    """At the end of a step: what failed for these reasons has failed in one run more. Says what is given up by that.

    Not for a run in which the source itself was away: that says nothing of any photo.
    """
    with registry.transaction():
        given_up = sum(failures.count(registry, label, reasons, clock()) for label in labels)
    if given_up:
        progress.note(
            f"{given_up:,} photo{'s' if given_up > 1 else ''} failed in {failures.RUNS} runs over {failures.DAYS.days} days and no "
            f"longer hold{'' if given_up > 1 else 's'} up the sets (facesets list assets --reason not_available  says why). The source "
            "is still asked for them once a week, when they change there, and with --full."
        )


def substitute(
    workspace: Workspace, registry: Registry, source: Source, *, known_sha256: Mapping[str, str], progress: Progress
) -> StageCounters:
    """After embedding: fetch the server's next best picture of every photo that no decoder took. Raises as :func:`stage`."""
    ids = renditions.want(registry, source.user.label, source.name)
    return download_only(workspace, registry, source, ids, known_sha256=known_sha256, progress=progress)


def download_only(
    workspace: Workspace, registry: Registry, source: Source, ids: Sequence[int], *, known_sha256: Mapping[str, str], progress: Progress
) -> StageCounters:
    """Download the photos of these rows, which are LISTED and wanted whatever their boxes say. Raises as :func:`stage`."""
    begun, before = time.monotonic(), source.work
    counters = StageCounters(total_assets_seen=len(ids))
    try:
        Downloader(workspace, registry, source, known_sha256, counters).download(progress, ids)
    finally:
        _count(counters, before, source.work, begun)
    return counters


def _count(counters: StageCounters, before: Work, after: Work, begun: float) -> None:
    counters.requests, counters.downloads = after.requests - before.requests, after.downloads - before.downloads
    counters.seconds = time.monotonic() - begun


def _is_readable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK)


class _Deciding:
    def __init__(self, workspace: Workspace, registry: Registry, source: Source, counters: StageCounters) -> None:
        self.workspace, self.registry, self.source, self.counters = workspace, registry, source, counters
        self.settings = workspace.settings.stage
        self.label = source.user.label

    def apply_filters(self) -> None:
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
        for rows in self._walk((Reason.NOT_SCANNED,)):
            with self.registry.transaction():
                assets.forget_boxes(self.registry, [row.id for row in rows if self.source.scanned(row.asset)])
        users = {user.user_id for user in assets.users(self.registry)}
        excluded = filters.path_filter(self.settings.exclude)
        for rows in self._walk((Reason.LISTED,)):
            decided: list[tuple[int, Reason, str | None]] = []
            for row in rows:
                taken = row.asset.owner_id == self.source.user.user_id or (immich.partners and row.asset.owner_id not in users)
                owner_id = row.asset.owner_id if taken else self.source.user.user_id
                beneath = row.is_stacked and not immich.stacked
                against = filters.by_listing(row.asset, owner_id, archived=immich.archived, stacked=beneath, excluded=excluded)
                if against is None and self.source.knows_faces:
                    against = filters.by_size(row.asset, self.settings.min_face_short)
                if against is None and row.asset.boxes is not None:
                    against = filters.by_faces(row.asset, row.asset.boxes, self.settings.min_face_short, self.source.scanned)
                if against is not None:
                    decided.append((row.id, *against))
            with self.registry.transaction():
                assets.settle_many(self.registry, decided)
            self.counters.by_reason.update(reason for _, reason, _ in decided)
            self.counters.unknown.update(detail for _, reason, detail in decided if detail and reason in _UNKNOWN)
        with self.registry.transaction():
            originals.relist_orphans(self.registry, self.label)

    def _find_vanished(self) -> None:
        """Staged originals that were deleted, damaged or cannot be read any more are fetched again."""
        for rows in self._walk((Reason.STAGED, Reason.EMBED_ERROR)):
            lost = [row for row in rows if row.path is None or self._is_other(row, self.workspace.root / row.path)]
            with self.registry.transaction():
                assets.settle_many(self.registry, ((row.id, Reason.LISTED, None) for row in lost))

    def _is_other(self, row: AssetRow, file: Path) -> bool:
        """Whether the photo is not there (any more); where embedding failed on it, its bytes are looked at."""
        if not _is_readable(file):
            return True
        with file.open("rb") as data:
            return row.reason is Reason.EMBED_ERROR and hashlib.file_digest(data, "sha256").hexdigest() != row.sha256

    def _walk(self, reasons: tuple[Reason, ...]) -> Iterator[list[AssetRow]]:
        after = 0
        while rows := list(assets.select(self.registry, labels=[self.label], reasons=reasons, after=after, limit=_BATCH)):
            after = rows[-1].id
            yield [row for row in rows if row.source == self.source.name]

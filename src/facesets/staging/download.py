"""Staging room: the originals, fetched side by side. Touches the source, the workspace's ``photos`` and, from the calling thread
only, the registry.

Originals are settled in canonical order, so the outcome does not hang on which download ends first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from facesets.errors import (
    ChecksumMismatch,
    MissingPermission,
    NotFound,
    NotImmich,
    ServerError,
    ServerFailed,
    SourceAway,
    Unreachable,
    WrongKey,
)
from facesets.files import NO_ROOM, disk_error
from facesets.progress import Progress
from facesets.records import Asset, FaceBox, Reason
from facesets.registry import AssetRow, Registry, assets, originals
from facesets.sources import SAMPLED, Fetched, Source
from facesets.staging import filters, renditions
from facesets.staging.counters import StageCounters
from facesets.workspace import Workspace

SYNCING = 4  # threads beyond the downloads: while they sync one photo to the disk, the connection brings the next
_AHEAD = 8  # downloads begun before the first of them is settled, for each worker: one slow file does not stop the others
_GIVE_UP = 24  # failures in a row, all of them "no answer": the server is gone, and the rest would only wait
# an original's name on disk ends in one of these, or in .bin
_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl",
    ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf", ".pef", ".srw",
))  # fmt: skip
_BY_TYPE = {f"image/{kind}": f".{kind}" for kind in ("png", "heic", "heif", "webp", "avif")} | {"image/jpeg": ".jpg"}
_OURS = (Reason.LISTED, Reason.FACES_ERROR, Reason.DOWNLOAD_ERROR)


@dataclass(frozen=True, slots=True)
class _Done:
    """What came of one asset: a reason against it, or its bytes, or ``twin``: the kept asset that it equals in samples."""

    reason: Reason | None = None
    detail: str | None = None
    boxes: tuple[FaceBox, ...] | None = None
    fetched: Fetched | None = None
    twin: AssetRow | None = None
    no_answer: bool = False
    other_bytes: bool = False


@dataclass(slots=True)
class _Task:
    row: AssetRow
    future: Future[_Done] | None  # None: one with the same SHA-1, or that looks the same, is here or on its way; it decides


class Downloader:
    """Downloads one user's photos. ``external``: hash -> where, of photos that other caches hold."""

    def __init__(
        self, workspace: Workspace, registry: Registry, source: Source, external: Mapping[str, str], counters: StageCounters
    ) -> None:
        self.workspace, self.registry, self.source, self.external, self.counters = workspace, registry, source, external, counters
        self.settings = workspace.settings.stage
        self.label = source.user.label
        self.failures = 0  # in a row, without an answer
        self.refused = ""  # what the server says where the key may not see its pictures

    def download(self, progress: Progress, ids: Sequence[int] | None = None) -> None:
        """Boxes where they are still to be asked, and originals: fetched side by side, settled in canonical order.

        ``ids``: of these rows only, not of all that wait.
        """
        if ids is None:
            ids = assets.ids_in_order(self.registry, self.label, self.source.name, _OURS)
        listed_now = self.counters.total_assets_seen
        self.counters.already_settled = listed_now - sum(self.counters.by_reason.values()) - len(ids)
        self._remove_parts()
        window: deque[_Task] = deque()
        waiting = iter(ids)
        pool = ThreadPoolExecutor(self.settings.workers + SYNCING, thread_name_prefix="staging")
        try:
            with progress.task("staging", len(ids), "photos") as task:
                while True:
                    self._fill(window, waiting, pool)
                    if not window:
                        return
                    head = window[0]
                    if head.future is not None:
                        head.future.exception()  # waits, outside of any transaction
                    done = self._settle_ready(window, pool)
                    task.advance(done)
                    self._still_worth_it()
        except BaseException:
            self.source.stop()  # who wants to leave does not wait for downloads and their retries
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            if self.refused:
                progress.note(f"Photos that cannot be decoded here are shown by the server, but {self.refused}")

    def _still_worth_it(self) -> None:
        if self.failures >= _GIVE_UP:
            raise SourceAway(
                f"the server stopped answering: {self.failures} photos in a row failed. What came is kept; run again later"
            )

    def _remove_parts(self) -> None:
        """Remove what a killed run left of downloads."""
        for leftover in (self.workspace.root / "photos" / self.label).glob("*/.*.part*"):
            leftover.unlink(missing_ok=True)

    def _fill(self, window: deque[_Task], waiting: Iterator[int], pool: ThreadPoolExecutor) -> None:
        room = self.settings.workers * _AHEAD - len(window)
        under_way = {mark for task in window for mark in _marks(task.row)}
        for row_id in islice(waiting, max(room, 0)):
            row = assets.get(self.registry, row_id)
            sha1, appearance = row.asset.sha1, _appearance(row)
            if row.pixels != "original":
                waits = False
            elif sha1 is not None:
                waits = sha1 in under_way or originals.with_bytes(self.registry, sha1=sha1) is not None
            else:
                waits = appearance in under_way
            under_way.update(_marks(row))
            window.append(_Task(row, None if waits else self._begin(row, pool)))

    def _begin(self, row: AssetRow, pool: ThreadPoolExecutor) -> Future[_Done]:
        if row.pixels != "original":
            return pool.submit(self._work_rendition, row)
        return pool.submit(self._work, row, self._twin_candidate(row))

    def _twin_candidate(self, row: AssetRow) -> AssetRow | None:
        """A kept photo that this one, whose SHA-1 is not known, may be a copy of: small files are sooner fetched than compared."""
        appearance = _appearance(row)
        if row.asset.sha1 is not None or appearance is None or appearance[0] <= SAMPLED or self.settings.verify_duplicates:
            return None
        kept = originals.with_look(self.registry, *appearance)
        if kept is None or kept.id == row.id or kept.path is None or not (self.workspace.root / kept.path).is_file():
            return None
        # a later one may be kept only because this one's download failed when its turn came: then it is this one that is to be kept
        user_id = self.source.user.user_id
        is_first = kept.label == row.label and assets.canonical_order(row, user_id) < assets.canonical_order(kept, user_id)
        return None if row.attempts and is_first else kept

    def _settle_ready(self, window: deque[_Task], pool: ThreadPoolExecutor) -> int:
        """Settle the tasks at the head that are done, in one transaction; returns how many."""
        settled = 0
        with self.registry.transaction():
            while window:
                task = window[0]
                if task.future is None:
                    sha1 = task.row.asset.sha1
                    kept = None if sha1 is None else originals.with_bytes(self.registry, sha1=sha1)
                    duplicate = filters.same_bytes(task.row, kept, None, {}, self.source.user.user_id)
                    if duplicate is None:  # its twin failed, or has to be compared: so this one is asked for itself
                        task.future = self._begin(task.row, pool)
                        break
                    self.counters.bytes_saved += task.row.asset.size_bytes or 0
                    self._settle_duplicate(task.row, duplicate)
                elif not task.future.done() or (settled and task.future.exception() is not None):
                    break  # an error that ends the run is raised once what came before it is committed
                else:
                    self._settle_done(task.row, task.future.result())
                window.popleft()
                settled += 1
        return settled

    def _work(self, row: AssetRow, candidate: AssetRow | None) -> _Done:
        """In a worker: boxes, then bytes. Knows no registry."""
        asset, boxes = row.asset, None
        failed = Reason.FACES_ERROR
        try:
            if asset.boxes is None and self.source.knows_faces:
                boxes = self.source.boxes(asset)
                against = filters.by_faces(asset, boxes, self.settings.min_face_short, self.source.scanned)
                if against is not None:
                    return _Done(*against, boxes=boxes)
            failed = Reason.DOWNLOAD_ERROR
            if candidate is not None:
                assert candidate.path is not None
                if self.source.samples_match(asset, self.workspace.root / candidate.path):
                    return _Done(boxes=boxes, twin=candidate)
            target = self.workspace.photo(self.label, asset.asset_id, suffix(asset))
            fetched = self.source.fetch(asset, target)
        except (ServerError, OSError) as err:
            return self._failed(err, failed, boxes)
        return _Done(boxes=boxes, fetched=fetched)

    def bring(self, row: AssetRow) -> _Done:
        """In a worker: the original of a photo that is wanted whatever its faces, or the picture that stands for it."""
        if row.pixels != "original":
            return self._work_rendition(row)
        try:
            return _Done(fetched=self.source.fetch(row.asset, self.workspace.photo(self.label, row.asset.asset_id, suffix(row.asset))))
        except (ServerError, OSError) as err:
            return self._failed(err, Reason.DOWNLOAD_ERROR, None)

    def _work_rendition(self, row: AssetRow) -> _Done:
        """In a worker: another picture of a photo whose original no decoder takes."""
        target = self.workspace.photo(self.label, row.asset.asset_id, renditions.SUFFIX)
        if self.refused:
            return _Done(Reason.UNREADABLE, self.refused)
        try:
            return _Done(fetched=renditions.here_already(row, target) or self.source.fetch(row.asset, target, row.pixels))
        except MissingPermission as err:
            self.refused = str(err)
            return _Done(Reason.UNREADABLE, self.refused)
        except (ServerError, OSError) as err:
            return self._failed(err, Reason.DOWNLOAD_ERROR, None)

    def _failed(self, err: ServerError | OSError, failed: Reason, boxes: tuple[FaceBox, ...] | None) -> _Done:
        """What an error means for its asset alone; one that concerns the whole run is raised."""
        if isinstance(err, WrongKey | MissingPermission):
            raise err
        if isinstance(err, OSError) and err.errno in NO_ROOM:
            raise disk_error(err, self.workspace.root) from err
        if isinstance(err, OSError) and self.source.name == "folder":
            return _Done(Reason.NO_ACCESS, f"cannot be read: {(err.strerror or str(err)).lower()}")
        if isinstance(err, NotFound):
            return _Done(Reason.NOT_AVAILABLE, str(err), boxes)
        # so 2.x answers where a file is missing, and every version with other bytes than it lists where the file was changed behind its
        # back: the server is there
        own_fault = isinstance(err, ChecksumMismatch) or (isinstance(err, ServerFailed) and err.status == 500)
        no_answer = isinstance(err, Unreachable | NotImmich) and not (failed is Reason.DOWNLOAD_ERROR and own_fault)
        return _Done(failed, str(err), boxes, no_answer=no_answer, other_bytes=isinstance(err, ChecksumMismatch))

    def _settle_done(self, row: AssetRow, done: _Done) -> None:
        self.failures = self.failures + 1 if done.no_answer else 0
        if done.boxes is not None:
            assets.set_boxes(self.registry, row.id, done.boxes)
            self.counters.edits_not_understood += filters.is_unplaced(row.asset, done.boxes)
        if row.pixels != "original" and done.reason is not Reason.DOWNLOAD_ERROR:
            self._settle_rendition(row, done)
        elif done.twin is not None:
            kept = done.twin
            self.counters.bytes_saved += (row.asset.size_bytes or 0) - SAMPLED
            detail = f"same size, look and samples as {kept.asset.asset_id}"
            assert kept.sha256 is not None
            self._settle_duplicate(row, filters.Duplicate(Reason.PROBABLE_DUP, detail, kept.sha256, kept))
        elif done.fetched is None:
            assert done.reason is not None
            self.counters.other_bytes += done.other_bytes
            self._settle(row, done.reason, done.detail)
        else:
            self._settle_fetched(row, done.fetched)

    def _settle_fetched(self, row: AssetRow, fetched: Fetched) -> None:
        self._count_bytes(fetched)
        originals.learn(self.registry, row.id, sha1=fetched.sha1, taken_at=fetched.taken_at, size_pixels=fetched.size_pixels)
        kept = originals.with_bytes(self.registry, sha256=fetched.sha256)
        if kept is None or kept.id == row.id:  # the SHA-256 of one whose original could not be decoded is that of another picture of it
            kept = originals.with_bytes(self.registry, sha1=fetched.sha1)
        duplicate = filters.same_bytes(row, kept, fetched.sha256, self.external, self.source.user.user_id)
        if fetched.size == 0:
            self._settle(row, Reason.EMPTY_FILE, None)
        elif duplicate is not None:
            self._settle_duplicate(row, duplicate)
        else:
            path = self.workspace.relative(fetched.path)
            assets.settle(self.registry, row.id, Reason.STAGED, sha256=fetched.sha256, path=path, size=fetched.size)
            self.counters.by_reason[Reason.STAGED] += 1
            return
        self._remove(fetched.path)

    def _settle_rendition(self, row: AssetRow, done: _Done) -> None:
        if done.fetched is None:
            reason, detail, pixels = renditions.verdict(self.registry, row, nothing_there=done.reason is Reason.NOT_AVAILABLE)
            assets.settle(self.registry, row.id, reason, detail if pixels == "none" else f"{detail}; {done.detail}", pixels=pixels)
            self.counters.by_reason[reason] += 1
            return
        self._count_bytes(done.fetched)
        path = self.workspace.relative(done.fetched.path)
        duplicate = filters.same_bytes(
            row, originals.with_bytes(self.registry, sha256=done.fetched.sha256), None, {}, self.source.user.user_id
        )
        if duplicate is not None and not duplicate.first:
            self._settle_duplicate(row, duplicate)
            self._remove(done.fetched.path)
        else:
            originals.settle_pixels(self.registry, row, done.fetched.pixels, done.fetched.sha256, path)
            self.counters.by_reason[Reason.STAGED] += 1
            self.counters.renditions += 1
        if row.path is not None and row.path != path:
            self._remove(self.workspace.root / row.path)

    def _count_bytes(self, fetched: Fetched) -> None:
        self.counters.bytes_saved += fetched.spared
        if self.source.name != "folder":
            self.counters.bytes_downloaded += fetched.size - fetched.spared

    def _remove(self, path: Path) -> None:
        if path.is_relative_to(self.workspace.root / "photos"):
            path.unlink(missing_ok=True)

    def _settle_duplicate(self, row: AssetRow, duplicate: filters.Duplicate) -> None:
        self.counters.by_reason[duplicate.reason] += 1
        if duplicate.first:
            assert duplicate.kept is not None
            originals.take_over(self.registry, row, duplicate.kept)
            return
        kept_id = duplicate.kept.id if duplicate.kept else None
        originals.settle_duplicate(self.registry, row.id, duplicate.reason, duplicate.detail, duplicate.sha256, kept_id)

    def _settle(self, row: AssetRow, reason: Reason, detail: str | None) -> None:
        assets.settle(self.registry, row.id, reason, detail)
        self.counters.by_reason[reason] += 1


def fetch_again(
    workspace: Workspace, registry: Registry, source: Source, rows: Sequence[AssetRow], progress: Progress
) -> tuple[int, int]:
    """Have photos that are through embedded once more, whose originals are not here any more; a row keeps its reason until its bytes
    are back. Returns how many came, and how many did not: the next run tries these again.

    Raises WrongKey, MissingPermission, FacesetsError (disk full).
    """
    downloader = Downloader(workspace, registry, source, {}, StageCounters())
    came = failed = silent = 0
    others = list[int]()
    with progress.task("fetching again", len(rows), "photos") as task, ThreadPoolExecutor(workspace.settings.stage.workers) as pool:
        for start in range(0, len(rows), _GIVE_UP):
            batch = rows[start : start + _GIVE_UP]
            done = list(pool.map(downloader.bring, batch))
            with registry.transaction():
                for row, one in zip(batch, done, strict=True):
                    if one.fetched is None:
                        failed += 1
                    elif one.fetched.sha256 != row.sha256:
                        others.append(row.id)
                        assets.settle(registry, row.id, Reason.LISTED)
                    else:
                        came += 1
                        path = workspace.relative(one.fetched.path)
                        size, pixels = one.fetched.size, one.fetched.pixels
                        assets.settle(registry, row.id, Reason.STAGED, sha256=row.sha256, path=path, size=size, pixels=pixels)
            task.advance(len(batch))
            silent = silent + len(batch) if all(one.no_answer for one in done) else 0
            if silent >= _GIVE_UP:
                failed += len(rows) - start - len(batch)
                break
    if others:  # another photo by now
        downloader.download(progress, others)
    return came, failed


def _appearance(row: AssetRow) -> tuple[int, str] | None:
    """What an asset's copies have in common, as far as the listing tells."""
    asset = row.asset
    return (asset.size_bytes, asset.thumbhash) if asset.size_bytes and asset.thumbhash else None


def _marks(row: AssetRow) -> set[Hashable]:
    """By what a later one knows that this may be its twin."""
    return {mark for mark in (row.asset.sha1, _appearance(row)) if mark is not None}


def suffix(asset: Asset) -> str:
    """How an original's name on disk ends: from a list of ours, never as the server writes it."""
    own = PurePosixPath(asset.file_name).suffix.lower()
    return own if own in _SUFFIXES else _BY_TYPE.get(asset.mime_type.lower(), ".bin")

"""Staging room: the originals, fetched side by side. Touches the source, the workspace's ``photos`` and, from the calling thread
only, the registry.

Originals are settled in canonical order, so the outcome does not hang on which download ends first.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from ..errors import FacesetsError, MissingPermission, NotFound, NotImmich, ServerError, ServerFailed, Unreachable, WrongKey
from ..immich import originals
from ..progress import Progress
from ..records import Asset, FaceBox, Reason
from ..registry import Registry, assets
from ..registry.assets import AssetRow
from ..sources import Fetched, Source
from ..workspace import Workspace
from . import dedup, filters, renditions
from .counters import StageCounters

_AHEAD = 8  # downloads begun before the first of them is settled, for each worker: one slow file does not stop the others
CHECKING = 4  # threads beyond the downloads: while they hash and sync one photo, the connection brings the next
_GIVE_UP = 24  # failures in a row, all of them "no answer": the server is gone, and the rest would only wait
# runs in which the server fails on one file before it counts as not available: so 2.x answers where a file is missing, and every
# version with other bytes than it lists where the file was changed behind its back
_PATIENCE = 3
_FAILS_ON_IT = "the server fails on this file"
_NO_ROOM = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EROFS))
# an original's name on disk ends in one of these, or in .bin
_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl",
    ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".rw2", ".orf", ".pef", ".srw",
))  # fmt: skip
_BY_TYPE = {f"image/{kind}": f".{kind}" for kind in ("png", "heic", "heif", "webp", "avif")} | {"image/jpeg": ".jpg"}
_OURS = (Reason.LISTED, Reason.FACES_ERROR, Reason.DOWNLOAD_ERROR)


@dataclass(frozen=True, slots=True)
class _Done:
    """What a worker brought back: a reason against the asset, or its bytes, or ``looks_like``: the kept asset it equals in samples."""

    reason: Reason | None = None
    detail: str | None = None
    boxes: tuple[FaceBox, ...] | None = None
    fetched: Fetched | None = None
    looks_like: AssetRow | None = None
    no_answer: bool = False
    fails_on_it: bool = False


@dataclass(slots=True)
class _Task:
    row: AssetRow
    future: Future[_Done] | None  # None: one with the same SHA-1, or that looks the same, is here or on its way; it decides


class Bringing:
    """One user's bytes on their way. ``external``: hash -> where, of photos that other caches hold."""

    def __init__(
        self, workspace: Workspace, registry: Registry, source: Source, external: Mapping[str, str], counters: StageCounters
    ) -> None:
        self.workspace, self.registry, self.source, self.external, self.counters = workspace, registry, source, external, counters
        self.settings = workspace.settings.stage
        self.label = source.user.label
        self.failures = 0  # in a row, without an answer
        self.refused = ""  # what the server says where the key may not see its pictures

    def bring(self, progress: Progress, ids: Sequence[int] | None = None) -> None:
        """Boxes where they are still to be asked, and originals: fetched side by side, settled in canonical order.

        ``ids``: of these rows only, not of all that wait.
        """
        if ids is None:
            ids = assets.ids_in_order(self.registry, self.label, self.source.name, _OURS)
        listed_now = self.counters.total_assets_seen
        self.counters.already_settled = listed_now - sum(self.counters.by_reason.values()) - len(ids)
        self._sweep_parts()
        window: deque[_Task] = deque()
        waiting = iter(ids)
        pool = ThreadPoolExecutor(self.settings.workers + CHECKING, thread_name_prefix="staging")
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
            raise Unreachable(
                f"the server stopped answering: {self.failures} photos in a row failed. What came is kept; run again later"
            )

    def _sweep_parts(self) -> None:
        """Remove the beginnings of downloads that nobody wants any more."""
        for leftover in (self.workspace.root / "photos" / self.label).glob("*/.*"):
            target = originals.part_of(leftover)
            rows = assets.find(self.registry, target.split(".")[0]) if target else []
            if target and not any(row.label == self.label and row.reason in _OURS for row in rows):
                leftover.unlink(missing_ok=True)

    def _fill(self, window: deque[_Task], waiting: Iterator[int], pool: ThreadPoolExecutor) -> None:
        room = self.settings.workers * _AHEAD - len(window)
        under_way = {mark for task in window for mark in _marks(task.row)}
        for row_id in islice(waiting, max(room, 0)):
            row = assets.get(self.registry, row_id)
            sha1, look = row.asset.sha1, _look(row)
            if row.pixels != "original":
                waits = False
            elif sha1 is not None:
                waits = sha1 in under_way or assets.with_bytes(self.registry, sha1=sha1) is not None
            else:
                waits = look in under_way
            under_way.update(_marks(row))
            window.append(_Task(row, None if waits else self._begin(row, pool)))

    def _begin(self, row: AssetRow, pool: ThreadPoolExecutor) -> Future[_Done]:
        if row.pixels != "original":
            return pool.submit(self._work_rendition, row)
        return pool.submit(self._work, row, self._lookalike(row))

    def _lookalike(self, row: AssetRow) -> AssetRow | None:
        """A kept photo that this one, whose SHA-1 is not known, may be a copy of: small files are sooner fetched than compared."""
        look = _look(row)
        if row.asset.sha1 is not None or look is None or look[0] <= 3 * originals.SAMPLE or self.settings.verify_duplicates:
            return None
        kept = assets.with_look(self.registry, *look)
        if kept is None or kept.id == row.id or kept.path is None or not (self.workspace.root / kept.path).is_file():
            return None
        # a later one may be kept only because this one's download failed when its turn came: then it is this one that is to be kept
        return None if row.attempts and kept.label == row.label and assets.place(row) < assets.place(kept) else kept

    def _settle_ready(self, window: deque[_Task], pool: ThreadPoolExecutor) -> int:
        """Settle the tasks at the head that are done, in one transaction; returns how many."""
        settled = 0
        with self.registry.transaction():
            while window:
                task = window[0]
                if task.future is None:
                    sha1 = task.row.asset.sha1
                    kept = None if sha1 is None else assets.with_bytes(self.registry, sha1=sha1)
                    duplicate = dedup.same_bytes(task.row, kept, None, {})
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

    def _work(self, row: AssetRow, lookalike: AssetRow | None) -> _Done:
        """In a worker: boxes, then bytes. Knows no registry."""
        asset, boxes = row.asset, None
        failed = Reason.FACES_ERROR
        try:
            if asset.boxes is None and self.source.tells_faces:
                boxes = self.source.boxes(asset)
                against = filters.by_faces(asset, boxes, self.settings.min_face_short)
                if against is not None:
                    return _Done(*against, boxes=boxes)
            failed = Reason.DOWNLOAD_ERROR
            if lookalike is not None:
                assert lookalike.path is not None
                if self.source.looks_like(asset, self.workspace.root / lookalike.path):
                    return _Done(boxes=boxes, looks_like=lookalike)
            target = self.workspace.photo(self.label, asset.asset_id, suffix(asset))
            fetched = self.source.fetch(asset, target)
        except (ServerError, OSError) as err:
            return self._failed(err, failed, boxes)
        return _Done(boxes=boxes, fetched=fetched)

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
        if isinstance(err, OSError) and err.errno in _NO_ROOM:
            raise FacesetsError(f"{self.workspace.root}: {err.strerror}. What came is kept; make room and run again") from err
        if isinstance(err, NotFound):
            return _Done(Reason.NOT_AVAILABLE, str(err), boxes)
        fails_on_it = isinstance(err, originals.OtherBytes) or (isinstance(err, ServerFailed) and err.status == 500)
        if failed is Reason.DOWNLOAD_ERROR and fails_on_it:
            return _Done(failed, f"{_FAILS_ON_IT} ({err})", boxes, fails_on_it=True)
        return _Done(failed, str(err), boxes, no_answer=isinstance(err, Unreachable | NotImmich))

    def _settle_done(self, row: AssetRow, done: _Done) -> None:
        self.failures = self.failures + 1 if done.no_answer else 0
        if done.boxes is not None:
            assets.set_boxes(self.registry, row.id, done.boxes)
            self.counters.edits_not_understood += filters.nowhere(row.asset, done.boxes)
        if row.pixels != "original" and done.reason is not Reason.DOWNLOAD_ERROR:
            self._settle_rendition(row, done)
        elif done.looks_like is not None:
            kept = done.looks_like
            self.counters.bytes_saved += (row.asset.size_bytes or 0) - 3 * originals.SAMPLE
            detail = f"same size, look and samples as {kept.asset.asset_id}"
            assert kept.sha256 is not None
            self._settle_duplicate(row, dedup.Duplicate(Reason.PROBABLE_DUP, detail, kept.sha256, kept))
        elif done.fetched is None:
            assert done.reason is not None
            often = done.fails_on_it and row.attempts + 1 >= _PATIENCE and (row.detail or "").startswith(_FAILS_ON_IT)
            self._settle(row, Reason.NOT_AVAILABLE if often else done.reason, done.detail)
        else:
            self._settle_fetched(row, done.fetched)

    def _settle_fetched(self, row: AssetRow, fetched: Fetched) -> None:
        self._count_bytes(fetched)
        assets.learn(self.registry, row.id, sha1=fetched.sha1, taken_at=fetched.taken_at, size_pixels=fetched.size_pixels)
        kept = assets.with_bytes(self.registry, sha256=fetched.sha256)
        if kept is None or kept.id == row.id:  # the SHA-256 of one whose original could not be decoded is that of another picture of it
            kept = assets.with_bytes(self.registry, sha1=fetched.sha1)
        duplicate = dedup.same_bytes(row, kept, fetched.sha256, self.external)
        if fetched.size == 0:
            self._settle(row, Reason.EMPTY_FILE, None)
        elif duplicate is not None:
            self._settle_duplicate(row, duplicate)
        else:
            path = self.workspace.relative(fetched.path)
            assets.settle(self.registry, row.id, Reason.STAGED, sha256=fetched.sha256, path=path)
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
        duplicate = dedup.same_bytes(row, assets.with_bytes(self.registry, sha256=done.fetched.sha256), None, {})
        if duplicate is not None and not duplicate.first:
            self._settle_duplicate(row, duplicate)
            self._remove(done.fetched.path)
        else:
            assets.settle_pixels(self.registry, row, done.fetched.pixels, done.fetched.sha256, path)
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

    def _settle_duplicate(self, row: AssetRow, duplicate: dedup.Duplicate) -> None:
        self.counters.by_reason[duplicate.reason] += 1
        if duplicate.first:
            assert duplicate.kept is not None
            assets.take_over(self.registry, row, duplicate.kept)
            return
        kept_id = duplicate.kept.id if duplicate.kept else None
        assets.settle_duplicate(self.registry, row.id, duplicate.reason, duplicate.detail, duplicate.sha256, kept_id)

    def _settle(self, row: AssetRow, reason: Reason, detail: str | None) -> None:
        assets.settle(self.registry, row.id, reason, detail)
        self.counters.by_reason[reason] += 1


def _look(row: AssetRow) -> tuple[int, str] | None:
    """What an asset's copies have in common, as far as the listing tells."""
    asset = row.asset
    return (asset.size_bytes, asset.thumbhash) if asset.size_bytes and asset.thumbhash else None


def _marks(row: AssetRow) -> set[Hashable]:
    """By what a later one knows that this may be its twin."""
    return {mark for mark in (row.asset.sha1, _look(row)) if mark is not None}


def suffix(asset: Asset) -> str:
    """How an original's name on disk ends: from a list of ours, never as the server writes it."""
    own = PurePosixPath(asset.file_name).suffix.lower()
    return own if own in _SUFFIXES else _BY_TYPE.get(asset.mime_type.lower(), ".bin")

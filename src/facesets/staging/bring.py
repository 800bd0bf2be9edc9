"""Staging room: the originals, fetched side by side. Touches the source, the workspace's ``photos`` and, from the calling thread
only, the registry.

Originals are settled in canonical order, so the outcome does not hang on which download ends first.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from ..errors import FacesetsError, MissingPermission, NotFound, NotImmich, ServerError, Unreachable, WrongKey
from ..progress import Progress
from ..records import Asset, FaceBox, Reason
from ..registry import Registry, assets
from ..registry.assets import AssetRow
from ..sources import Fetched, Source
from ..workspace import Workspace
from . import dedup, filters
from .counters import StageCounters

_AHEAD = 8  # downloads begun before the first of them is settled, for each worker: one slow file does not stop the others
_GIVE_UP = 24  # failures in a row, all of them "no answer": the server is gone, and the rest would only wait
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
    """What a worker brought back: a reason against the asset, or its bytes."""

    reason: Reason | None = None
    detail: str | None = None
    boxes: tuple[FaceBox, ...] | None = None
    fetched: Fetched | None = None
    no_answer: bool = False


@dataclass(slots=True)
class _Task:
    row: AssetRow
    future: Future[_Done] | None  # None: an earlier one with the same SHA-1 is on its way; it decides


class Bringing:
    """One user's bytes on their way. ``external``: hash -> where, of photos that other caches hold."""

    def __init__(
        self, workspace: Workspace, registry: Registry, source: Source, external: Mapping[str, str], counters: StageCounters
    ) -> None:
        self.workspace, self.registry, self.source, self.external, self.counters = workspace, registry, source, external, counters
        self.settings = workspace.settings.stage
        self.label = source.user.label
        self.failures = 0  # in a row, without an answer

    def bring(self, progress: Progress) -> None:
        """Boxes where they are still to be asked, and originals: fetched side by side, settled in canonical order."""
        ids = assets.ids_in_order(self.registry, self.label, self.source.name, _OURS)
        listed_now = self.counters.total_assets_seen
        self.counters.already_settled = listed_now - sum(self.counters.by_reason.values()) - len(ids)
        window: deque[_Task] = deque()
        waiting = iter(ids)
        for leftover in (self.workspace.root / "photos" / self.label).glob("*/.*.part"):
            leftover.unlink(missing_ok=True)  # of a run that was killed
        pool = ThreadPoolExecutor(self.settings.workers, thread_name_prefix="staging")
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
                    if self.failures >= _GIVE_UP:
                        raise Unreachable(
                            f"the server stopped answering: {self.failures} photos in a row failed. What came is kept; run again later"
                        )
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _fill(self, window: deque[_Task], waiting: Iterator[int], pool: ThreadPoolExecutor) -> None:
        room = self.settings.workers * _AHEAD - len(window)
        under_way = {task.row.asset.sha1 for task in window}
        for row_id in islice(waiting, max(room, 0)):
            row = assets.get(self.registry, row_id)
            sha1 = row.asset.sha1
            twin = sha1 is not None and (sha1 in under_way or assets.with_bytes(self.registry, sha1=sha1) is not None)
            under_way.add(sha1)
            window.append(_Task(row, None if twin else pool.submit(self._work, row)))

    def _settle_ready(self, window: deque[_Task], pool: ThreadPoolExecutor) -> int:
        """Settle the tasks at the head that are done, in one transaction; returns how many."""
        settled = 0
        with self.registry.transaction():
            while window:
                task = window[0]
                if task.future is None:
                    kept = assets.with_bytes(self.registry, sha1=task.row.asset.sha1)
                    duplicate = dedup.same_bytes(task.row, kept, None, {})
                    if duplicate is None:  # its twin failed: so this one is needed itself
                        task.future = pool.submit(self._work, task.row)
                        break
                    self._settle_duplicate(task.row, duplicate)
                elif not task.future.done() or (settled and task.future.exception() is not None):
                    break  # an error that ends the run is raised once what came before it is committed
                else:
                    self._settle_done(task.row, task.future.result())
                window.popleft()
                settled += 1
        return settled

    def _work(self, row: AssetRow) -> _Done:
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
            target = self.workspace.photo(self.label, asset.asset_id, suffix(asset))
            fetched = self.source.fetch(asset, target)
        except NotFound as err:
            return _Done(Reason.NOT_AVAILABLE, str(err), boxes)
        except (WrongKey, MissingPermission):
            raise
        except ServerError as err:
            return _Done(failed, str(err), boxes, no_answer=isinstance(err, Unreachable | NotImmich))
        except OSError as err:
            if err.errno in _NO_ROOM:
                raise FacesetsError(f"{self.workspace.root}: {err.strerror}. What came is kept; make room and run again") from err
            return _Done(failed, str(err), boxes)
        return _Done(boxes=boxes, fetched=fetched)

    def _settle_done(self, row: AssetRow, done: _Done) -> None:
        self.failures = self.failures + 1 if done.no_answer else 0
        if done.boxes is not None:
            assets.set_boxes(self.registry, row.id, done.boxes)
        if done.fetched is None:
            assert done.reason is not None
            self._settle(row, done.reason, done.detail)
            return
        fetched = done.fetched
        self.counters.bytes_downloaded += fetched.size if self.source.name != "folder" else 0
        assets.learn(self.registry, row.id, sha1=fetched.sha1, taken_at=fetched.taken_at, size_pixels=fetched.size_pixels)
        kept = assets.with_bytes(self.registry, sha256=fetched.sha256)
        duplicate = dedup.same_bytes(row, kept, fetched.sha256, self.external)
        ours = fetched.path.is_relative_to(self.workspace.root / "photos")
        if fetched.size == 0:
            self._settle(row, Reason.EMPTY_FILE, None)
        elif duplicate is not None:
            self._settle_duplicate(row, duplicate)
        else:
            path = self.workspace.relative(fetched.path)
            assets.settle(self.registry, row.id, Reason.STAGED, sha256=fetched.sha256, path=path)
            self.counters.by_reason[Reason.STAGED] += 1
            return
        if ours:
            fetched.path.unlink(missing_ok=True)

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


def suffix(asset: Asset) -> str:
    """How an original's name on disk ends: from a list of ours, never as the server writes it."""
    own = PurePosixPath(asset.file_name).suffix.lower()
    return own if own in _SUFFIXES else _BY_TYPE.get(asset.mime_type.lower(), ".bin")

"""Staging room: where photos are asked one by one for their faces: many at a time, and only those that could matter. Touches the
source and, from the calling thread only, the registry.

Whatever fails here is left as it was: downloading asks again, and records what came of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from facesets.errors import BadAnswer, NotFound, NotImmich, ServerError, SourceAway, Unreachable
from facesets.progress import Progress
from facesets.records import FaceBox, Reason
from facesets.registry import AssetRow, Registry, assets
from facesets.sources import Source
from facesets.staging import filters
from facesets.staging.counters import StageCounters

_AHEAD = 8  # asked before the first of them is settled, for each worker
_GIVE_UP = 24  # in a row without an answer: the server is gone


class BoxFetcher:
    """Asks for the faces of one user's assets, up to ``workers`` at a time; leaves aside those without one that is big enough.

    ``last``: nothing asks again in this run, so those without an answer are FACES_ERROR.
    """

    def __init__(
        self, registry: Registry, source: Source, counters: StageCounters, *, workers: int, min_face_short: float, last: bool = False
    ) -> None:
        self.registry, self.source, self.counters = registry, source, counters
        self.workers, self.min_face_short, self.last = workers, min_face_short, last

    def fetch(self, progress: Progress) -> None:
        """Ask for all that are not known. Raises SourceAway where the server is gone, WrongKey, MissingPermission."""
        waiting = self._unknown()
        first = list(islice(waiting, 1))
        if not first:
            return
        window: deque[tuple[AssetRow, Future[tuple[FaceBox, ...] | None]]] = deque()
        pool, failures = ThreadPoolExecutor(self.workers, thread_name_prefix="faces"), 0
        try:
            with progress.task("asking for faces", unit="photos") as task:
                while True:
                    for row in [*first, *islice(waiting, self.workers * _AHEAD - len(window))]:
                        window.append((row, pool.submit(self._boxes, row)))
                    first = []
                    if not window:
                        return
                    window[0][1].exception()  # waits, outside of any transaction
                    before = len(window)
                    failures = self._settle(window, failures)
                    task.advance(before - len(window))
                    _still_worth_it(failures)
        except BaseException:
            self.source.stop()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _unknown(self) -> Iterator[AssetRow]:
        """Photos whose faces are not known; copies too, on which somebody may have drawn one."""
        for row_id in assets.ids_in_order(self.registry, self.source.user.label, self.source.name, (Reason.LISTED, Reason.FACES_ERROR)):
            row = assets.get(self.registry, row_id)
            if row.asset.boxes is None:
                yield row

    def _boxes(self, row: AssetRow) -> tuple[FaceBox, ...] | None:
        try:
            return self.source.boxes(row.asset)
        except (NotFound, BadAnswer):
            return None

    def _settle(self, window: deque[tuple[AssetRow, Future[tuple[FaceBox, ...] | None]]], failures: int) -> int:
        """Settle those at the head that are done, in one transaction; returns how many in a row have had no answer."""
        settled = 0
        with self.registry.transaction():
            while window and window[0][1].done() and failures < _GIVE_UP:
                row, future = window[0]
                err = future.exception()
                if isinstance(err, Unreachable | NotImmich):  # a proxy's page now and then is no answer either
                    failures += 1
                    self._record(row, None, str(err))
                elif err is not None and type(err) is not ServerError:
                    if settled:
                        break  # an error that ends the run is raised once what came before it is committed
                    raise err
                else:
                    failures = 0
                    self._record(row, None if err is not None else future.result(), str(err or "the server does not show them"))
                window.popleft()
                settled += 1
        return failures

    def _record(self, row: AssetRow, boxes: tuple[FaceBox, ...] | None, lacks: str) -> None:
        if boxes is None:
            if self.last:
                assets.settle(self.registry, row.id, Reason.FACES_ERROR, lacks)
                self.counters.by_reason[Reason.FACES_ERROR] += 1
            return
        assets.set_boxes(self.registry, row.id, boxes)
        self.counters.edits_not_understood += filters.is_unplaced(row.asset, boxes)
        against = filters.by_faces(row.asset, boxes, self.min_face_short, self.source.scanned)
        if against is not None:
            assets.settle(self.registry, row.id, *against)
            self.counters.by_reason[against[0]] += 1


def _still_worth_it(failures: int) -> None:
    if failures >= _GIVE_UP:
        raise SourceAway(f"the server stopped answering: it gave no faces of {failures} photos in a row; run again later")

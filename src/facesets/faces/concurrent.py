"""Embedding while staging still brings photos: a thread with a registry connection of its own takes what is staged, as it comes.

What it leaves (photos of earlier runs, failures, the end of the queue) is the embed step's, which follows. So a run that streams and
one that does not end alike. Where originals are not kept, downloads wait while too many of them lie here unembedded.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from facesets.exchange import QueueEntry, read_queue
from facesets.faces.embed import EmbedResult
from facesets.faces.job import embedding, queue_staged, record
from facesets.models import Pack
from facesets.photos import DecoderPool
from facesets.records import Asset, Reason, State
from facesets.registry import Registry, assets
from facesets.sources import Fetched, Source
from facesets.workspace import Workspace

_ROUND = 32  # photos embedded between two looks at what has come
_PAUSE = 0.2  # seconds between looks where nothing has come
_MOST = 256  # originals that may wait unembedded where they are not kept: 1 GB or so


class ConcurrentEmbed:
    """One user's photos, embedded as they are staged. ``counters`` as :func:`pipeline.embed.embed` counts."""

    def __init__(self, workspace: Workspace, label: str, pack: Pack, decoders: DecoderPool) -> None:
        self.counters: dict[str, Any] = dict.fromkeys(("queue", "new_faces", "new_noface", "load_errors", "seconds"), 0)
        self._workspace, self._label, self._pack, self._decoders = workspace, label, pack, decoders
        self._ended, self._few = threading.Event(), threading.Event()
        self._before: set[int] = set()  # rows that an earlier run left: the embed step takes them
        self._left = 0  # photos that the embed step tries again; they are here, and no reason to wait
        self._error: BaseException | None = None
        self._few.set()
        self._thread = threading.Thread(target=self._work, name="streaming")

    def paced(self, source: Source) -> Source:
        """``source``, which hands out no more originals than are embedded soon."""
        return source if self._workspace.settings.stage.keep_originals else cast("Source", _Paced(source, self))

    def wait(self) -> None:
        """Until few originals wait; raises what ended the embedding."""
        self._few.wait()
        if self._error is not None:
            raise self._error

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the photos at hand."""
        self._ended.set()
        self._thread.join()

    def check(self) -> None:
        """Raise what ended the embedding early."""
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            with self._workspace.registry() as registry:
                self._stream(registry)
        except BaseException as error:  # noqa: BLE001 - carried over to the thread that waits for it
            self._error = error
        finally:
            self._few.set()

    def _stream(self, registry: Registry) -> None:
        self._before = before = {row.id for row in assets.select(registry, labels=[self._label], reasons=[Reason.STAGED])}
        queue = self._workspace.queue(self._label)
        queued = {(entry.asset_id, entry.sha256) for entry in read_queue(queue).entries} if queue.exists() else set()
        taken = set(before)  # by row: what is in the queue of an earlier run and staged again by this one is embedded all the same
        waiting: list[QueueEntry] = []
        while not self._ended.is_set():
            waiting += queue_staged(self._workspace, registry, self._label, queued=queued, taken=taken)
            self._pace(registry)
            now, waiting = waiting[:_ROUND], waiting[_ROUND:]
            if now:
                self._embed(registry, now)
            else:
                self._ended.wait(_PAUSE)

    def _pace(self, registry: Registry) -> None:
        """Let downloads go on, or have them wait."""
        if assets.staged(registry, self._label) - len(self._before) - self._left > _MOST:
            self._few.clear()
        else:
            self._few.set()

    def _embed(self, registry: Registry, entries: list[QueueEntry]) -> None:
        begun = time.perf_counter()
        results = embedding(self._workspace, entries, self._pack, self._decoders)
        batch: list[EmbedResult] = []
        try:
            for result in results:
                batch.append(result)
                self._pace(registry)
                if self._ended.is_set():
                    break
        finally:
            results.close()  # type: ignore[attr-defined]
        settled = [result for result in batch if result.reason.state is not State.RETRY]  # the others are tried again in this run
        record(self._workspace, registry, settled, self._pack, self.counters)
        self._left += len(entries) - len(settled)
        self.counters["queue"] += len(settled)
        self.counters["seconds"] += time.perf_counter() - begun


class _Paced:
    """A source whose originals come no faster than they are embedded."""

    def __init__(self, source: Source, concurrent_embed: ConcurrentEmbed) -> None:
        self._source, self._streaming = source, concurrent_embed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def fetch(self, asset: Asset, target: Path, *more: Any, **named: Any) -> Fetched:
        """As the source's, once few originals wait."""
        self._streaming.wait()
        return self._source.fetch(asset, target, *more, **named)


@contextmanager
def concurrent_embed(workspace: Workspace, label: str, pack: Pack, decoders: DecoderPool) -> Iterator[ConcurrentEmbed]:
    """Embed what is staged in the block. Raises at its end what ended the embedding."""
    running = ConcurrentEmbed(workspace, label, pack, decoders)
    running.start()
    try:
        yield running
    finally:
        running.stop()
    running.check()

"""Staged photos to faces: the queue that any worker can read, the registry that keeps the facts, the cache that others can load."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from ..embedding import Decoders, EmbedResult, Pack, QueueEntry, append_queue, embed_photos, load_cache, read_queue
from ..embedding.paths import to_worker
from ..errors import CorruptFile
from ..progress import Progress
from ..records import Reason, State
from ..registry import Registry, assets, faces
from ..workspace import Workspace
from .cache import write_cache
from .keep import keeper, remove_originals, tidy

log = logging.getLogger(__name__)

_WAITING = (Reason.STAGED, Reason.EMBED_ERROR)
_BATCH = 16  # photos a transaction: a kill loses at most this much work


def known_elsewhere(workspace: Workspace) -> dict[str, str]:
    """SHA-256 -> the external cache that has embedded these bytes already ([caches] read)."""
    known: dict[str, str] = {}
    for name in workspace.settings.caches.read:
        path = workspace.root / Path(name).expanduser()
        if not path.is_file():
            raise CorruptFile(path, "no such file; it is named in [caches] read")
        for row in load_cache(path).meta:
            if sha256 := row.get("sha256"):
                known.setdefault(str(sha256), path.name)
    return known


def queue_staged(
    workspace: Workspace,
    registry: Registry,
    label: str,
    *,
    queued: set[tuple[str, str]] | None = None,
    but: Collection[int] = (),
) -> list[QueueEntry]:
    """Append what is staged and not yet queued, ``but`` these rows; returns the new entries.

    ``queued`` is what the queue holds, where the caller knows; it is brought up to date.
    """
    path = workspace.queue(label)
    if queued is None:
        queued = {(entry.asset_id, entry.sha256) for entry in read_queue(path).entries} if path.exists() else set()
    entries = [
        QueueEntry(
            asset_id=row.asset.asset_id,
            path=row.path,
            worker_path=to_worker((workspace.root / row.path).as_posix(), workspace.settings.paths.map),
            sha256=row.sha256,
            taken_at=row.asset.taken_at,
            boxes=_oriented_boxes(row),
        )
        for row in assets.select(registry, labels=[label], reasons=[Reason.STAGED])
        if row.path and row.sha256 and row.id not in but and (row.asset.asset_id, row.sha256) not in queued
    ]
    if entries or not path.exists():
        append_queue(path, label, entries, path_map=workspace.settings.paths.map)
        queued |= {(entry.asset_id, entry.sha256) for entry in entries}
    return entries


def _oriented_boxes(row: assets.AssetRow) -> tuple[tuple[float, float, float, float], ...]:
    width, height = row.asset.width, row.asset.height
    if not width or not height or row.pixels != "original":
        return ()  # another picture of it has a size of its own
    scaled = (box.scaled_to(width, height) for box in row.asset.boxes or ())
    return tuple(box for box in scaled if box is not None)


def embed(
    workspace: Workspace, registry: Registry, labels: Sequence[str], pack: Pack, progress: Progress, decoders: Decoders
) -> dict[str, Any]:
    """Embed what the users' queues hold and this pack has not seen; returns the yardstick's counters."""
    started = time.perf_counter()
    labels = labels or [user.label for user in assets.users(registry)]
    todo = list(to_embed(workspace, registry, labels, pack.id))
    tidy(workspace, registry, pack, decoders)
    done = dict.fromkeys(("new_faces", "new_noface", "load_errors"), 0)
    with progress.task("finding and embedding faces", len(todo), "photos") as task:
        batch: list[EmbedResult] = []
        for result in embedding(workspace, todo, pack, decoders):
            batch.append(result)
            task.advance()
            if len(batch) >= _BATCH:
                record(workspace, registry, batch, pack, done)
                batch = []
        record(workspace, registry, batch, pack, done)
    for label in labels:
        write_cache(workspace, registry, label, pack)
    seconds = time.perf_counter() - started
    return {
        "queue": len(todo),
        **done,
        "seconds": round(seconds, 3),
        "images_per_second": round(len(todo) / seconds, 3) if todo else 0.0,
    }


def embedding(workspace: Workspace, entries: Iterable[QueueEntry], pack: Pack, decoders: Decoders) -> Iterator[EmbedResult]:
    """Photos to faces as the settings say, crops kept where originals are not; results in the order of the entries."""
    settings = workspace.settings.embed
    return embed_photos(
        entries,
        pack,
        root=workspace.root,
        workers=settings.workers,
        known_boxes=settings.known_boxes,
        wanted=workspace.settings.gates.min_face_short,
        decoder=decoders,
        after=keeper(workspace),
    )


def to_embed(workspace: Workspace, registry: Registry, labels: Sequence[str], pack: str | None) -> Iterator[QueueEntry]:
    """Queue entries that this pack (None: any) has not been through, one for each photo's bytes."""
    seen: set[str] = set()
    for label in labels:
        path = workspace.queue(label)
        if not path.exists():
            continue
        current = _current(registry, label)
        settled = []
        for entry in read_queue(path).entries:
            row = current.get(entry.asset_id)
            if entry.sha256 in seen or row is None or row.sha256 != entry.sha256:
                continue  # queued twice, or replaced by newer bytes since
            seen.add(entry.sha256)
            if (through := faces.embedded_reason(registry, entry.sha256, pack)) is None:
                yield entry
            elif row.reason in _WAITING:  # the asset was away, or undecided again, and its bytes are known
                settled.append((entry.sha256, through))
        with registry.transaction():
            for sha256, through in settled:
                assets.settle_bytes(registry, sha256, through)


def _current(registry: Registry, label: str) -> Mapping[str, assets.AssetRow]:
    wanted = (*_WAITING, *assets.REASONS_OF[State.DONE])
    return {row.asset.asset_id: row for row in assets.select(registry, labels=[label], reasons=wanted)}


def record(
    workspace: Workspace, registry: Registry, batch: Sequence[EmbedResult], pack: Pack, done: MutableMapping[str, Any]
) -> None:
    """Put results on record in one transaction, and count them; then originals that are not kept may go."""
    with registry.transaction():
        for result in batch:
            sha256 = result.entry.sha256
            if result.reason.state is not State.RETRY:
                faces.add_embedded(
                    registry, sha256, pack.id, result.reason, result.faces, result.vectors, detail=result.detail, size=result.size
                )
            assets.settle_bytes(registry, sha256, result.reason, result.detail)
            done["new_faces"] += len(result.faces)
            done["new_noface"] += result.reason is Reason.EMBEDDED_NO_FACE
            if result.reason.state in (State.FAILED, State.RETRY):
                done["load_errors"] += 1
                log.warning("%s: %s (%s)", result.entry.asset_id, result.reason, result.detail)
    remove_originals(workspace, (result.entry.path for result in batch if result.reason.state is State.DONE))

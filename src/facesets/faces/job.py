"""Staged photos to faces: the queue that any worker can read, the registry that keeps the facts, the cache that others can load."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from facesets.errors import CorruptFile
from facesets.exchange import QueueEntry, append_queue, load_cache, read_queue, to_worker
from facesets.faces.crop_store import crop_keeper, remove_originals, remove_unknown_crops, tidy
from facesets.faces.embed import EmbedResult, embed_photos
from facesets.faces.export_cache import write_cache
from facesets.faces.new_boxes import digest_of, stage_again, to_look_at, with_boxes
from facesets.models import Pack, VectorsOnly
from facesets.photos import DecoderPool
from facesets.progress import Progress
from facesets.records import Reason, State
from facesets.registry import Registry, assets, measurements, originals
from facesets.workspace import Workspace

log = logging.getLogger(__name__)

_WAITING = (Reason.STAGED, Reason.EMBED_ERROR)
_BATCH = 16  # photos a transaction: a kill loses at most this much work


def known_in_caches(workspace: Workspace) -> dict[str, str]:
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
    taken: set[int] | None = None,
) -> list[QueueEntry]:
    """Append what is staged and not yet queued; returns the entries of what is staged, but for the rows in ``taken``.

    ``queued`` is what the queue holds, where the caller knows; else it is read where anything is staged. Both are brought up to date.
    """
    path = workspace.queue(label)
    waiting = [
        row
        for row in assets.select(registry, labels=[label], reasons=[Reason.STAGED])
        if row.path and row.sha256 and (taken is None or row.id not in taken)
    ]
    if not waiting and path.exists():
        return []
    if queued is None:
        queued = {(entry.asset_id, entry.sha256) for entry in read_queue(path).entries} if path.exists() else set()
    entries = [
        QueueEntry(
            asset_id=row.asset.asset_id,
            path=row.path or "",
            worker_path=to_worker((workspace.root / (row.path or "")).as_posix(), workspace.settings.paths.map),
            sha256=row.sha256 or "",
            taken_at=row.asset.taken_at,
        )
        for row in waiting
    ]
    wanted = workspace.settings.gates.min_face_short
    entries = [with_boxes(registry, entry, row, wanted) for entry, row in zip(entries, waiting, strict=True)]
    new = [entry for entry in entries if (entry.asset_id, entry.sha256) not in queued]
    if new or not path.exists():
        append_queue(path, label, new, path_map=workspace.settings.paths.map)
        queued |= {(entry.asset_id, entry.sha256) for entry in new}
    if taken is not None:
        taken.update(row.id for row in waiting)
    return entries


def ask_for_originals(workspace: Workspace, registry: Registry, label: str, pack: str) -> int:
    """Have originals fetched again that are not here any more and that this pack has not been through; returns how many."""
    through = (Reason.EMBEDDED, Reason.EMBEDDED_NO_FACE)
    away = [
        row.id
        for row in assets.select(registry, labels=[label], reasons=through)
        if row.path
        and row.sha256
        and not (workspace.root / row.path).is_file()
        and not measurements.is_embedded(registry, row.sha256, pack)
    ]
    with registry.transaction():
        assets.settle_many(registry, ((row_id, Reason.LISTED, None) for row_id in away))
    return len(away)


def embed(
    workspace: Workspace, registry: Registry, labels: Sequence[str], pack: Pack, progress: Progress, decoders: DecoderPool
) -> dict[str, Any]:
    """Embed what the users' queues hold and this pack has not seen; returns the counters."""
    started = time.perf_counter()
    labels = labels or [user.label for user in assets.users(registry)]
    wanted = list(to_embed(workspace, registry, labels, pack.id, again=not isinstance(pack, VectorsOnly)))
    todo = [entry for entry in wanted if not _has_gone(workspace, entry)]
    if away := len(wanted) - len(todo):
        photos = "1 original is" if away == 1 else f"{away:,} originals are"
        progress.note(f"{photos} not here any more, so {pack.id} cannot look at them; facesets run fetches them again.")
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


def _has_gone(workspace: Workspace, entry: QueueEntry) -> bool:
    """Whether it is an original that was removed once another pack had been through it."""
    file = workspace.root / entry.path
    return not workspace.settings.stage.keep_originals and file.is_relative_to(workspace.root / "photos") and not file.is_file()


def embedding(workspace: Workspace, entries: Iterable[QueueEntry], pack: Pack, decoders: DecoderPool) -> Iterator[EmbedResult]:
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
        after=crop_keeper(workspace),
    )


def to_embed(
    workspace: Workspace, registry: Registry, labels: Sequence[str], pack: str | None, *, again: bool = True
) -> Iterator[QueueEntry]:
    """Queue entries that this pack (None: any) has not been through, one for each photo's bytes.

    ``again``: those, too, that it was not told all faces of, where their bytes are here.
    """
    seen: set[str] = set()
    for label in labels:
        path = workspace.queue(label)
        if not path.exists():
            continue
        more = to_look_at(workspace, registry, label, pack) if again and pack else []
        away = {row.id for row in stage_again(workspace, registry, more)}
        anew = {row.sha256: row for row in more if row.id not in away}
        current = _current(registry, label)
        settled = []
        for entry in read_queue(path).entries:
            row = current.get(entry.asset_id)
            if entry.sha256 in seen or row is None or row.sha256 != entry.sha256:
                continue  # queued twice, or replaced by newer bytes since
            seen.add(entry.sha256)
            through = measurements.embedded_reason(registry, entry.sha256, pack)
            if through is None or entry.sha256 in anew:
                yield with_boxes(registry, entry, anew.get(entry.sha256, row), workspace.settings.gates.min_face_short)
            elif row.reason in _WAITING:  # the asset was away, or undecided again, and its bytes are known
                settled.append((entry.sha256, through))
        with registry.transaction():
            for sha256, through in settled:
                originals.settle_bytes(registry, sha256, through)


def _current(registry: Registry, label: str) -> Mapping[str, assets.AssetRow]:
    wanted = (*_WAITING, *assets.REASONS_OF[State.DONE])
    return {row.asset.asset_id: row for row in assets.select(registry, labels=[label], reasons=wanted)}


def record(workspace: Workspace, registry: Registry, batch: Sequence[EmbedResult], pack: Pack, done: MutableMapping[str, Any]) -> None:
    """Put results on record in one transaction, and count them; then originals that are not kept may go."""
    wanted = workspace.settings.gates.min_face_short
    with registry.transaction():
        for result in batch:
            sha256, reason, detail = result.entry.sha256, result.reason, result.detail
            before = measurements.embedded_reason(registry, sha256, pack.id)
            through = before if before is not None and before.state is State.DONE else None
            if reason.state in (State.FAILED, State.RETRY):
                done["load_errors"] += 1
                log.warning("%s: %s (%s)", result.entry.asset_id, reason, detail)
            if through is not None and reason.state is not State.DONE:  # looked through again, in vain: what is known of it stays
                if reason.state is not State.RETRY:
                    measurements.add_embedded(registry, sha256, pack.id, through, digest=digest_of(result.entry, wanted))
                reason, detail = through, None
            elif reason.state is not State.RETRY and reason is not Reason.NO_ACCESS:  # these say nothing of its bytes
                new = measurements.add_embedded(
                    registry, sha256, pack.id, reason, result.faces, result.vectors,
                    detail=detail, size=result.size, orientation=result.orientation, engine=result.engine,
                    digest=digest_of(result.entry, wanted),
                )  # fmt: skip
                done["new_faces"] += new
                done["new_noface"] += through is None and reason is Reason.EMBEDDED_NO_FACE
                reason = measurements.embedded_reason(registry, sha256, pack.id) or reason
                if through is not None:
                    remove_unknown_crops(workspace, registry, result.faces)
            originals.settle_bytes(registry, sha256, reason, detail)
    remove_originals(workspace, (result.entry.path for result in batch if result.reason.state is State.DONE))

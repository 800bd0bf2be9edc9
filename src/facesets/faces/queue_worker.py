"""A queue file to a cache file, without workspace or network, so that another machine can do it.

Each photo's result is appended to a journal beside the cache at once, and the cache is written at the end. A run that was
killed goes on after the last whole line of its journal, and ends with the same bytes as one that was not. Nothing here is
POSIX's alone.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from filelock import FileLock, Timeout

from facesets.errors import CorruptFile, PackMismatch, WorkspaceInUse
from facesets.exchange import Cache, QueueEntry, load_cache, meta_of, read_queue, save_cache, to_worker
from facesets.faces.embed import EmbedResult, embed_photos
from facesets.models import Pack
from facesets.progress import Progress, Silent
from facesets.records import State

_JOURNAL: Final = "facesets.embed-journal/1"


def embed_queue(
    queue: Path,
    out: Path,
    pack: Pack,
    *,
    workers: int = 0,
    path_map: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> dict[str, int | float]:
    """Embed what ``queue`` holds and ``out`` does not; ``path_map`` takes the queue's paths to where this machine sees them.

    Returns ``queue, new_faces, new_noface, load_errors, seconds, images_per_second, retryable``. Photos that no decoder takes are
    written down as failed; what could not be reached is retryable, tried again next time; each is named in a note. Raises
    errors.CorruptFile, errors.PackMismatch, and errors.WorkspaceInUse where another process is at the same ``out``.
    """
    progress = progress or Silent()
    started = time.perf_counter()
    entries = read_queue(queue).entries
    out.parent.mkdir(parents=True, exist_ok=True)
    with _alone(out):
        cache = load_cache(out, model=pack.id) if out.exists() else Cache(pack.id, np.zeros((0, pack.dim), np.float32))
        journal = out.with_name(out.name + ".journal")
        _append(cache, _read_journal(journal, pack), pack.dim)
        todo = _todo(entries, cache)
        new: list[dict[str, Any]] = []
        retryable = 0
        with progress.task("finding and embedding faces", len(todo), "photos") as task, journal.open("ab") as log:
            if not log.tell():
                log.write(_line({"schema": _JOURNAL, "model": pack.id}))
            for result in embed_photos([_here(entry, path_map or {}) for entry in todo], pack, workers=workers):
                task.advance()
                if result.reason.state is State.RETRY:
                    retryable += 1
                else:
                    new.append(_record(result))
                    log.write(_line(new[-1]))
                    log.flush()
                if result.reason.state is not State.DONE:
                    progress.note(f"{result.entry.path}: {result.reason} ({result.detail})")
        _append(cache, new, pack.dim)
        _alias_duplicates(entries, cache)
        save_cache(out, cache)
        journal.unlink()
    seconds = time.perf_counter() - started
    failed = sum("failed" in record for record in new)
    return {
        "queue": len(entries),
        "new_faces": sum(len(record["meta"]) for record in new),
        "new_noface": sum(not record["meta"] for record in new) - failed,
        "load_errors": failed + retryable,
        "seconds": round(seconds, 3),
        "images_per_second": round((len(new) - failed) / seconds, 3),
        "retryable": retryable,
    }


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold ``out`` for this process; a kill frees it."""
    lock = FileLock(out.with_name(f".{out.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise WorkspaceInUse(f"another process is embedding into {out}; wait for it, or stop it (its work is kept)") from error
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):  # Windows keeps what another process has just opened
            Path(lock.lock_file).unlink(missing_ok=True)


def _here(entry: QueueEntry, path_map: Mapping[str, str]) -> QueueEntry:
    return replace(entry, worker_path=to_worker(entry.worker_path or entry.path, path_map)) if path_map else entry


def _todo(entries: Sequence[QueueEntry], cache: Cache) -> list[QueueEntry]:
    """Entries whose path was not gone through and whose bytes come for the first time."""
    paths = {*cache.processed, *cache.failed}
    seen = {str(row.get("sha256")) for row in (*cache.meta, *cache.failed.values())}
    seen |= {entry.sha256 for entry in entries if entry.path in paths}
    todo = []
    for entry in entries:
        if entry.path in paths or (entry.sha256 and entry.sha256 in seen):
            continue
        todo.append(entry)
        paths.add(entry.path)
        seen.add(entry.sha256)
    return todo


def _alias_duplicates(entries: Sequence[QueueEntry], cache: Cache) -> None:
    """Paths with the bytes of one that was gone through count as done, and say which one that was."""
    paths = set(cache.processed)
    kept = {str(row.get("sha256")): str(row.get("path")) for row in reversed(cache.meta)}
    for entry in entries:
        if entry.sha256 and entry.path in paths and entry.path not in cache.path_aliases:
            kept.setdefault(entry.sha256, entry.path)
    for entry in entries:
        if entry.path not in paths and entry.sha256 in kept:
            cache.path_aliases[entry.path] = kept[entry.sha256]
            cache.processed.append(entry.path)
            paths.add(entry.path)


def _record(result: EmbedResult) -> dict[str, Any]:
    record: dict[str, Any] = {
        "path": result.entry.path,
        "meta": [meta_of(face, result.entry, engine=result.engine) for face in result.faces],
        "vectors": base64.b64encode(np.ascontiguousarray(result.vectors, "<f4").tobytes()).decode(),
    }
    if result.reason.state is State.FAILED:
        record["failed"] = {"reason": str(result.reason), "detail": result.detail or "", "sha256": result.entry.sha256}
    return record


def _append(cache: Cache, records: Iterable[dict[str, Any]], dim: int) -> None:
    """Append ``records`` to ``cache``, but for paths that it has."""
    have = {*cache.processed, *cache.failed}
    rows = [cache.embeddings]
    for record in records:
        if record["path"] in have:
            continue
        have.add(record["path"])
        if "failed" in record:
            cache.failed[record["path"]] = {key: str(record["failed"][key]) for key in ("reason", "detail", "sha256")}
        else:
            cache.processed.append(record["path"])
            cache.meta.extend(record["meta"])
            rows.append(np.frombuffer(base64.b64decode(record["vectors"]), "<f4").reshape(len(record["meta"]), dim))
    cache.embeddings = np.concatenate(rows)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _read_journal(path: Path, pack: Pack) -> list[dict[str, Any]]:
    """What an earlier run had done when it was stopped; a line that it was writing just then is cut off."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    try:
        header, *records = [json.loads(line) for line in whole.splitlines()] or [{"schema": _JOURNAL, "model": pack.id}]
        schema, model = header["schema"], header["model"]
        _append(Cache("", np.zeros((0, pack.dim), np.float32)), records, pack.dim)  # fails here rather than half-way
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise CorruptFile(path, f"is no journal of an interrupted embed run ({error}); delete it to start over") from error
    if schema != _JOURNAL:
        raise CorruptFile(path, f"has the schema {schema!r}; this version reads {_JOURNAL}")
    if model != pack.id:
        raise PackMismatch(str(model), pack.id, str(path))
    return records

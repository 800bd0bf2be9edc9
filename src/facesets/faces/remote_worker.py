"""Embedding on another machine: the queue goes out, the user's own command is called, and the cache that it leaves is imported.

Killed anywhere, it goes on: what the cache holds is imported first, and the command finds its own cache and journal again.
"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facesets.errors import FacesetsError, UsageError
from facesets.exchange import QueueEntry, append_queue, stored_model, to_worker
from facesets.faces.import_cache import ImportedCache, import_cache
from facesets.faces.job import to_embed
from facesets.faces.new_boxes import digest_of
from facesets.faces.pack_choice import WORKER_MODEL
from facesets.processes import child_environment
from facesets.progress import Progress
from facesets.records import Reason
from facesets.registry import Registry, assets, measurements, originals
from facesets.wording import count_of
from facesets.workspace import Workspace

log = logging.getLogger(__name__)

_SUCCESS = (0, 3)  # 3: some photos are left for the next time, and what is there can be imported


def embed_on_worker(workspace: Workspace, registry: Registry, labels: Sequence[str], progress: Progress) -> dict[str, Any]:
    """Have the worker embed what the users' queues hold; returns the counters. Raises UsageError, FacesetsError."""
    started = time.perf_counter()
    command = _words(workspace.settings.worker.command)
    counters = dict.fromkeys(("queue", "new_faces", "new_noface", "load_errors"), 0)
    for label in labels or [user.label for user in assets.users(registry)]:
        out = workspace.root / "caches" / f"{label}.worker.npz"
        if out.exists():
            _add(counters, _import(workspace, registry, out, progress))  # of a run that was stopped before it came to this
        todo = list(to_embed(workspace, registry, [label], registry.fact(WORKER_MODEL), again=False))
        counters["queue"] += len(todo)
        if todo:
            _embed_there(workspace, label, todo, out, command, progress)
            _add(counters, _import(workspace, registry, out, progress))
        left = list(to_embed(workspace, registry, [label], registry.fact(WORKER_MODEL), again=False)) if todo else []
        with registry.transaction():
            for entry in left:
                originals.settle_bytes(registry, entry.sha256, Reason.EMBED_ERROR, "the worker's cache does not mention it")
        counters["load_errors"] += len(left)
        counters["new_faces"] += _look_again(workspace, registry, label, command, progress)
    seconds = time.perf_counter() - started
    done = counters["queue"] - counters["load_errors"]
    return {**counters, "seconds": round(seconds, 3), "images_per_second": round(done / seconds, 3) if done > 0 else 0.0}


def _embed_there(
    workspace: Workspace, label: str, todo: Sequence[QueueEntry], out: Path, command: Sequence[str], progress: Progress
) -> None:
    """Have the worker's command embed ``todo`` into the cache ``out``. Raises FacesetsError."""
    queue = workspace.root / "queue" / f"{label}.worker.jsonl"
    queue.unlink(missing_ok=True)
    append_queue(queue, label, todo, path_map=workspace.settings.paths.map)
    progress.note(f"{count_of(len(todo), 'photo')} of {label} for the worker: {shlex.join(command)}")
    _call([_filled(word, queue, out, workspace.settings.paths.map) for word in command])
    if not out.is_file():
        raise FacesetsError(f"the worker's command ended well and left no {out}; does it write to {{out}}?")


def _look_again(workspace: Workspace, registry: Registry, label: str, command: Sequence[str], progress: Progress) -> int:
    """Photos that it has been through, and that have another face at their source since, into a cache of their own; returns how many
    faces are new. A worker that does not know them is not asked the same again.
    """
    model, wanted = registry.fact(WORKER_MODEL), workspace.settings.gates.min_face_short
    todo = [e for e in to_embed(workspace, registry, [label], model) if model and measurements.is_embedded(registry, e.sha256, model)]
    if not todo or model is None:
        return 0
    out = workspace.root / "caches" / f"{label}.worker-again.npz"
    out.unlink(missing_ok=True)  # of photos that were looked at again before this
    _embed_there(workspace, label, todo, out, command, progress)
    before = measurements.count(registry, model)
    import_cache(workspace, registry, out, progress, model=model, again=True)
    out.unlink()
    with registry.transaction():
        for entry in todo:
            through = measurements.embedded_reason(registry, entry.sha256, model)
            assert through is not None
            measurements.add_embedded(registry, entry.sha256, model, through, digest=digest_of(entry, wanted))
            originals.settle_bytes(registry, entry.sha256, through)
    return measurements.count(registry, model) - before


def _import(workspace: Workspace, registry: Registry, out: Path, progress: Progress) -> ImportedCache:
    registry.set_fact(WORKER_MODEL, stored_model(out))
    taken = import_cache(workspace, registry, out, progress)
    log.info("imported: %s", taken.line())
    return taken


def _add(counters: dict[str, int], taken: ImportedCache) -> None:
    counters["new_faces"] += taken.faces
    counters["new_noface"] += taken.without_face
    counters["load_errors"] += taken.failed


def _words(command: str) -> list[str]:
    """The command as words. Raises UsageError where it cannot do what it is there for."""
    try:
        words = shlex.split(command, posix=os.name == "posix")
    except ValueError as error:
        raise UsageError(f"[worker] command: {error}: {command}") from error
    for names in (("{queue}", "{worker_queue}"), ("{out}", "{worker_out}")):
        if not any(name in word for word in words for name in names):
            raise UsageError(f"[worker] command names no {names[0]}: {command}")
    return words


def _filled(word: str, queue: Path, out: Path, path_map: Mapping[str, str]) -> str:
    for name, path in (("queue", queue), ("out", out)):
        word = word.replace(f"{{worker_{name}}}", to_worker(path.as_posix(), path_map)).replace(f"{{{name}}}", str(path))
    return word


def _call(words: list[str]) -> None:
    """Run the worker's command; each line that it says goes to the log, and no key or password of ours to it."""
    last = ""
    try:
        worker = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=child_environment(),
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise UsageError(f"[worker] command cannot be started: {words[0]}: {error.strerror}") from error
    with worker:
        try:
            assert worker.stdout is not None
            for line in worker.stdout:
                last = line.strip() or last
                log.info("worker: %s", line.rstrip())
        except BaseException:
            worker.terminate()
            raise
    code = worker.returncode
    if code not in _SUCCESS:
        raise FacesetsError(f"the worker's command ended with exit code {code} ({last[:300]}). Run again: it goes on where it was")

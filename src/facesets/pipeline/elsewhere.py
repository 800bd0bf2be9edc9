"""Embedding on another machine: the queue goes out, the user's own command is called, and the cache that it leaves is taken in.

Killed anywhere, it goes on: what the cache holds is taken in first, and the command finds its own cache and journal again.
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

from ..embedding import append_queue
from ..embedding.cache import stored_model
from ..embedding.paths import to_worker
from ..errors import FacesetsError, UsageError
from ..progress import Progress
from ..records import Reason
from ..registry import Registry, assets
from ..workspace import Workspace
from .embed import to_embed
from .packs import WORKER_MODEL
from .take_in import TakenIn, take_in

log = logging.getLogger(__name__)

_FINE = (0, 3)  # 3: some photos are left for the next time, and what is there can be taken in


def embed_elsewhere(workspace: Workspace, registry: Registry, labels: Sequence[str], progress: Progress) -> dict[str, Any]:
    """Have the worker embed what the users' queues hold; returns the yardstick's counters. Raises UsageError, FacesetsError."""
    started = time.perf_counter()
    command = _words(workspace.settings.worker.command)
    counters = dict.fromkeys(("queue", "new_faces", "new_noface", "load_errors"), 0)
    for label in labels or [user.label for user in assets.users(registry)]:
        out = workspace.root / "caches" / f"{label}.worker.npz"
        if out.exists():
            _add(counters, _home(workspace, registry, out, progress))  # of a run that was stopped before it came to this
        todo = list(to_embed(workspace, registry, [label], registry.fact(WORKER_MODEL)))
        counters["queue"] += len(todo)
        if not todo:
            continue
        queue = workspace.root / "queue" / f"{label}.worker.jsonl"
        queue.unlink(missing_ok=True)
        append_queue(queue, label, todo, path_map=workspace.settings.paths.map)
        progress.note(f"{len(todo):,} photos of {label} go to the worker: {shlex.join(command)}")
        _call([_filled(word, queue, out, workspace.settings.paths.map) for word in command])
        if not out.is_file():
            raise FacesetsError(f"the worker's command ended well and left no {out}; does it write to {{out}}?")
        _add(counters, _home(workspace, registry, out, progress))
        left = list(to_embed(workspace, registry, [label], registry.fact(WORKER_MODEL)))
        with registry.transaction():
            for entry in left:
                assets.settle_bytes(registry, entry.sha256, Reason.EMBED_ERROR, "the worker's cache says nothing of it")
        counters["load_errors"] += len(left)
    seconds = time.perf_counter() - started
    done = counters["queue"] - counters["load_errors"]
    return {**counters, "seconds": round(seconds, 3), "images_per_second": round(done / seconds, 3) if done > 0 else 0.0}


def _home(workspace: Workspace, registry: Registry, out: Path, progress: Progress) -> TakenIn:
    registry.set_fact(WORKER_MODEL, stored_model(out))
    taken = take_in(workspace, registry, out, progress)
    log.info("taken in: %s", taken.told())
    return taken


def _add(counters: dict[str, int], taken: TakenIn) -> None:
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
    """Run the worker's command; each line that it says goes to the log, and no key of ours to it."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("IMMICH_API_KEY")}
    last = ""
    try:
        worker = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=own, text=True, errors="replace"
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
    if code not in _FINE:
        raise FacesetsError(f"the worker's command ended with exit code {code} ({last[:300]}). Run again: it goes on where it was")

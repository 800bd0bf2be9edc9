"""Photos that no decoder here takes: the server's own picture of them is brought and embedded instead, in the same run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from facesets.faces import known_in_caches, queue_staged
from facesets.progress import Progress
from facesets.registry import Registry, originals
from facesets.sources import open_source
from facesets.staging import substitute
from facesets.workspace import Workspace

if TYPE_CHECKING:
    from facesets.pipeline.summary import Summary


def show_undecoded(
    workspace: Workspace,
    registry: Registry,
    labels: Sequence[str],
    summary: Summary,
    embed_again: Callable[[], dict[str, Any]],
    progress: Progress,
) -> None:
    """Bring the next best picture of each, embed again, and once more for those that fail as well; adds to the summary's steps."""
    for _ in ("fullsize", "preview"):
        brought = 0
        for label in labels:
            if not originals.undecoded(registry, label, "immich"):
                continue
            with open_source(workspace, registry, label, None, progress) as source:
                counters = substitute(workspace, registry, source, known_sha256=known_in_caches(workspace), progress=progress)
                requests = source.work.requests
            queue_staged(workspace, registry, label)
            brought += counters.renditions
            counts = summary.steps["stage"][label]
            for name in ("renditions", "downloads", "bytes_downloaded", "bytes_saved"):
                counts[name] += getattr(counters, name)
            counts["requests"] += requests
            summary.requests += requests
            summary.downloads += counters.downloads
        if not brought:
            return
        first, again = summary.steps["embed"], embed_again()
        for name in ("new_faces", "new_noface", "load_errors", "seconds"):
            first[name] += again[name]
        first["load_errors"] -= brought

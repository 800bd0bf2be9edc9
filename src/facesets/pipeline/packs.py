"""Which model pack a run uses: the one asked for, and never another one than the workspace's vectors were made with unawares."""

from __future__ import annotations

from ..embedding import Pack, load_pack
from ..embedding.packs.vectors import VectorsOnly
from ..errors import PackUnavailable
from ..progress import Progress
from ..registry import Registry, faces
from ..workspace import Workspace

WORKER_MODEL = "worker_model"  # the fact that remembers whose vectors the worker brings


def choose_pack(workspace: Workspace, registry: Registry, name: str | None, progress: Progress) -> Pack:
    """The pack of this run. Vectors that came from elsewhere do without their model. Raises PackUnavailable.

    With a worker it is the worker's; ``auto`` stays with the pack that the workspace has vectors of.
    """
    have = faces.packs(registry)
    settings = workspace.settings.embed
    wanted = name or settings.pack
    brought = registry.fact(WORKER_MODEL) if workspace.settings.worker.command and name is None else None
    if brought is None and wanted == "auto" and len(have) == 1:
        (brought,) = have
    if brought is None and "@" in wanted and wanted in have:
        brought = wanted
    if brought is not None:
        return _known(workspace, brought, have.get(brought, 0), wanted, progress)
    same = [pack for pack in have if pack.split("@", maxsplit=1)[0] == wanted]
    try:
        return load_pack(wanted, engine=settings.engine, urls=settings.immich_ml, fetch=not same, note=progress.note)
    except PackUnavailable:
        if len(same) != 1:
            raise
        return _vectors(same[0], have[same[0]], progress)


def _known(workspace: Workspace, pack: str, dim: int, wanted: str, progress: Progress) -> Pack:
    """The pack with exactly this id: its model where it is here, else its vectors alone."""
    names = [wanted, pack.split("@", maxsplit=1)[0]] if wanted != "auto" else [pack.split("@", maxsplit=1)[0]]
    settings = workspace.settings.embed
    for name in names:
        try:
            here = load_pack(name, engine=settings.engine, urls=settings.immich_ml, note=progress.note)
        except PackUnavailable:
            continue
        if here.id == pack:
            progress.note(f"pack: {pack}, as this workspace's vectors")
            return here
    return _vectors(pack, dim, progress)


def _vectors(pack: str, dim: int, progress: Progress) -> Pack:
    progress.note(f"pack: {pack}: its vectors came from elsewhere; the model itself is not on this machine")
    return VectorsOnly(pack, dim)

"""Which model pack a run uses: the one asked for, and never another one than the workspace's vectors were made with unawares."""

from __future__ import annotations

from contextlib import suppress

from ..embedding import INSIGHTFACE_PACKS, Pack, load_pack
from ..embedding.packs.immich_db import NAME, ImmichDb, from_database
from ..embedding.packs.vectors import VectorsOnly
from ..errors import PackUnavailable, UsageError
from ..progress import Progress
from ..registry import Registry, faces
from ..sources.immich_vectors import DEFAULT_MODEL, vectors
from ..workspace import Workspace

WORKER_MODEL = "worker_model"  # the fact that remembers whose vectors the worker brings


def choose_pack(workspace: Workspace, registry: Registry, name: str | None, progress: Progress) -> Pack:
    """The pack of this run. Vectors that came from elsewhere do without their model. Raises PackUnavailable.

    With a worker it is the worker's; ``auto`` stays with the pack that the workspace has vectors of.
    """
    if reads_database(workspace, registry, name):
        wanted = name or workspace.settings.embed.pack
        return _immich_db(workspace, registry, wanted if from_database(wanted) else NAME, progress)
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


def reads_database(workspace: Workspace, registry: Registry, name: str | None) -> bool:
    """Whether this run's vectors are those that Immich has made; ``auto`` stays with these where a workspace has no others."""
    wanted = name or workspace.settings.embed.pack
    if wanted != "auto" or workspace.settings.worker.command:
        return from_database(wanted)
    have = faces.packs(registry)
    return bool(have) and all(map(from_database, have))


def _immich_db(workspace: Workspace, registry: Registry, wanted: str, progress: Progress) -> Pack:
    """Immich's own vectors, of the model that it is set to use, or that the user says it uses. Raises as the database's source."""
    url = workspace.settings.immich_db.url
    if not url:
        raise UsageError(
            f"pack {NAME} reads the vectors that Immich has made, out of its database: say where that is, in facesets.toml under "
            "[sources.immich_db], or IMMICH_DB_URL (docs/how-to/immich-database.md)"
        )
    with vectors(url) as source:
        configured = source.configured()
    named = wanted.removeprefix(NAME).lstrip(":@")
    if configured.seen and named not in ("", configured.model):
        raise UsageError(f"pack {wanted}: Immich is set to use {configured.model}; its vectors are {NAME}:{configured.model}")
    have = [known for known in faces.packs(registry) if from_database(known)]
    model = named or configured.model
    if not configured.seen and not named and len(have) == 1:
        model = have[0].partition("@")[2]  # as it was said once
    elif not configured.seen and not named:
        progress.note(
            f"The role of [sources.immich_db] may not see which model Immich uses; {DEFAULT_MODEL}, its default, is taken for it. "
            f'Where it is another one, say so: pack = "{NAME}:MODEL" under [embed].'
        )
    pack = ImmichDb(model, lambda: _same_model(workspace, model, progress))
    if have and pack.id not in have:
        progress.note(f"Immich uses {model} now. Its vectors are taken in as {pack.id}, and never meet those of {', '.join(have)}.")
    return pack


def _same_model(workspace: Workspace, model: str, progress: Progress) -> Pack:
    """The model that Immich uses, on this machine or in its machine-learning service. Raises PackUnavailable."""
    settings = workspace.settings.embed
    if model in INSIGHTFACE_PACKS:
        with suppress(PackUnavailable):  # perhaps its service has it; what that lacks is said
            return load_pack(model, engine=settings.engine, note=progress.note)
    return load_pack(f"immich-ml:{model}", urls=settings.immich_ml, note=progress.note)


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

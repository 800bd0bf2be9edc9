"""Which model pack a run uses: the one asked for, and never another one than the workspace's vectors were made with unawares."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from facesets.errors import PackUnavailable, UsageError
from facesets.models import INSIGHTFACE_PACKS, NAME, ImmichDb, Pack, VectorsOnly, from_database, load_pack, pack_folder
from facesets.progress import Progress
from facesets.registry import Registry, measurements
from facesets.settings import SETTINGS_FILE
from facesets.sources import DEFAULT_MODEL, open_vectors
from facesets.workspace import Workspace

WORKER_MODEL = "worker_model"  # the fact that remembers whose vectors the worker makes
_FOLDER = "pack_folder:"  # how the facts begin that remember where a pack's folder was when a run was given it; its id follows


def choose_pack(workspace: Workspace, registry: Registry, name: str | None, progress: Progress) -> Pack:
    """The pack of this run. Imported vectors do without their model. Raises PackUnavailable.

    With a worker it is the worker's; ``auto`` stays with the pack that the workspace has vectors of.
    """
    if reads_database(workspace, registry, name):
        wanted = name or workspace.settings.embed.pack
        return _immich_db(workspace, registry, wanted if from_database(wanted) else NAME, progress)
    have = measurements.packs(registry)
    settings = workspace.settings.embed
    wanted = name or settings.pack
    imported = registry.fact(WORKER_MODEL) if workspace.settings.worker.command and name is None else None
    if imported is None and wanted == "auto" and len(have) == 1:
        (imported,) = have
    if imported is None and "@" in wanted and wanted in have:
        imported = wanted
    if imported is not None:
        return _known(workspace, registry, imported, have.get(imported, 0), wanted, progress)
    same = [pack for pack in have if pack.split("@", maxsplit=1)[0] == wanted]
    try:
        pack = load_pack(wanted, engine=settings.engine, urls=settings.immich_ml, fetch=not same, note=progress.note)
    except PackUnavailable:
        if len(same) != 1:
            raise
        return _known(workspace, registry, same[0], have[same[0]], wanted, progress)
    if name is not None:
        _remember(registry, pack, wanted)
    return pack


def reads_database(workspace: Workspace, registry: Registry, name: str | None) -> bool:
    """Whether this run's vectors are those that Immich has made; ``auto`` stays with these where a workspace has no others."""
    wanted = name or workspace.settings.embed.pack
    if wanted != "auto" or workspace.settings.worker.command:
        return from_database(wanted)
    have = measurements.packs(registry)
    return bool(have) and all(map(from_database, have))


def _immich_db(workspace: Workspace, registry: Registry, wanted: str, progress: Progress) -> Pack:
    """Immich's own vectors, of the model that it is set to use, or that the user says it uses. Raises as the database's source."""
    with open_vectors(workspace, registry, progress) as source:
        configured = source.configured()
    named = wanted.removeprefix(NAME).lstrip(":@")
    if configured.seen and named not in ("", configured.model):
        raise UsageError(f"pack {wanted}: Immich is set to use {configured.model}; its vectors are {NAME}:{configured.model}")
    have = [known for known in measurements.packs(registry) if from_database(known)]
    model = named or configured.model
    if not configured.seen and not named and len(have) == 1:
        model = have[0].partition("@")[2]  # as it was said once
    elif not configured.seen and not named:
        progress.note(
            f"{_unseen(workspace)} which model Immich uses; {DEFAULT_MODEL}, its default, is taken for it. "
            f'Where it is another one, say so: pack = "{NAME}:MODEL" under [embed].'
        )
    pack = ImmichDb(model, lambda: _same_model(workspace, model, progress))
    if have and pack.id not in have:
        progress.note(
            f"Immich uses {model} now. Its vectors are stored as {pack.id}, and are never compared with those of {', '.join(have)}."
        )
    return pack


def _unseen(workspace: Workspace) -> str:
    return "The role of [sources.immich_db] may not see" if workspace.settings.immich_db.url else "The dump does not say"


def _same_model(workspace: Workspace, model: str, progress: Progress) -> Pack:
    """The model that Immich uses, on this machine or in its machine-learning service. Raises PackUnavailable."""
    settings = workspace.settings.embed
    if model in INSIGHTFACE_PACKS:
        with suppress(PackUnavailable):  # perhaps its service has it; what that lacks is said
            return load_pack(model, engine=settings.engine, note=progress.note)
    return load_pack(f"immich-ml:{model}", urls=settings.immich_ml, note=progress.note)


def folders_of_pack(workspace: Workspace, registry: Registry, pack: str) -> list[Path]:
    """Folders of this machine in which the networks of the pack with this id may lie: the one that is set, the one that a run was given
    once, and where InsightFace and Immich keep theirs.
    """
    name, _, version = pack.partition("@")
    model = version if from_database(pack) or name == "immich-ml" else name
    given = (workspace.settings.embed.pack, registry.fact(f"{_FOLDER}{pack}"))
    folders = [Path(folder).expanduser() for folder in given if folder]
    return [folder for folder in (*folders, pack_folder(model)) if folder is not None and folder.is_dir()]


def _remember(registry: Registry, pack: Pack, wanted: str) -> None:
    """Keep where a folder of the user's is, so that it need be said once."""
    folder, fact = Path(wanted).expanduser(), f"{_FOLDER}{pack.id}"
    if pack.name == folder.resolve().name and folder.is_dir() and registry.fact(fact) != str(folder.resolve()):
        with registry.transaction():
            registry.set_fact(fact, str(folder.resolve()))


def _known(workspace: Workspace, registry: Registry, pack: str, dim: int, wanted: str, progress: Progress) -> Pack:
    """The pack with exactly this id: its model where it is here, or in the folder that a run was given once, else its vectors alone."""
    folder = registry.fact(f"{_FOLDER}{pack}")
    names = [wanted if wanted != "auto" else "", folder or "", pack.split("@", maxsplit=1)[0]]
    settings = workspace.settings.embed
    for name in filter(None, names):
        try:
            here = load_pack(name, engine=settings.engine, urls=settings.immich_ml, note=progress.note)
        except PackUnavailable:
            continue
        if here.id == pack:  # whatever lies in that folder by now, vectors of other weights are never mixed in
            progress.note(f"pack: {pack}, as this workspace's vectors")
            return here
    return _vectors(pack, dim, progress, folder)


def _vectors(pack: str, dim: int, progress: Progress, folder: str | None) -> Pack:
    was = f"not in {folder} any more" if folder else "not"
    where = f' Is it in a folder of yours? Put the line  pack = "FOLDER"  under [embed] in {SETTINGS_FILE}, or say --pack FOLDER'
    service = pack.startswith("immich-ml@")
    progress.note(f"pack: {pack}: its vectors are here, the model itself is {was}.{'' if service else where}")
    return VectorsOnly(pack, dim)

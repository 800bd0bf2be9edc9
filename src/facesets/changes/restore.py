"""Bringing a backup of the registry back. What was written since stays as it is on disk."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from facesets.changes.carry_over import carry_over
from facesets.errors import FacesetsError, UsageError
from facesets.export import highest_number, tree_stamps
from facesets.registry import Registry, backups, sets
from facesets.workspace import Workspace


def restore(workspace: Workspace, date: str) -> dict[str, Any]:
    """Put the newest backup whose name begins with ``date`` in the registry's place; the caller holds the lock.

    The registry as it is goes into the backups. Numbers given since stay used, decisions made since still bind and can be taken back
    (:func:`carry_over`), and sets written since are known by their bytes: the next run takes them in as they are. ``sets_altered``
    names sets whose folder is not as that registry has it, ``sets_gone`` those without one, ``sets_unknown`` folders that it does not
    know, and ``decisions_to_repeat`` decisions that no folder followed yet and of which that registry knows too little. Where anything
    fails, the registry is as it was.

    Raises UsageError where there is no such backup, CorruptFile where it is damaged.
    """
    file = workspace.registry_file
    found = [one for one in backups.listed(file) if one.name.startswith(date)]
    if not found:
        raise UsageError(f"there is no backup of {date!r}; facesets restore  lists them")
    chosen = found[-1]
    backups.check(chosen.path)
    kept = _set_aside(file) if file.exists() else None
    fresh = file.with_name(f".{file.name}.restored")
    _remove(fresh)
    try:
        backups.copy(chosen.path, fresh)
        with ExitStack() as stack:
            newer = _newer(stack, file)
            registry = stack.enter_context(Registry.open(fresh))
            with registry.transaction():
                number = max(highest_number(workspace.facesets), sets.highest_number(newer) if newer else 0)
                sets.see_number(registry, number)
                to_repeat = carry_over(newer, registry) if newer else []
                found_since = _since(workspace, registry)
        _remove(file, ("-wal", "-shm"))
        fresh.replace(file)
    finally:
        _remove(fresh)
    return {"restored": chosen.name, "kept": str(kept) if kept else "", **found_since, "decisions_to_repeat": to_repeat}


def _newer(stack: ExitStack, file: Path) -> Registry | None:
    """The registry as it is; None where there is none, or it is damaged: the folders and the manifest tell."""
    if file.exists():
        with suppress(FacesetsError):
            backups.check(file)
            return stack.enter_context(Registry.open(file))
    return None


def _remove(file: Path, suffixes: Sequence[str] = ("", "-wal", "-shm")) -> None:
    for suffix in suffixes:
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def _since(workspace: Workspace, registry: Registry) -> dict[str, list[str]]:
    """What folders say otherwise than the registry, by names and sizes of their files alone."""
    there, altered, gone = tree_stamps(workspace.facesets), list[str](), list[str]()
    for faceset in sets.select(registry, written=True):
        files = there.pop(faceset.name, None)
        recorded = {(file.path, file.size) for file in sets.files(registry, faceset.name)}
        if files is None:
            gone.append(faceset.name)
        elif {(path, stamp[0]) for path, stamp in files.items()} != recorded:
            altered.append(faceset.name)
    known = {faceset.name for faceset in sets.select(registry, retired=True)} | {each.name for each in sets.select(registry)}
    return {"sets_altered": altered, "sets_gone": gone, "sets_unknown": sorted(there.keys() - known)}


def _set_aside(file: Path) -> Path:
    """The registry as it is, in the backups; as it lies where it cannot be read."""
    n = 1
    while (target := backups.before_restore(file, n)).exists():
        n += 1
    target.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        backups.check(file)
        backups.copy(file, target)
    except FacesetsError:
        shutil.copyfile(file, target)
        target.chmod(0o600)
    return target

"""The doctor: this computer: the workspace's disk and privacy, the model pack, what can run networks."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator

from facesets import extras
from facesets.doctor.findings import NOTE, OK, PROBLEM, Finding
from facesets.errors import FacesetsError, PackUnavailable, WorkspaceInUse
from facesets.files import has_modes, is_private
from facesets.models import from_database, load_pack
from facesets.workspace import Workspace

_LITTLE = 2 << 30


def workspace(opened: Workspace) -> Iterator[Finding]:
    """Room, privacy and whether somebody works in it."""
    free = shutil.disk_usage(opened.root).free
    room = f"{opened.root}: {free / 1e9:,.1f} GB free"
    yield Finding("workspace", OK if free > _LITTLE else PROBLEM, room, "" if free > _LITTLE else "make room", {"bytes_free": free})
    yield from _privacy(opened)
    if not opened.facesets.is_dir() and not opened.facesets.parent.is_dir():
        what = f"[paths] facesets: there is no folder {opened.facesets.parent}"
        yield Finding("workspace", PROBLEM, what, "mount its disk, make it, or correct the setting")
    try:
        with opened.lock():
            pass
    except WorkspaceInUse:
        yield Finding("workspace", NOTE, "another facesets works in it just now")
    except FacesetsError as err:
        yield Finding("workspace", PROBLEM, str(err))


def _privacy(opened: Workspace) -> Iterator[Finding]:
    """That others cannot look into it, or that its file system cannot keep them from it."""
    if is_private(opened.root):
        return
    try:
        modes = has_modes(opened.root)
    except OSError:
        modes = True  # read-only: the folder's own modes are all that is known
    if modes:
        yield Finding("workspace", PROBLEM, "others on this computer can look into it", f"chmod 700 {opened.root}")
        return
    what = "its file system keeps no permissions: chmod does nothing on it, and others may be able to look into it"
    fix = "put the workspace on a disk with permissions, or keep others from the share; keys: from the environment (IMMICH_API_KEY)"
    yield Finding("workspace", NOTE, what, fix)


def models(opened: Workspace) -> Iterator[Finding]:
    """The model pack of the settings, and what networks can run on here."""
    settings = opened.settings
    if settings.worker.command:
        yield Finding("models", OK, f"embedding is done by: {settings.worker.command}")
        return
    if from_database(settings.embed.pack):
        known = settings.immich_db.url or settings.immich_dump.file
        where = "no model is needed here" if known else "where its database or a dump of it is, is not set"
        fix = "" if known else "set [sources.immich_db] url or [sources.immich_dump] file (docs/how-to/immich-database.md)"
        yield Finding("models", PROBLEM if fix else OK, f"vectors are Immich's own (pack {settings.embed.pack}); {where}", fix)
        return
    notes, failed = list[str](), ""
    try:
        pack = load_pack(settings.embed.pack, urls=settings.embed.immich_ml, note=notes.append)
    except PackUnavailable as err:
        failed = str(err)
        yield Finding("models", PROBLEM, f"model pack {settings.embed.pack}: {failed}")
    else:
        yield Finding("models", OK, f"model pack {pack.id} ({pack.licence})", "; ".join(notes), {"pack": pack.id})
    if settings.embed.pack.partition(":")[0] == "immich-ml":
        return  # the service brings what networks run on
    try:
        providers = importlib.import_module("onnxruntime").get_available_providers()
    except ImportError:
        if "onnxruntime" not in failed:
            yield Finding("models", NOTE, "onnxruntime is not installed", f"{extras.get('open')}, or a build for your accelerator")
        return
    names = [name.removesuffix("ExecutionProvider") for name in providers]
    fast = [name for name in names if name not in ("CPU", "Azure")]
    what = f"accelerators: {', '.join(fast)}" if fast else "no accelerator: networks run on the processor"
    yield Finding("models", OK if fast else NOTE, f"{what} ({os.cpu_count()} cores)", facts={"providers": providers})

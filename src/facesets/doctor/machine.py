"""The doctor: this computer: the workspace's disk and privacy, the model pack, what can run networks."""

from __future__ import annotations

import importlib
import os
import shutil
import stat
from collections.abc import Iterator

from ..embedding import load_pack
from ..embedding.packs.immich_db import from_database
from ..errors import PackUnavailable, WorkspaceInUse
from ..workspace import Workspace
from .findings import NOTE, OK, PROBLEM, Finding

_LITTLE = 2 << 30


def workspace(opened: Workspace) -> Iterator[Finding]:
    """Room, privacy and whether somebody works in it."""
    free = shutil.disk_usage(opened.root).free
    room = f"{opened.root}: {free / 1e9:,.1f} GB free"
    yield Finding(
        "workspace", OK if free > _LITTLE else PROBLEM, room, "" if free > _LITTLE else "make room", {"free_bytes": free}
    )
    if os.name == "posix" and stat.S_IMODE(opened.root.stat().st_mode) & 0o077:
        yield Finding("workspace", PROBLEM, "others on this computer can look into it", f"chmod 700 {opened.root}")
    try:
        with opened.lock():
            pass
    except WorkspaceInUse:
        yield Finding("workspace", NOTE, "another facesets works in it just now")


def models(opened: Workspace) -> Iterator[Finding]:
    """The model pack of the settings, and what networks can run on here."""
    settings = opened.settings
    if settings.worker.command:
        yield Finding("models", OK, f"embedding is done by: {settings.worker.command}")
        return
    if from_database(settings.embed.pack):
        where = "where its database is, is not set" if not settings.immich_db.url else "no model is needed here"
        fix = "" if settings.immich_db.url else "set [sources.immich_db] url, or IMMICH_DB_URL (docs/how-to/immich-database.md)"
        yield Finding("models", PROBLEM if fix else OK, f"vectors are Immich's own (pack {settings.embed.pack}); {where}", fix)
        return
    notes = list[str]()
    try:
        pack = load_pack(settings.embed.pack, note=notes.append)
    except PackUnavailable as err:
        yield Finding("models", PROBLEM, f"model pack {settings.embed.pack}: {err}")
    else:
        yield Finding("models", OK, f"model pack {pack.id} ({pack.licence})", "; ".join(notes), {"pack": pack.id})
    try:
        providers = importlib.import_module("onnxruntime").get_available_providers()
    except ImportError:
        yield Finding("models", NOTE, "onnxruntime is not installed", "pip install 'facesets[cpu]', or a build for your accelerator")
        return
    names = [name.removesuffix("ExecutionProvider") for name in providers]
    fast = [name for name in names if name not in ("CPU", "Azure")]
    what = f"accelerators: {', '.join(fast)}" if fast else "no accelerator: networks run on the processor"
    yield Finding("models", OK if fast else NOTE, f"{what} ({os.cpu_count()} cores)", facts={"providers": providers})

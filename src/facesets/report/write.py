"""Report room: pages of HTML to look at, with their pictures in a folder beside. Reads the workspace, writes private files.

``gather`` collects the page model (``model``) and makes pictures (``thumbnails``), ``pages`` renders it through the templates.
No clock: the same workspace gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path

from facesets import __version__
from facesets.files import disk_error, open_file, replace_file
from facesets.photos import DecoderPool
from facesets.progress import Progress, Silent
from facesets.registry import Registry
from facesets.report.gather import gather, state_of
from facesets.report.pages import render
from facesets.report.thumbnails import Thumbnails
from facesets.workspace import Workspace


def report_file(workspace: Workspace) -> Path:
    """Where the newest report of a workspace is."""
    return workspace.root / "reports" / "latest.html"


def write_report(
    workspace: Workspace,
    registry: Registry,
    out: Path | None = None,
    *,
    blur_except: Collection[str] | None = None,
    only_if_changed: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the report to ``out`` (an ``.html`` file; None: :func:`report_file`) and return its absolute path.

    Pictures and the pages of sets go into a folder beside it, of the same name without the suffix; what an earlier report left there is
    used again or removed. Nothing in a page is loaded from anywhere but these files and the sets' own.

    ``blur_except``: for a picture to be published, blur all faces beyond recognition (in the pixels, not by style), but those of
    the sets so named, and leave out names of persons and files. ``only_if_changed``: leave a report that shows what it would show.
    Raises FacesetsError where it cannot be written.
    """
    out = (out or report_file(workspace)).absolute()
    folder = out.with_suffix("")
    blurred = None if blur_except is None else sorted(blur_except)
    state = hashlib.sha256(json.dumps([__version__, blurred, state_of(workspace, registry)]).encode()).hexdigest()
    if only_if_changed and _shows(out, state):
        return out
    try:
        for each in (out.parent, folder):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)
        with DecoderPool() as decoders:
            thumbnails = Thumbnails(folder, decoders)
            report = gather(workspace, registry, thumbnails, blur_except=blur_except, progress=progress or Silent())
        pages, first = set(), ""
        for name, text in render(report, folder.name, state):
            if name is None:
                first = text
                continue
            replace_file(folder / name, text.encode("utf-8", "backslashreplace"))
            pages.add(name)
        replace_file(out, first.encode("utf-8", "backslashreplace"))  # last: it leads to all the others
        for old in folder.glob("*.html"):
            if old.name not in pages:
                old.unlink(missing_ok=True)
        thumbnails.sweep()
    except OSError as err:
        raise disk_error(err, err.filename or out) from err
    return out


def _shows(page: Path, state: str) -> bool:
    """Whether there is a page already that was made of the same facts."""
    try:
        with open_file(page) as text:
            return f'content="{state}"'.encode() in text.read(4096)
    except OSError:
        return False

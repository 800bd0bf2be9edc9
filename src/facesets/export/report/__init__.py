"""Export room: report.html, one self-contained page to look at. Reads the workspace, writes one private file.

``gather`` collects the facts and tiles, ``page`` and ``plot`` (pure) draw them; ``style.css`` is how it looks. No clock: the same
workspace gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ...errors import FacesetsError
from ...progress import Progress, Silent
from ...registry import Registry
from ...workspace import Workspace, write_private
from .gather import gather
from .page import render


def write_report(
    workspace: Workspace,
    registry: Registry,
    out: Path,
    *,
    blur_except: Collection[str] | None = None,
    tiles_per_set: int = 16,
    progress: Progress | None = None,
) -> Path:
    """Write the report to ``out`` and return its absolute path. Nothing in the page is loaded from elsewhere.

    ``blur_except``: for a picture to be published, blur all faces beyond recognition (in the pixels, not by style), but those of
    the sets so named, and leave out names of persons and files. Raises FacesetsError where ``out`` cannot be written.
    """
    report = gather(workspace, registry, blur_except=blur_except, tiles_per_set=tiles_per_set, progress=progress or Silent())
    try:
        out.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(out, render(report).encode("utf-8", "backslashreplace"))
    except OSError as err:
        raise FacesetsError(f"the report could not be written to {out}: {err.strerror or err}") from err
    return out.absolute()

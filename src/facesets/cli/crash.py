"""What no room foresaw: the traceback goes into a private file, and the user gets one line. Writes that file only."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from platformdirs import user_log_path

from facesets import __version__
from facesets.secrets import scrub
from facesets.settings import SETTINGS_FILE


def keep_traceback(err: Exception, root: Path, words: Sequence[str]) -> str:
    """Write the traceback into the workspace's logs, else into the user's; returns the line to be said."""
    what = f"{type(err).__name__}: {err}".splitlines()[0]
    text = scrub(
        f"facesets {__version__}, Python {sys.version.split()[0]}, {platform.platform()}\n"
        f"facesets {' '.join(words)}\n\n{''.join(traceback.format_exception(err))}"
    )
    for folder in _folders(root):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # mkstemp makes it its owner's alone
            handle, name = tempfile.mkstemp(".log", f"error-{datetime.now(UTC):%Y%m%d-%H%M%S}-", folder)
            with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
        except OSError:
            continue  # not writable or full: the next one
        return (
            f"a fault in facesets itself ({what}). What is done is kept. Please report it where you got facesets from, "
            f"with {name}: look through it first, it may name files and people."
        )
    return f"a fault in facesets itself ({what}), and no folder took its log. Please report this line where you got facesets from."


def _folders(root: Path) -> Iterator[Path]:
    if (root / SETTINGS_FILE).is_file():
        yield root / "logs"
    yield user_log_path("facesets", appauthor=False)
    yield Path(tempfile.gettempdir())

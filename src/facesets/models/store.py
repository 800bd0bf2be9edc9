"""Files made from other files, and choices made once, kept in the user's cache folder. Reads and writes that folder only."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

from facesets.files import replace_file


def cache_folder() -> Path:
    """Where made files are kept: the environment's ``FACESETS_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("FACESETS_CACHE")
    return Path(chosen) if chosen else user_cache_path("facesets", appauthor=False)


def kept(name: str, make: Callable[[], bytes]) -> bytes:
    """The bytes kept under ``name``, made with ``make`` where they are not there or do not match their checksum.

    A folder that cannot be written to costs the time to make them again, and nothing else.
    """
    path = cache_folder() / "models" / name
    seal = path.with_name(path.name + ".sha256")
    with suppress(OSError, UnicodeDecodeError):  # not there or not readable: making it again mends both
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() == seal.read_text("ascii").strip():
            return data
    data = make()
    with suppress(OSError):  # a read-only or full cache folder must not stop the work
        replace_file(path, data)
        replace_file(seal, f"{hashlib.sha256(data).hexdigest()}\n".encode())
    return data


def recall(file: str, key: str) -> str | None:
    """What was kept under ``key`` in the JSON file ``file``; None where nothing was, or where it cannot be read."""
    value = _choices(file).get(key)
    return value if isinstance(value, str) else None


def remember(file: str, key: str, value: str) -> None:
    """Keep ``value`` under ``key``; a folder that cannot be written to keeps nothing."""
    with suppress(OSError):
        replace_file(cache_folder() / file, json.dumps({**_choices(file), key: value}, indent=1, sort_keys=True).encode())


def _choices(file: str) -> dict[str, object]:
    try:
        value = json.loads((cache_folder() / file).read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}

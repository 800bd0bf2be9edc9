"""Compiles its inner loops where numba is installed, and keeps what was compiled in the user's cache folder.

Pure but for that cache. Without numba the same functions run as Python: several times as slow, and they give the same groups.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from facesets import __version__

COMPILED = find_spec("numba") is not None


def compiled(function: Callable[..., Any]) -> Any:
    """``function`` compiled on its first call, once per machine: the next process reads it from the user's cache folder.

    NUMBA_CACHE_DIR goes before; where no folder can be written, it is compiled anew in each process. Sums are reassociated for
    speed; it is done at compile time, so equal input gives equal output.
    """
    if not COMPILED:
        return function
    import numba  # noqa: PLC0415 - an extra
    from numba.core import config  # noqa: PLC0415

    flags: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract", "nsz", "arcp"}}
    before = config.CACHE_DIR
    config.CACHE_DIR = before or str(_folder())  # numba picks the folder while it decorates
    try:
        return numba.njit(cache=True, **flags)(function)
    except RuntimeError:  # no folder to write to
        return numba.njit(**flags)(function)
    finally:
        config.CACHE_DIR = before


def _folder() -> Path:
    return user_cache_path("facesets") / "compiled" / __version__

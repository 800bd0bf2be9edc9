"""Review room: the local web app in which faces are looked at, named, merged, split and put right.

Reads the registry and calls the acts of :mod:`facesets.people`; has no way of its own to change anything. Starlette and uvicorn are an
extra, so they are loaded when :func:`serve` or :func:`application` is called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from facesets.review.options import DEFAULT_PORT, Options, options_of

if TYPE_CHECKING:
    from facesets.progress import Progress
    from facesets.workspace import Workspace

__all__ = ["DEFAULT_PORT", "Options", "application", "options_of", "serve"]


def application(workspace: Workspace, options: Options) -> Any:
    """The ASGI application, to be served at ``options.host`` and ``options.port`` alone. Raises UsageError without the extra."""
    from facesets.review.app import application as make  # noqa: PLC0415 - needs the extra

    return make(workspace, options)


def serve(workspace: Workspace, options: Options, progress: Progress, started: Callable[[str], None]) -> None:
    """Serve until interrupted, then write the folders of sets that decisions wait for; ``started`` is told the address to open.

    Raises UsageError without the extra or where the port is taken, FacesetsError where the registry cannot be read.
    """
    from facesets.review.server import serve as run  # noqa: PLC0415 - needs the extra

    run(workspace, options, progress, started)

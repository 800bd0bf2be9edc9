"""From a user's label to an open source of their photos: the key, the server, whose key it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UsageError
from ..progress import Progress
from ..registry import Registry
from ..settings import api_key
from ..sources import Source
from ..sources.binding import bind, bind_folder
from ..sources.folder import FolderSource
from ..sources.immich import ImmichSource, open_client
from ..workspace import Workspace


@contextmanager
def open_source(workspace: Workspace, registry: Registry, label: str, folder: Path | None, progress: Progress) -> Iterator[Source]:
    """The photos of ``label``: of a plain ``folder``, else of the Immich server in the settings."""
    settings = workspace.settings
    if folder is not None:
        yield FolderSource(folder, bind_folder(label, folder, settings, registry, progress))
        return
    if not settings.immich.url:
        raise UsageError(
            "where is your Immich? Set IMMICH_URL, or url under [immich] in facesets.toml; for a folder of photos: --folder DIR"
        )
    client, server = open_client(settings, api_key(label, workspace.root))
    with client:
        user = bind(label, settings, registry, client, progress)
        yield ImmichSource(client, user, server=server, page_size=settings.stage.page_size, workers=settings.stage.workers)

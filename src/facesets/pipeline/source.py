"""From a user's label to an open source of their photos: the key, the server, whose key it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UsageError
from ..immich import Server
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
        _say_if_newer(registry, server, progress)
        user = bind(label, settings, registry, client, progress)
        yield ImmichSource(client, user, server=server, page_size=settings.stage.page_size, workers=settings.stage.workers)


def _say_if_newer(registry: Registry, server: Server, progress: Progress) -> None:
    """Say once of each version that nobody has tried it here."""
    if not server.is_newer or registry.fact("newer_server") == str(server):
        return
    progress.note(
        f"The server is Immich {server}, newer than this facesets knows. It is tried all the same; look whether the counts are right, "
        "and whether there is a newer facesets."
    )
    with registry.transaction():
        registry.set_fact("newer_server", str(server))

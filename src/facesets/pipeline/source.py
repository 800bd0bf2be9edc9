"""From a user's label to an open source of their photos: the key, the server, whose key it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..errors import UsageError, WrongKey
from ..immich import Client, Server
from ..immich.server import whoami
from ..progress import Progress
from ..registry import Registry
from ..settings import api_key, session_token
from ..sources import Source
from ..sources.binding import bind, bind_folder
from ..sources.folder import FolderSource
from ..sources.immich import ImmichSource, open_client
from ..sources.immich_db import ImmichDbSource
from ..sources.stream import Stream
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
    client, server, token = _connect(workspace, label, progress)
    with client:
        _say_if_newer(registry, server, progress)
        user = bind(label, settings, registry, client, progress)
        source = ImmichSource(client, user, server=server, page_size=settings.stage.page_size, workers=settings.stage.workers)
        source.stream = Stream(client, token) if token else None
        yield ImmichDbSource(source, settings.immich_db.url) if settings.immich_db.url else source


def verify_keys(workspace: Workspace, registry: Registry, labels: Sequence[str], folder: Path | None, progress: Progress) -> None:
    """Of several people, see first whose key each is: a wrong one is said before hours of work for somebody else."""
    for label in labels if len(labels) > 1 else ():
        with open_source(workspace, registry, label, folder, progress):
            pass


def _connect(workspace: Workspace, label: str, progress: Progress) -> tuple[Client, Server, str | None]:
    """A client with the user's login (and its token), else with their key."""
    if token := session_token(label, workspace.root):
        client, server = open_client(workspace.settings, token, session=True)
        try:
            whoami(client)
        except WrongKey:
            client.close()
            progress.note(f"The login of user {label!r} has ended; for the quick way log in again: facesets login --user {label}")
        else:
            return client, server, token
    return *open_client(workspace.settings, api_key(label, workspace.root)), None


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

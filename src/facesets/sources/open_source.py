"""From a user's label to an open source of their photos: the key, the server, whose key it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from facesets.errors import MissingPermission, ServerError, SourceAway, Unreachable, UsageError, WrongKey
from facesets.immich import Client, Server, whoami
from facesets.immich import server as api
from facesets.photos import DecoderPool
from facesets.progress import Progress
from facesets.registry import Registry
from facesets.secrets import api_key, session_token
from facesets.sources.binding import bind, bind_folder
from facesets.sources.folder import FolderSource
from facesets.sources.immich import ImmichSource, open_client
from facesets.sources.immich_db import ImmichDbSource
from facesets.sources.immich_dump_source import ImmichDumpSource
from facesets.sources.source import Source
from facesets.sources.sync_stream import Stream
from facesets.workspace import Workspace


@contextmanager
def open_source(
    workspace: Workspace, registry: Registry, label: str, folder: Path | None, progress: Progress, *, new_server: bool = False
) -> Iterator[Source]:
    """The photos of ``label``: of a plain ``folder``, else of the Immich server in the settings. ``new_server``: as :func:`bind`.

    What the block raises is made plain: MissingPermission names all that the key lacks, Unreachable becomes SourceAway.
    """
    settings = workspace.settings
    if folder is not None:
        if folder.resolve().is_relative_to(workspace.facesets.resolve()):
            raise UsageError(f"{folder} is this workspace's own folder of sets, not of photos")
        user = bind_folder(label, folder, settings, registry, progress)
        with DecoderPool() as decoders:
            yield FolderSource(folder, user, decoders, (workspace.root, workspace.facesets))
        return
    if not settings.immich.url:
        raise UsageError(
            "where is your Immich? Set IMMICH_URL, or url under [immich] in facesets.toml; for a folder of photos: --folder DIR"
        )
    client, server, token = connect_user(workspace, label, progress)
    with client:
        _say_if_newer(registry, server, progress)
        try:
            user = bind(label, settings, registry, client, progress, new_server=new_server)
            source = ImmichSource(client, user, server=server, page_size=settings.stage.page_size, workers=settings.stage.workers)
            source.stream = Stream(client, token) if token else None
            if settings.immich_db.url:
                yield ImmichDbSource(source, settings.immich_db.url)
            elif settings.immich_dump.file:
                yield ImmichDumpSource(source, workspace, registry)
            else:
                yield source
        except MissingPermission as err:
            lacking = _lacking(workspace, label, err) if type(err) is MissingPermission and not token else []
            raise (MissingPermission(*lacking, user=label) if lacking else err) from err
        except SourceAway:
            raise
        except Unreachable as err:
            raise SourceAway(f"{err}. What came is kept: run the same command again later") from err


def verify_keys(
    workspace: Workspace,
    registry: Registry,
    labels: Sequence[str],
    folder: Path | None,
    progress: Progress,
    *,
    new_server: bool = False,
) -> Iterator[int]:
    """Of several people, see first whose key each is: a wrong one is said before hours of work for somebody else.

    Yields how many requests each took.
    """
    for label in labels if len(labels) > 1 else ():
        with open_source(workspace, registry, label, folder, progress, new_server=new_server) as source:
            requests = source.work.requests
        yield requests


def connect_user(workspace: Workspace, label: str, progress: Progress) -> tuple[Client, Server, str | None]:
    """A client with the user's login (and its token), else with their key. Raises as :func:`open_client`, UsageError without either."""
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


def _lacking(workspace: Workspace, label: str, err: MissingPermission) -> list[str]:
    """All that the key lacks for a run, asked by a client of its own: the other may have been stopped."""
    try:
        with open_client(workspace.settings, api_key(label, workspace.root))[0] as client:
            wanted = api.BESIDE_DATABASE if workspace.settings.immich_db.url else api.PERMISSIONS
            return sorted({err.permission, *api.missing(api.permissions(client), wanted)})
    except ServerError:
        return [err.permission]


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

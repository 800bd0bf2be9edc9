"""Sources room: where a dump of Immich's database comes from: a file, the newest of a folder, or the server's newest backup.

Each is read as a stream from its start, as often as asked. Touches that file, or the network.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Protocol, TypeVar

from facesets.errors import BadAnswer, FacesetsError, MissingPermission, UsageError, WrongKey
from facesets.files import open_file
from facesets.immich import Client, Traffic, backups
from facesets.secrets import api_key
from facesets.settings import labels
from facesets.sources.immich import open_client
from facesets.workspace import Workspace

T = TypeVar("T")
SERVER = "server"  # in place of a path
_PIECE = 1 << 18
_DUMP = re.compile(r"[^.].*\.sql(\.gz)?", re.IGNORECASE)
_OF_IMMICH = re.compile(r"immich-db-backup-[A-Za-z0-9_.-]+\.sql(\.gz)?")  # others on the server were uploaded there
_MOMENT = re.compile(r"backup-(?:(\d{8}T\d{6})|(\d{13}))\b")  # as Immich names them, by its own clock: now, and before 1.13x


class Dump(Protocol):
    """A dump that can be read. ``size`` in bytes as it lies there, ``made_at`` to be shown."""

    name: str
    made_at: str
    size: int

    @property
    def traffic(self) -> Traffic:
        """What it took of the network so far."""

    def each(self, consume: Callable[[Iterator[bytes]], T]) -> T:
        """What ``consume`` makes of its bytes, from the first on."""


class DumpFile:
    """A dump on disk."""

    def __init__(self, path: Path) -> None:
        with _in_words():
            self.path, self.name, facts = path, path.name, path.stat()
        self.size, self.made_at = facts.st_size, _moment(path.name) or _shown(facts.st_mtime)
        self.traffic, self._same = Traffic(), (facts.st_size, facts.st_mtime_ns)

    def each(self, consume: Callable[[Iterator[bytes]], T]) -> T:
        """As the protocol has it. Raises UsageError where it may not be read, BadAnswer where it was replaced meanwhile, OSError."""
        with ExitStack() as held:
            with _in_words():
                file = held.enter_context(open_file(self.path))
                facts = os.fstat(file.fileno())
            if (facts.st_size, facts.st_mtime_ns) != self._same:  # a second reading must be of the same dump
                raise BadAnswer("another file took its place while it was read")
            return consume(iter(lambda: _piece(file), b""))


def _piece(file: IO[bytes]) -> bytes:
    with _in_words():
        return file.read(_PIECE)


class Backup:
    """A backup that the server has."""

    def __init__(self, clients: Sequence[Client], backup: backups.Backup) -> None:
        self.clients, self.name, self.size = clients, backup.name, backup.size  # the last of them may have it
        self.made_at = _moment(backup.name) or "an unknown time"

    def each(self, consume: Callable[[Iterator[bytes]], T]) -> T:
        """As the protocol has it; where the connection breaks ``consume`` starts anew. Raises Unreachable, MissingPermission."""
        return backups.stream(self.clients[-1], self.name, consume)

    @property
    def traffic(self) -> Traffic:
        """Of all keys that were tried."""
        every = [client.traffic for client in self.clients]
        return Traffic(sum(one.requests for one in every), sum(one.retries for one in every), sum(one.bytes for one in every))


@contextmanager
def open_dump(workspace: Workspace, named: str) -> Iterator[Dump]:
    """The dump that ``[sources.immich_dump] file`` names. Raises UsageError where there is none."""
    if named == SERVER:
        with ExitStack() as held:
            yield _of_server(workspace, held)
        return
    path = workspace.root / Path(named).expanduser()
    with _in_words():
        path = _newest(path) if path.is_dir() else path
        if path.exists() and not path.is_file():
            raise UsageError(f"[sources.immich_dump] file: {path} is neither a file nor a folder")
    yield DumpFile(path)


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as err:
        raise UsageError(f"[sources.immich_dump] file: there is no {err.filename}") from err
    except PermissionError as err:
        raise UsageError(f"[sources.immich_dump] file: {err.filename} may not be read by you") from err
    except (OSError, ValueError) as err:  # a name that is too long or holds a NUL, links in a circle, a failing disk
        raise UsageError(f"[sources.immich_dump] file: it cannot be read ({getattr(err, 'strerror', None) or err})") from err


def _newest(folder: Path) -> Path:
    found = [path for path in folder.iterdir() if _DUMP.fullmatch(path.name) and path.is_file()]
    if not found and (inside := folder / "backups").is_dir():  # the upload location, in which Immich keeps them there
        return _newest(inside)
    if not found:
        begun = sum(path.name.endswith(".tmp") for path in folder.iterdir())
        unfinished = f" ({begun} unfinished: .tmp)" if begun else ""
        raise UsageError(f"[sources.immich_dump] file: {folder} holds no dump{unfinished}; looked for *.sql and *.sql.gz")
    return max(found, key=lambda path: (_moment(path.name) or _shown(path.stat().st_mtime), path.name))


def _of_server(workspace: Workspace, held: ExitStack) -> Dump:
    """The newest backup that one of the keys here may have: not everybody's is an administrator's."""
    settings, refused, clients = workspace.settings, list[FacesetsError](), list[Client]()
    known: dict[str, None] = dict.fromkeys(api_key(label, workspace.root) for label in _with_keys(workspace))
    for key in known:
        client, _ = open_client(settings, key)
        held.callback(client.close)
        clients.append(client)
        try:
            found = [one for one in backups.backups(client) if _OF_IMMICH.fullmatch(one.name)]
        except (UsageError, MissingPermission, WrongKey) as err:
            refused.append(err)
            continue
        if not found:
            raise UsageError(
                "the server has no backup of its database yet; Immich makes one each night (Administration > Settings > Backup)"
            )
        return Backup(clients, max(found, key=lambda one: (_moment(one.name) or "", one.name)))
    raise refused[0] if refused else UsageError("the server's backup needs an API key of an administrator: export IMMICH_API_KEY=...")


def _with_keys(workspace: Workspace) -> Iterator[str]:
    """Labels that have a key, and one that stands for the key of everybody."""
    for label in [*sorted(labels(workspace.settings, workspace.root)), "default"]:
        try:
            api_key(label, workspace.root)
        except UsageError:
            continue
        yield label


def _moment(name: str) -> str | None:
    """When a dump was made, as its name says."""
    found = _MOMENT.search(name)
    if found is None:
        return None
    if found[2]:
        return _shown(int(found[2]) / 1000)
    try:
        return datetime.strptime(found[1], "%Y%m%dT%H%M%S").strftime("%Y-%m-%d %H:%M")  # noqa: DTZ007 - the server's own clock, shown as such
    except ValueError:
        return None


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")

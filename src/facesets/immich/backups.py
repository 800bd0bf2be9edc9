"""Immich room: the server's own backups of its database, which an administrator's key may list and have. Touches the network only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from facesets.errors import NotFound, NotImmich, ServerError, UsageError
from facesets.immich import wire
from facesets.immich.response import Response
from facesets.immich.transport import Client

T = TypeVar("T")
PERMISSIONS = ("maintenance", "backup.download")  # to list them, to have one


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup as the server lists it; ``size`` in bytes, packed."""

    name: str
    size: int


def backups(client: Client) -> list[Backup]:
    """The backups that the server has. Raises MissingPermission, UsageError (no administrator's key, a server before 2.5)."""
    with _explained():
        answer = client.get("/admin/database-backups")
    where = "database-backups"
    return [
        Backup(wire.field(one, "filename", str, where), wire.whole(wire.field(one, "filesize", (int, float), where)) or 0)
        for one in wire.field(answer, "backups", list, where)
    ]


def stream(client: Client, name: str, consume: Callable[[Iterator[bytes]], T]) -> T:
    """What ``consume`` makes of the bytes of a backup as they come; it is called anew where the connection broke. Raises as
    :func:`backups`, and Unreachable.
    """

    def read(response: Response) -> T:
        if response.content_type in ("text/html", "application/json"):
            raise NotImmich(f"backup {name}: {response.content_type} came instead of a dump")
        return consume(response.iter_bytes())

    with _explained():
        return client.exchange("GET", f"/admin/database-backups/{name}", read)


@contextmanager
def _explained() -> Iterator[None]:
    """What a refusal means here."""
    try:
        yield
    except NotFound as err:
        raise UsageError(f"the server has no such backup to give; Immich does so from 2.5 on ({err})") from err
    except ServerError as err:
        if type(err) is not ServerError:
            raise
        raise UsageError(
            f"backups of Immich's database are for administrators: use the key of one ({err})"
        ) from err  # 403, no permission named

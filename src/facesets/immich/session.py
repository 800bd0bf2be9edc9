"""Immich room: what takes a login instead of a key: logging in and out, and the sync stream. Touches the network only.

The stream gives every face and person of the session's user in one answer, and afterwards only what changed since the last
acknowledgement. It carries what the API hides (invisible and deleted faces), and boxes as they are stored: in the original's frame.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from facesets.errors import BadAnswer, IncompleteBody, UsageError, WrongKey
from facesets.immich import wire
from facesets.immich.response import Response
from facesets.immich.server import Person
from facesets.immich.transport import Client
from facesets.records import FaceBox, SourcePerson

_TYPES = ("PeopleV1", "AssetFacesV2")
_BATCH = 2000


@dataclass(frozen=True, slots=True)
class FaceRow:
    """A face as streamed; ``asset_id`` is None where it is there no longer, or is not shown."""

    face_id: str
    asset_id: str | None = None
    box: FaceBox | None = None


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as streamed; ``person`` is None where there is no such person any longer."""

    person_id: str
    person: SourcePerson | None = None


Row = FaceRow | PersonRow


def login(client: Client, email: str, password: str) -> tuple[str, Person]:
    """A new session's token and its user. Raises UsageError where the server does not accept them."""
    try:
        answer = client.post("/auth/login", {"email": email, "password": password})
    except WrongKey as err:
        raise UsageError(
            "the server does not accept this e-mail address and password. Where you log in by OAuth only, there is no password: "
            "use an API key, all works with it, only less quickly"
        ) from err
    return wire.field(answer, "accessToken", str, "login"), Person(
        wire.uuid(answer, "userId", "login"), wire.field(answer, "name", str, "login")
    )


def logout(client: Client) -> None:
    """End the client's session on the server."""
    client.post("/auth/logout", {})


def stream(client: Client, take: Callable[[list[Row]], None], clear: Callable[[], None], *, reset: bool) -> tuple[list[str], bool]:
    """Hand over all faces and people (``reset``), or what changed since the last acknowledgement, in batches.

    ``clear`` is called before everything is sent: at ``reset``, and where the server itself wants to begin anew. After a broken
    connection the same comes again. Returns what to :func:`acknowledge` once it is kept, and whether everything was sent. Raises as
    Client.exchange, BadAnswer.
    """
    fresh = reset

    def receive(response: Response) -> list[str] | None:
        if fresh:
            clear()
        acks: dict[str, str] = {}
        rows = _rows(_lines(response), acks)
        while batch := list(islice(rows, _BATCH)):
            take(batch)
        if "SyncResetV1" in acks:
            return None
        if "SyncCompleteV1" not in acks:
            raise IncompleteBody("the sync stream ended before it was complete")
        return list(acks.values())

    while True:
        asked = {"types": list(_TYPES), **({"reset": True} if fresh else {})}
        acks = client.exchange("POST", "/sync/stream", receive, body=asked, repeatable=True)  # it only asks
        if acks is not None:
            return acks, fresh
        if fresh:
            raise BadAnswer("sync stream: the server asks to begin anew, again and again")
        fresh = True


def acknowledge(client: Client, acks: list[str]) -> None:
    """Tell the server that all up to here is kept."""
    client.exchange("POST", "/sync/ack", lambda response: response.read(), body={"acks": acks})


def _lines(response: Response) -> Iterator[Any]:
    if "json" not in response.content_type:
        raise BadAnswer("sync stream: not JSON lines")
    for line in response.iter_lines():
        try:
            yield json.loads(line)
        except (ValueError, RecursionError) as err:
            raise IncompleteBody("sync stream: a line that is no JSON") from err


def _rows(lines: Iterator[Any], acks: dict[str, str]) -> Iterator[Row]:
    """The rows this room knows; others are let through unseen. ``acks`` gets the last acknowledgement of each type."""
    for line in lines:
        kind, data = wire.field(line, "type", str, "sync stream"), wire.field(line, "data", dict, "sync stream")
        acks[kind] = wire.field(line, "ack", str, "sync stream")
        if kind == "AssetFaceV2":
            yield _face(data)
        elif kind == "AssetFaceDeleteV1":
            yield FaceRow(wire.uuid(data, "assetFaceId", kind))
        elif kind == "PersonV1":
            person = wire.person(data, wire.uuid(data, "ownerId", kind))
            yield PersonRow(person.person_id, person)
        elif kind == "PersonDeleteV1":
            yield PersonRow(wire.uuid(data, "personId", kind))


def _face(data: Any) -> FaceRow:
    face_id = wire.uuid(data, "id", "AssetFaceV2")
    if data.get("isVisible") is False or data.get("deletedAt"):
        return FaceRow(face_id)
    return FaceRow(face_id, wire.uuid(data, "assetId", f"face {face_id}"), wire.streamed_face(data, f"face {face_id}"))

"""Immich room: the people of the key's owner, as Immich has named them. Touches the network only."""

from __future__ import annotations

from collections.abc import Iterator

from facesets.immich import wire
from facesets.immich.transport import Client
from facesets.records import SourcePerson

_PAGE = 1000  # the most that Immich gives


def people(client: Client, owner_id: str) -> Iterator[SourcePerson]:
    """Everybody with a name or several faces, hidden ones too; Immich leaves out the unnamed with few faces.

    Raises MissingPermission (``person.read``), BadAnswer.
    """
    page, seen = 1, set[str]()
    while True:
        answer = client.get("/people", {"withHidden": "true", "size": str(_PAGE), "page": str(page)})
        new = [
            one for item in wire.field(answer, "people", list, "people") if (one := wire.person(item, owner_id)).person_id not in seen
        ]
        seen.update(one.person_id for one in new)
        yield from new
        if answer.get("hasNextPage") is not True or not new:
            return
        page += 1

"""Sources room: the faces of a login session's user in bulk, and afterwards their changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from facesets.immich import Client, Row, session
from facesets.records import FaceBox, SourcePerson


@dataclass(frozen=True, slots=True)
class StreamedFace:
    """A face; ``asset_id`` is None where it is there no longer, or is not shown."""

    face_id: str
    asset_id: str | None = None
    box: FaceBox | None = None


@dataclass(frozen=True, slots=True)
class StreamedPerson:
    """A person; ``person`` is None where there is no such person any longer."""

    person_id: str
    person: SourcePerson | None = None


class Stream:
    """The sync stream of one session. ``fingerprint`` identifies the session, since each has checkpoints of its own on the server."""

    def __init__(self, client: Client, token: str) -> None:
        self.client = client
        self.fingerprint = hashlib.sha256(token.encode()).hexdigest()[:16]

    def follow(
        self, take: Callable[[list[StreamedFace | StreamedPerson]], None], clear: Callable[[], None], *, reset: bool
    ) -> tuple[list[str], bool]:
        """As :func:`facesets.immich.session.stream`."""
        return session.stream(self.client, lambda rows: take(list(map(_own, rows))), clear, reset=reset)

    def acknowledge(self, acks: list[str]) -> None:
        """All up to here is kept. Raises ServerError; then the same comes again."""
        session.acknowledge(self.client, acks)


def _own(row: Row) -> StreamedFace | StreamedPerson:
    if isinstance(row, session.FaceRow):
        return StreamedFace(row.face_id, row.asset_id, row.box)
    return StreamedPerson(row.person_id, row.person)

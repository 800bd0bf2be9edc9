"""Sources room: the faces of a login session's user in bulk, and afterwards their changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from ..immich import Client, session
from ..immich.session import Row


class Stream:
    """The sync stream of one session. ``fingerprint`` tells sessions apart, since each has checkpoints of its own on the server."""

    def __init__(self, client: Client, token: str) -> None:
        self.client = client
        self.fingerprint = hashlib.sha256(token.encode()).hexdigest()[:16]

    def follow(self, take: Callable[[list[Row]], None], clear: Callable[[], None], *, reset: bool) -> tuple[list[str], bool]:
        """As :func:`facesets.immich.session.stream`."""
        return session.stream(self.client, take, clear, reset=reset)

    def acknowledge(self, acks: list[str]) -> None:
        """All up to here is kept."""
        session.acknowledge(self.client, acks)

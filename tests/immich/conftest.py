"""A library of one person and clients that do not really sleep."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from facesets.immich import Client, connect
from facesets.testing import ImmichServer, Library, User, immich_server


@pytest.fixture
def library() -> Library:
    """With one user, anna."""
    made = Library(seed=3)
    made.user("anna")
    return made


@pytest.fixture
def anna(library: Library) -> User:
    return next(iter(library.users.values()))


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def server(request: pytest.FixtureRequest, library: Library) -> Iterator[ImmichServer]:
    with immich_server(library, request.param) as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    """The seconds that clients of this test would have slept."""
    return []


@pytest.fixture
def client(server: ImmichServer, anna: User, pauses: list[float]) -> Iterator[Client]:
    with connect(server.url, server.key_for(anna), sleep=pauses.append, timeout=5)[0] as made:
        yield made


@pytest.fixture
def client_of(server: ImmichServer, pauses: list[float]) -> Iterator[Callable[[str], Client]]:
    """Clients with other keys."""
    made: list[Client] = []

    def make(key: str) -> Client:
        made.append(connect(server.url, key, sleep=pauses.append, timeout=5)[0])
        return made[-1]

    yield make
    for one in made:
        one.close()

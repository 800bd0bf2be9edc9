"""A family's library, a server, and workspaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facesets.testing import ImmichServer, Library, User, immich_server

from .home import Home


@pytest.fixture
def library() -> Library:
    made = Library(seed=5)
    made.user("anna")
    made.user("bob")
    return made


@pytest.fixture
def anna(library: Library) -> User:
    return next(user for user in library.users.values() if user.name == "anna")


@pytest.fixture
def bob(library: Library) -> User:
    return next(user for user in library.users.values() if user.name == "bob")


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def server(request: pytest.FixtureRequest, library: Library) -> Iterator[ImmichServer]:
    with immich_server(library, request.param) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.make(tmp_path / "home")


@pytest.fixture
def new_home(tmp_path: Path) -> Callable[[], Home]:
    """Further homes."""
    number = iter(range(1000))
    return lambda: Home.make(tmp_path / f"home{next(number)}")

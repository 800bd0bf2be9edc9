"""Pytest fixtures for a test suite of your own: ``pytest_plugins = ["facesets.testing.fixtures"]`` in conftest.py.

``immich`` is a running server; override ``immich_library`` to say what is on it and ``immich_version`` to say what it speaks.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from facesets.testing.immich import Faults, ImmichServer, Library, immich_server


@pytest.fixture
def immich_version() -> str:
    """The version that ``immich`` speaks."""
    return "3.1.0"


@pytest.fixture
def immich_library() -> Library:
    """What stands on ``immich``: one user, no photo yet. Change it before or while the server runs."""
    library = Library()
    library.user("anna")
    return library


@pytest.fixture
def immich_faults() -> Faults:
    """What goes wrong on ``immich``: nothing, until a test adds it."""
    return Faults()


@pytest.fixture
def immich(immich_library: Library, immich_version: str, immich_faults: Faults) -> Iterator[ImmichServer]:
    """An Immich on loopback for the length of a test."""
    with immich_server(immich_library, immich_version, faults=immich_faults) as server:
        yield server

"""Fixtures that more than one room's tests use. Real parts: real SQLite, real HTTP on loopback, real models and photos."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from facesets.embedding import Pack, load_pack

from .postgres import running

# Results are to be the same on every machine; tests of other engines name them.
os.environ["FACESETS_ENGINE"] = "cpu"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with labelled photos, a real model pack and recordings; not part of the project, so its tests may skip."""
    folder = Path(os.environ.get("FACESETS_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "photos" / "labels.csv").is_file():
        pytest.skip(f"needs the labelled photos, model pack and recordings in {folder} (set FACESETS_SHARED)")
    return folder


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that the session's tests share, so that the open pack is converted once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def open_pack(model_cache: Path) -> Pack:
    """The permissive pack, with real weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACESETS_CACHE", str(model_cache))
        return load_pack("open")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a Postgres of our own, with pgvector."""
    with running() as url:
        yield url

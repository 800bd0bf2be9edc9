"""A twin pack with buffalo_l's shapes, loaded once."""

from __future__ import annotations

from pathlib import Path

import pytest

from facesets.embedding import Pack, load_pack
from facesets.testing.twins import twin_pack


@pytest.fixture(scope="session")
def twin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return twin_pack(tmp_path_factory.mktemp("packs") / "twin")


@pytest.fixture(scope="session")
def twin(twin_folder: Path) -> Pack:
    return load_pack(twin_folder)

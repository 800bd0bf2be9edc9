"""Fixtures that more than one room's tests use. Real parts: real SQLite, real HTTP on loopback, real models and photos."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with labelled photos, a real model pack and recordings; not part of the project, so its tests may skip."""
    folder = Path(os.environ.get("FACESETS_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "photos" / "labels.csv").is_file():
        pytest.skip(f"needs the labelled photos, model pack and recordings in {folder} (set FACESETS_SHARED)")
    return folder

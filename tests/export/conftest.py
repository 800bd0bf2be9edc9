"""Planned sets and whole workspaces, made of one real photo: the astronaut of scikit-image (NASA, public domain)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from facesets.export.folders import Member, SetPlan
from facesets.workspace import Workspace

from .home import Home, a_plan, carried_out, furnished


@pytest.fixture
def plan() -> SetPlan:
    return a_plan()


@pytest.fixture
def load(astronaut: npt.NDArray[np.uint8]) -> Callable[[Member], npt.NDArray[np.uint8]]:
    """Each member's photo: the astronaut, lighter or darker."""
    return lambda member: (astronaut // (1 + int(member.asset_id.removeprefix("asset-")) % 3)).astype(np.uint8)


@pytest.fixture
def home(tmp_path: Path, astronaut: npt.NDArray[np.uint8]) -> Iterator[Home]:
    """A workspace with a plan that is still to be carried out."""
    workspace = Workspace.init(tmp_path / "home")
    with workspace.registry() as registry:
        yield furnished(Home(workspace, registry), astronaut)


@pytest.fixture
def done(home: Home, astronaut: npt.NDArray[np.uint8]) -> Home:
    """The same workspace after its plan was carried out."""
    return carried_out(home, astronaut)

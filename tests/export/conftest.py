"""A planned set made of one real photo: the astronaut of scikit-image (NASA, public domain)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from skimage import data

from facesets.export.folders import Member, SetPlan
from facesets.records import Face

LANDMARKS = ((206.0, 109.0), (241.0, 107.0), (227.0, 130.0), (211.0, 147.0), (242.0, 145.0))


@pytest.fixture(scope="session")
def astronaut() -> npt.NDArray[np.uint8]:
    return np.asarray(data.astronaut(), np.uint8)


def a_face(number: int, **changes: object) -> Face:
    values = {
        "face_id": f"f{number:04d}", "sha256": f"{number:064x}", "index": 0, "box": (180.0, 60.0, 268.0, 172.0), "landmarks": LANDMARKS,
        "det_score": 0.9, "face_short": 88.0, "sharpness": 0.5, "pack": "open@1", "signals": {"yaw": 0.123456789},
    }  # fmt: skip
    return Face(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture
def plan() -> SetPlan:
    return a_plan()


def a_plan(number: int = 7, faces: int = 3) -> SetPlan:
    taken = "2019-05-04T10:00:00Z"
    members = [Member(a_face(n), 0.1 + n / 100, "owner", f"asset-{n}", taken, f"photos/u/{n}.jpg") for n in range(faces)]
    return SetPlan(f"faceset_{number:03d}", number, "abcdef", "open@1", np.array([0.6, -0.8, 1 / 3, -1e-9]), members)


@pytest.fixture
def load(astronaut: npt.NDArray[np.uint8]) -> Callable[[Member], npt.NDArray[np.uint8]]:
    """Each member's photo: the astronaut, lighter or darker."""
    return lambda member: (astronaut // (1 + int(member.asset_id.removeprefix("asset-")) % 3)).astype(np.uint8)

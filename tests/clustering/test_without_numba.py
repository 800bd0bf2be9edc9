"""The plain install has no compiler: the same loops as Python, the same groups."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from facesets import average_linkage
from facesets.clustering.compiled import COMPILED

_HIDDEN = """
import sys
sys.modules["numba"] = None  # as if it were not installed
import numpy as np
from facesets import average_linkage
from facesets.clustering.compiled import COMPILED
assert not COMPILED
given = np.load(sys.argv[1])
labels = average_linkage(given["x"], 0.6, weights=given["w"], cannot_link=given["cannot"], names=given["names"])
np.save(sys.argv[2], labels)
"""


@pytest.mark.skipif(not COMPILED, reason="numba is not installed, so there is nothing to compare with")
def test_without_numba_the_groups_are_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    people = rng.standard_normal((150, 64))
    person = rng.integers(0, len(people), 2400)
    x = (people[person] + rng.standard_normal((2400, 64))).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cannot = rng.integers(0, len(x), (300, 2))
    cannot = cannot[cannot[:, 0] != cannot[:, 1]]
    names = np.where(rng.uniform(size=len(x)) < 0.02, person, -1)
    weights = rng.uniform(0.5, 2, len(x))
    np.savez(tmp_path / "given.npz", x=x, w=weights, cannot=cannot, names=names)
    subprocess.run([sys.executable, "-c", _HIDDEN, str(tmp_path / "given.npz"), str(tmp_path / "labels.npy")], check=True)
    here = average_linkage(x, 0.6, weights=weights, cannot_link=cannot, names=names)
    assert 100 < here.max() < 1500  # some are merged, some are kept from it
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), here)

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import facesets
from facesets.clustering.linkage import average_linkage
from tests.clustering.people import people


def test_the_package_itself_offers_the_clustering() -> None:
    x, who = people([12, 9], spread=0.4)
    assert facesets.cluster(x, photos=np.arange(len(x))).tolist() == who.tolist()
    assert facesets.average_linkage is average_linkage
    with pytest.raises(AttributeError, match="no attribute 'clusters'"):
        facesets.clusters  # noqa: B018


def test_importing_the_package_does_not_import_numpy() -> None:
    code = "import sys, facesets; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

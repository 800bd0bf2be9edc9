"""Room identity: who is who. Pure maths on arrays and records: no files, no network, no clock.

The pipeline knocks at :func:`decide`; who only wants labels for vectors takes :func:`cluster` or :func:`average_linkage`.
"""

from __future__ import annotations

from facesets.identity.cluster import ARCFACE, cluster
from facesets.identity.consolidate import Merge, consolidate
from facesets.identity.decide import decide, set_name
from facesets.identity.gates import Failed, Gates
from facesets.identity.linkage import average_linkage
from facesets.identity.match import centroid
from facesets.identity.table import FaceTable
from facesets.identity.verdict import Counts, Decision, Moved, NearGroup, NewSet, Verdict

__all__ = [
    "ARCFACE",
    "Counts",
    "Decision",
    "FaceTable",
    "Failed",
    "Gates",
    "Merge",
    "Moved",
    "NearGroup",
    "NewSet",
    "Verdict",
    "average_linkage",
    "centroid",
    "cluster",
    "consolidate",
    "decide",
    "set_name",
]

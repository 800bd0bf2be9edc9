"""Identity: who is who. Matching, gates, bands, constraints. Pure: no files, no network, no clock."""

from __future__ import annotations

from facesets.identity.calibration import LEAST as CALIBRATION_LEAST
from facesets.identity.calibration import Distances, Proposal, Rates, cut_rates, distances_between, error_table, propose
from facesets.identity.centroids import DENSE, YEARS, SpanCentroid, spans_of
from facesets.identity.constraints import Constraints
from facesets.identity.dates import known_date, year_of
from facesets.identity.decide import decide, set_name
from facesets.identity.eras import Era, find_eras
from facesets.identity.gates import GateFailure, Gates
from facesets.identity.growth import STANDS, Before, decide_growth, is_growth
from facesets.identity.ranking import quality, rank
from facesets.identity.said import WhatStands, face_key, what_stands
from facesets.identity.table import FaceTable
from facesets.identity.verdict import Counts, Decision, FragmentMerge, NeighborGroup, NewSet, Verdict

__all__ = [
    "CALIBRATION_LEAST",
    "DENSE",
    "STANDS",
    "YEARS",
    "Before",
    "Constraints",
    "Counts",
    "Decision",
    "Distances",
    "Era",
    "FaceTable",
    "FragmentMerge",
    "GateFailure",
    "Gates",
    "NeighborGroup",
    "NewSet",
    "Proposal",
    "Rates",
    "SpanCentroid",
    "Verdict",
    "WhatStands",
    "cut_rates",
    "decide",
    "decide_growth",
    "distances_between",
    "error_table",
    "face_key",
    "find_eras",
    "is_growth",
    "known_date",
    "propose",
    "quality",
    "rank",
    "set_name",
    "spans_of",
    "what_stands",
    "year_of",
]

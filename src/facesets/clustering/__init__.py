"""Clustering: linkage, neighbour joins, consolidation, scoring. Arrays in, arrays out: no files, network or clock."""

from __future__ import annotations

from facesets.clustering.arrays import Floats, Ints, vectors_of
from facesets.clustering.background import LEAST as LEAST_BACKGROUND
from facesets.clustering.background import backgrounds, cohort_of
from facesets.clustering.centroids import (
    DECIMALS,
    SLACK,
    Nearest,
    centroid,
    distance_to_any,
    distances,
    in_parts,
    nearest_few,
    nearest_sets,
)
from facesets.clustering.cluster import cluster
from facesets.clustering.consolidate import Merge, consolidate, least_evidence, needed_similarity
from facesets.clustering.linkage import average_linkage
from facesets.clustering.scoring import Score, b_cubed, main_face, pairwise, per_identity, persons_in_photos
from facesets.thresholds import ARCFACE

__all__ = [
    "ARCFACE",
    "DECIMALS",
    "LEAST_BACKGROUND",
    "SLACK",
    "Floats",
    "Ints",
    "Merge",
    "Nearest",
    "Score",
    "average_linkage",
    "b_cubed",
    "backgrounds",
    "centroid",
    "cluster",
    "cohort_of",
    "consolidate",
    "distance_to_any",
    "distances",
    "in_parts",
    "least_evidence",
    "main_face",
    "nearest_few",
    "nearest_sets",
    "needed_similarity",
    "pairwise",
    "per_identity",
    "persons_in_photos",
    "vectors_of",
]

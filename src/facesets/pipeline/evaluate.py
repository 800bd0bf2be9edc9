"""Pipeline: scores of the clustering against a labelled folder. No I/O of its own."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from facesets.clustering import Ints, Score, b_cubed, cluster, pairwise, per_identity
from facesets.pipeline.labelled import Labelled
from facesets.records import Thresholds

SIZEABLE = 5  # "one set a person" counts people with so many photos, and sets of so many of their faces


def evaluate(labelled: Labelled, thresholds: Thresholds) -> dict[str, Any]:
    """Scores of the default and of ``classic``, for each scope by itself and for all together.

    All faces found in the photos are clustered, as a run does, and the labelled ones scored. No gate is applied: many faces of
    labelled photos are small.
    """
    found = sorted({labelled.scopes[i] for i in np.flatnonzero(labelled.people != "").tolist()})
    parts = {scope: np.flatnonzero(np.array(labelled.scopes) == scope) for scope in found}
    if len(parts) > 1:
        parts["all"] = np.arange(len(labelled.faces))
    methods = {"default": False, "classic": True}
    scores = [
        score(labelled, rows, thresholds, part=part, method=m, classic=c) for part, rows in parts.items() for m, c in methods.items()
    ]
    return {
        "faces": len(labelled.faces), "labelled": int((labelled.people != "").sum()), "left_out": labelled.left_out,
        "gates": "off: faces of every size are scored", "thresholds": asdict(thresholds), "scores": scores,
    }  # fmt: skip


def score(labelled: Labelled, rows: Ints, thresholds: Thresholds, *, part: str, method: str, classic: bool = False) -> dict[str, Any]:
    """Cluster the faces in ``rows`` and score those of them that are labelled."""
    _, photos = np.unique([labelled.paths[i] for i in rows.tolist()], return_inverse=True)
    labels = cluster(labelled.vectors[rows], thresholds=thresholds, classic=classic, photos=photos)
    known = labelled.people[rows] != ""
    return {"part": part, "method": method, **scored(labels[known], labelled.people[rows][known].tolist())}


def scored(labels: Ints, people: list[str]) -> dict[str, Any]:
    """B-cubed, pairwise and per-identity scores of ``labels`` against ``people``."""
    identities = per_identity(labels, people, sizeable=SIZEABLE)
    big = [i for i in identities if i.faces >= SIZEABLE]
    return {
        "faces": len(people), "people": len(identities), "clusters": len(np.unique(labels)),
        "b_cubed": _figures(b_cubed(labels, people)), "pairwise": _figures(pairwise(labels, people)),
        "people_with_five": len(big), "their_sets_of_five": sum(i.sizeable for i in big),
        "identities": [
            {"name": i.name, "faces": i.faces, "clusters": i.clusters, "sets_of_five": i.sizeable} | _figures(i.score)
            for i in identities
        ],
    }  # fmt: skip


def _figures(score: Score) -> dict[str, float]:
    return {"precision": round(score.precision, 6), "recall": round(score.recall, 6), "f": round(score.f, 6)}

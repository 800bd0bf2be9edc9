"""What explain says in words of a verdict's evidence."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from facesets.cli.explain import _told
from facesets.identity import ARCFACE, decide
from facesets.pipeline.plan import _detail
from tests.identity.people import people, table_of


def test_the_evidence_of_a_verdict_is_told_in_words() -> None:
    x, _ = people([60, 40, 3], seed=2, d=256, spread=1.15)
    decision = decide(table_of(x, face_short=[50.0, *[200.0] * 102]), [], cuts=ARCFACE)
    told = {v.face_id: _told(json.loads(_detail(v))) for v in decision.verdicts}
    assert "has 50, the gate is 90" in told["f00000"]
    moved = next(v for v in decision.verdicts if v.moved and v.moved.witness is None)
    assert moved.moved is not None
    assert f"(with face {moved.moved.face}) were found to be one person: centroids {moved.moved.distance} apart" in told[moved.face_id]
    assert f"{moved.near[0].distance} from group {moved.near[0].group} ({moved.near[0].size} faces)" in told[moved.face_id]


def test_a_near_duplicate_is_told_which_face_is_better() -> None:
    x, _ = people([8], spread=0.7)
    cuts = replace(ARCFACE, near_duplicate=0.05)
    decision = decide(table_of(np.repeat(x, 2, axis=0), face_short=[100.0, 250.0] * 8), [], cuts=cuts)
    first = next(v for v in decision.verdicts if v.face_id == "f00000")
    assert "has 0, the gate is 0.05; the better face is f00001" in _told(json.loads(_detail(first)))

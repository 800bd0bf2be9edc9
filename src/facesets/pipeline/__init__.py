"""The rooms joined: a run and its steps."""

from __future__ import annotations

from facesets.pipeline.evaluate import evaluate
from facesets.pipeline.labelled import embed_labelled
from facesets.pipeline.runner import STEPS, run
from facesets.pipeline.summary import Summary, count

__all__ = ["STEPS", "Summary", "count", "embed_labelled", "evaluate", "run"]

"""Staging: which of the listed photos matter, and their bytes, none twice."""

from __future__ import annotations

from facesets.staging import filters
from facesets.staging.counters import StageCounters
from facesets.staging.download import fetch_again
from facesets.staging.renditions import want_next as want_rendition
from facesets.staging.stage import count_failures, download_only, stage, substitute

__all__ = ["StageCounters", "count_failures", "download_only", "fetch_again", "filters", "stage", "substitute", "want_rendition"]

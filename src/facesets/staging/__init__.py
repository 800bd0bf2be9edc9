"""The staging room: which of the listed photos matter, and their bytes, none twice.

``filters`` and ``dedup`` are pure; ``stage`` (list and decide) and ``bring`` (fetch) do the I/O: source, ``photos`` and registry.
"""

from __future__ import annotations

from .counters import StageCounters
from .renditions import want_next as want_rendition
from .stage import bring_only, stage, substitute

__all__ = ["StageCounters", "bring_only", "stage", "substitute", "want_rendition"]

"""The staging room: which of the listed photos matter, and their bytes, none twice.

``filters`` and ``dedup`` are pure; ``stage`` does the I/O: the source's network, the workspace's ``photos`` and the registry.
"""

from __future__ import annotations

from .stage import StageCounters, stage

__all__ = ["StageCounters", "stage"]

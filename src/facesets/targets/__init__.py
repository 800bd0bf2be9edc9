"""Targets: sets as their consumers take them. One table, a module each, and one that says whether a person may be handed on."""

from __future__ import annotations

from facesets.targets import consent
from facesets.targets.contact_sheet import make_contact_sheet
from facesets.targets.export import Exported, export_to, find
from facesets.targets.job import Outcome, Target
from facesets.targets.pictures import Pictures
from facesets.targets.table import READ_BACK_ON, TARGETS
from facesets.targets.terms import Purpose

__all__ = [
    "READ_BACK_ON",
    "TARGETS",
    "Exported",
    "Outcome",
    "Pictures",
    "Purpose",
    "Target",
    "consent",
    "export_to",
    "find",
    "make_contact_sheet",
]

"""The report of a workspace: pages of HTML, and the stories that they and ``explain`` tell."""

from __future__ import annotations

from facesets.report.calibration import write_calibration
from facesets.report.gather import accounting, explained_set, face_facts, file_facts
from facesets.report.model import Accounting
from facesets.report.pages import templates
from facesets.report.stories import face_reasons, face_story, file_story, set_story
from facesets.report.thumbnails import LARGE, SMALL, cut_face, shrink_for, webp, write_picture
from facesets.report.write import report_file, write_report

__all__ = [
    "LARGE",
    "SMALL",
    "Accounting",
    "accounting",
    "cut_face",
    "explained_set",
    "face_facts",
    "face_reasons",
    "face_story",
    "file_facts",
    "file_story",
    "report_file",
    "set_story",
    "shrink_for",
    "templates",
    "webp",
    "write_calibration",
    "write_picture",
    "write_report",
]

"""People: what a user says of who is who, as documented functions. Command line, review page and Python call the same.

Each act takes an open workspace and its registry, whom it is about, and ``dry_run``; it returns an :class:`Outcome`. A decision binds
in the registry at once; the folders of sets follow when :func:`facesets.changes.write_revisions` is called (``facesets write``, a run).
The caller holds the workspace's lock.
"""

from __future__ import annotations

from facesets.people.accept import accept
from facesets.people.calibrate import Calibration, calibrate
from facesets.people.eras import eras, make_eras
from facesets.people.faces_of_sets import best, confirm, move, reject
from facesets.people.names import NameSuggestion, ask_sources, name, name_from_sources, suggested_names
from facesets.people.outcome import Outcome
from facesets.people.past import Past, age, history, prune
from facesets.people.resolve import KnownFace, retired_words
from facesets.people.resolve import faces as faces_named
from facesets.people.resolve import person as person_of
from facesets.people.suggest import Suggestion, suggest
from facesets.people.taking_back import standing_on, to_undo, undo
from facesets.people.told import Told, ToldFace, told
from facesets.people.whole_sets import distinct, extend, extend_as_ordered, ignore, merge, split
from facesets.people.words_of_immich import Look, face_words, last_look, set_words
from facesets.people.xmp_names import XmpNames, read_xmp_names

__all__ = [
    "Calibration",
    "KnownFace",
    "Look",
    "NameSuggestion",
    "Outcome",
    "Past",
    "Suggestion",
    "Told",
    "ToldFace",
    "XmpNames",
    "accept",
    "age",
    "ask_sources",
    "best",
    "calibrate",
    "confirm",
    "distinct",
    "eras",
    "extend",
    "extend_as_ordered",
    "face_words",
    "faces_named",
    "history",
    "ignore",
    "last_look",
    "make_eras",
    "merge",
    "move",
    "name",
    "name_from_sources",
    "person_of",
    "prune",
    "read_xmp_names",
    "reject",
    "retired_words",
    "set_words",
    "split",
    "standing_on",
    "suggest",
    "suggested_names",
    "to_undo",
    "told",
    "undo",
]

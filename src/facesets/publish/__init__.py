"""Publish: what was decided here goes back to Immich (names, whose its faces are, albums, tags), and can be taken back.

    diff     what would be written, by person, in words and as data (:class:`Diff`); writes nothing
    apply    writes a diff, each write in a journal first; one entry in the history
    undo     takes a publish back in reverse, where what is there is still ours

Immich's own is never deleted, nobody is merged, and photos that are a partner's, locked or in the trash are left alone.
"""

from __future__ import annotations

from facesets.publish.diff import Cannot, Diff, PersonDiff, What, Write
from facesets.publish.permissions import READING, UNDOING, WRITING, needed
from facesets.publish.publishing import apply, diff, undo

__all__ = ["READING", "UNDOING", "WRITING", "Cannot", "Diff", "PersonDiff", "What", "Write", "apply", "diff", "needed", "undo"]

"""What is to be done to sets: planned in one transaction, carried out after it, given up with a reason."""

from __future__ import annotations

from facesets.changes.averages import refresh_averages
from facesets.changes.carry_over import NOT_CARRIED, follow, standing
from facesets.changes.constraints import constraints_of, excluded_by_any
from facesets.changes.contents import description_of, files_as_decided, names_used, nowhere
from facesets.changes.eras import ERAS_ACT, EraPlan, Eras, eras_of, eras_pending, wanted_eras, write_eras, write_revisions
from facesets.changes.member_photos import fetch_members
from facesets.changes.plan import effective_thresholds, plan
from facesets.changes.record import ACT, REVISION, renamed, waiting
from facesets.changes.recorded import folder_state, is_as_recorded, put_back_record, recorded
from facesets.changes.restore import restore
from facesets.changes.revisions import Revised, pending, sync_manifest
from facesets.changes.steps import HISTORY, begin, carry_on, give_up, swap
from facesets.changes.write import PhotosNeeded, write_planned

__all__ = [
    "ACT",
    "ERAS_ACT",
    "HISTORY",
    "NOT_CARRIED",
    "REVISION",
    "EraPlan",
    "Eras",
    "PhotosNeeded",
    "Revised",
    "begin",
    "carry_on",
    "constraints_of",
    "description_of",
    "effective_thresholds",
    "eras_of",
    "eras_pending",
    "excluded_by_any",
    "fetch_members",
    "files_as_decided",
    "folder_state",
    "follow",
    "give_up",
    "is_as_recorded",
    "names_used",
    "nowhere",
    "pending",
    "plan",
    "put_back_record",
    "recorded",
    "refresh_averages",
    "renamed",
    "restore",
    "standing",
    "swap",
    "sync_manifest",
    "waiting",
    "wanted_eras",
    "write_eras",
    "write_planned",
    "write_revisions",
]

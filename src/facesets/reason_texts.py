"""What each state and each reason means, in plain words: the one place for report, status, list, explain and the reference. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from facesets.records import Reason, State

SENTENCES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.LISTED: "Its source lists it; what to do with it has not been decided yet.",
        Reason.STAGED: "The original is here; its faces have not been looked for yet.",
        Reason.FACES_ERROR: "The server did not say which faces are in it; the next run asks again.",
        Reason.DOWNLOAD_ERROR: "It could not be downloaded; the next run tries again.",
        Reason.EMBED_ERROR: "The face engine failed on it, which is not the photo's fault; the next run tries again.",
        Reason.NOT_IMAGE: "It is a video or another kind of file, not a photo.",
        Reason.OTHER_OWNER: "It belongs to somebody else whose library this key may see; a run with that person's own key includes it.",
        Reason.EXCLUDED_PATH: "It lies in a folder of thumbnails, deleted files or the like ([stage] exclude).",
        Reason.TRASHED: "It is in the trash.",
        Reason.OFFLINE: "The server knows the photo but cannot reach its file at present.",
        Reason.LOCKED: "It is in the locked folder, which API keys cannot open.",
        Reason.ARCHIVED: "It is archived; [immich] archived = true includes such photos.",
        Reason.STACKED: "It lies beneath another photo of its stack, which is used instead; [immich] stacked = true includes it too.",
        Reason.HIDDEN: "The server hides it, as it does the video part of a live photo.",
        Reason.NO_FACES: "The server found no face in it.",
        Reason.NOT_SCANNED: "The server has not looked for faces in it (no preview yet, or recognition is off); "
        "--second-look looks here.",
        Reason.NO_BIG_FACE: "It has faces, but each is smaller than [stage] min_face_short.",
        Reason.GONE: "It was listed once, and its source does not have it any more; its faces stay in sets that are written.",
        Reason.DUP_STAGED: "It has the same bytes as another photo of this workspace, which is used instead.",
        Reason.DUP_EXISTING: "It has the same bytes as a photo of another user or in another cache, which is used instead.",
        Reason.PROBABLE_DUP: "It looks like a photo that is here and has the same size and sampled bytes; the rest was not compared.",
        Reason.UNREADABLE: "No decoder can read it: it is broken, or not really a picture.",
        Reason.TRUNCATED: "The file ends too early: part of the picture is missing.",
        Reason.EMPTY_FILE: "The file is empty.",
        Reason.UNSUPPORTED: "It is a picture in a format that cannot be decoded here.",
        Reason.TOO_LARGE: "It has so many pixels that decoding it could exhaust the memory, so it was left alone.",
        Reason.NOT_AVAILABLE: "The server lists it but will not serve the file; it is asked again once a week and with --full.",
        Reason.NO_ACCESS: "It is in the folder and cannot be read (no permission, or its disk fails); each run tries again.",
        Reason.EMBEDDED: "It was looked through, and its faces were found.",
        Reason.EMBEDDED_NO_FACE: "It was looked through, and no face was found.",
        Reason.MEASURED: "Immich's database has its faces with their vectors; the file is fetched only where a set needs it.",
        Reason.NEW: "It was found; which set it belongs to has not been decided yet.",
        Reason.MEMBER: "It is in a set that was made here.",
        Reason.RECOGNISED: "It shows the person of a set whose faces had been chosen before; the set stays as it is.",
        Reason.TOO_SMALL: "It is smaller than [gates] min_face_short.",
        Reason.LOW_SCORE: "The detector is not sure enough that it is a face ([gates] min_det_score).",
        Reason.BLURRED: "It is less sharp than [gates] min_sharpness.",
        Reason.FEW_FACES: "Too few faces look like this person to make a set ([gates] min_faces).",
        Reason.FEW_PHOTOS: "Enough faces look like this person, but from too few different photos ([gates] min_photos).",
        Reason.NEAR_DUPLICATE: "A better face of the same moment is in the set: this one is from a burst, an edit or a copy.",
        Reason.REMOVED: "You took its file out of the set's folder and accepted that (facesets accept); no run puts it back.",
        Reason.OUTLIER: "An older version left it out of the set it was grouped with: it is far from that person's average.",
        Reason.LIKELY: "It may be the person of a set, but is not near enough to be sure; no folder holds it.",
        Reason.OTHER_PACK: "It was embedded with another model than this run uses; the two cannot be compared.",
        Reason.UNMEASURED: "Immich knows this face, drawn by hand perhaps, but has no vector or no place of it that can be used.",
        Reason.PHOTO_LOST: "Its photo is no longer available as it was when the face was found, so it is in no set.",
    }
)

STATES: Mapping[State, str] = MappingProxyType(
    {
        State.PENDING: "waiting",
        State.RETRY: "to be tried again",
        State.SKIPPED: "left aside",
        State.DUPLICATE: "duplicates",
        State.FAILED: "cannot be read",
        State.DONE: "looked through",
        State.IN_SET: "in a set",
        State.MATCHED: "recognised",
        State.LEFT_OUT: "left out",
        State.GONE: "no longer at its source",
    }
)

FACE_GATES = tuple(reason for reason in Reason if reason.state is State.LEFT_OUT)  # what keeps a face out of every set

# the order in which bars, tables and summaries name the states
FILE_STATES = (State.DONE, State.DUPLICATE, State.SKIPPED, State.FAILED, State.RETRY, State.PENDING)
FACE_STATES = (State.IN_SET, State.MATCHED, State.LEFT_OUT, State.PENDING)


def name_of(reason: Reason) -> str:
    """A reason's own name, as people write it."""
    return reason.value.replace("_", " ")


def is_face_reason(reason: Reason) -> bool:
    """Whether a reason is a face's; all others are assets'."""
    return reason is Reason.NEW or reason.state in (State.IN_SET, State.MATCHED, State.LEFT_OUT)

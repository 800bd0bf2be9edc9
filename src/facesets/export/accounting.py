"""Export room: what each reason means, in one plain sentence. Pure. Used by the report, status, explain and the reference."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..records import Reason, State

SENTENCES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.LISTED: "Listed by its source; what to do with it has not been decided yet.",
        Reason.STAGED: "The original is here; looking for faces in it comes next.",
        Reason.FACES_ERROR: "The server did not answer when asked for its faces; the next run asks again.",
        Reason.DOWNLOAD_ERROR: "The download failed; the next run tries again.",
        Reason.EMBED_ERROR: "The face engine failed on it, not the photo; the next run tries again.",
        Reason.NOT_IMAGE: "A video or another kind of file, not a photo.",
        Reason.OTHER_OWNER: "Belongs to somebody else whose library this key may see; that person's own key can take it in.",
        Reason.EXCLUDED_PATH: "Lies where no photos of yours are kept: thumbnails, recycle bins and other [stage] exclude paths.",
        Reason.TRASHED: "In the trash.",
        Reason.OFFLINE: "The server knows the photo but cannot reach its file at present.",
        Reason.LOCKED: "In a locked folder, which stays closed to API keys.",
        Reason.ARCHIVED: "Archived; [immich] archived = true takes such photos in.",
        Reason.STACKED: "Stacked beneath another photo, which is taken instead; [immich] stacked = true takes such photos in too.",
        Reason.HIDDEN: "Hidden by the server, for example the moving half of a live photo.",
        Reason.NO_FACES: "The server found no face in it.",
        Reason.NO_BIG_FACE: "It has faces, but each is smaller than [stage] min_face_short.",
        Reason.GONE: "Was listed once, and its source no longer has it.",
        Reason.DUP_STAGED: "The same bytes as another photo of this workspace, which is kept instead.",
        Reason.DUP_EXISTING: "The same bytes as a photo that one of the other caches, or another user, has already.",
        Reason.PROBABLE_DUP: "Looks the same and has the same size and sampled bytes as a photo that is kept; not compared whole.",
        Reason.UNREADABLE: "No decoder can read it: broken, or not really a picture.",
        Reason.TRUNCATED: "The file ends too early: part of the picture is missing.",
        Reason.EMPTY_FILE: "The file is empty.",
        Reason.UNSUPPORTED: "A picture format that cannot be decoded here.",
        Reason.TOO_LARGE: "So many pixels that decoding it could exhaust the memory; left alone for safety.",
        Reason.NOT_AVAILABLE: "The server lists it and does not give its file: refused, or failed on in three runs; --full asks again.",
        Reason.EMBEDDED: "Done: its faces were found and measured.",
        Reason.EMBEDDED_NO_FACE: "Done: looked through, and no face was found.",
        Reason.MEASURED: "Done: Immich's database told its faces with their measures; its file is fetched only for a set.",
        Reason.NEW: "Found and measured; which set it belongs to has not been decided yet.",
        Reason.MEMBER: "In a set that was made here.",
        Reason.MATCHES_SET: "Shows the person of a set that existed before it; the set stays as it is.",
        Reason.TOO_SMALL: "Smaller than [gates] min_face_short.",
        Reason.LOW_SCORE: "The detector is not sure enough that this is a face ([gates] min_det_score).",
        Reason.BLURRED: "Less sharp than [gates] min_sharpness.",
        Reason.FEW_FACES: "Too few faces of this person for a set ([gates] min_faces).",
        Reason.FEW_PHOTOS: "Enough faces of this person, but from too few different photos ([gates] min_photos).",
        Reason.NEAR_DUPLICATE: "The same moment as a better face of its set: a burst, an edit or a copy.",
        Reason.OUTLIER: "Grouped with a set, but too far from what the person looks like on average to be put into it.",
        Reason.OTHER_PACK: "Measured with another model than this run uses; such measures cannot be compared.",
        Reason.UNMEASURED: "Immich knows this face, and has no measure or no place of it that can be used.",
        Reason.PHOTO_LOST: "Was to be in a set, and its photo cannot be had or read any more.",
    }
)

STATES: Mapping[State, str] = MappingProxyType(
    {
        State.PENDING: "waiting",
        State.RETRY: "to be tried again",
        State.SKIPPED: "left aside",
        State.DUPLICATE: "had already",
        State.FAILED: "cannot be read",
        State.DONE: "looked through",
        State.IN_SET: "in a set",
        State.MATCHED: "known already",
        State.LEFT_OUT: "left out",
    }
)


def is_face_reason(reason: Reason) -> bool:
    """Whether a reason is a face's; all others are assets'."""
    return reason is Reason.NEW or reason.state in (State.IN_SET, State.MATCHED, State.LEFT_OUT)

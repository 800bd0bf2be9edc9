"""The nouns of the house: assets, face boxes, faces, sets, and why each is where it is. Pure: no I/O, no clock.

Boxes are ``x1, y1, x2, y2`` in display-oriented pixels of the original, unless the name says otherwise. Vectors are float32;
a pack's distance between two of them is half the squared Euclidean distance, which for unit vectors is the cosine distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray


class State(StrEnum):
    """Where an asset or a face has got to. Terminal, except ``PENDING`` (work to do) and ``RETRY`` (failed, may heal)."""

    PENDING = "pending"
    RETRY = "retry"
    SKIPPED = "skipped"
    DUPLICATE = "duplicate"
    FAILED = "failed"
    DONE = "done"
    IN_SET = "in_set"
    MATCHED = "matched"
    LEFT_OUT = "left_out"
    GONE = "gone"  # its source has it no longer; of no listing's sum


class Reason(StrEnum):
    """Why an asset or face is in its state. Each reason belongs to exactly one state (``reason.state``)."""

    # assets at work
    LISTED = "listed"  # seen, not decided yet
    STAGED = "staged"  # the original is here, embedding is to come
    # assets that failed in a way that may heal
    FACES_ERROR = "faces_error"  # asking for its face boxes failed
    DOWNLOAD_ERROR = "download_error"
    EMBED_ERROR = "embed_error"  # the engine, not the photo, failed
    # assets left aside
    NOT_IMAGE = "not_image"
    OTHER_OWNER = "other_owner"
    EXCLUDED_PATH = "excluded_path"  # Immich's own thumbnails and junk folders
    TRASHED = "trashed"
    OFFLINE = "offline"
    LOCKED = "locked"
    ARCHIVED = "archived"
    STACKED = "stacked"  # in a stack, and not the one on top
    HIDDEN = "hidden"  # e.g. the moving half of a live photo
    NO_FACES = "no_faces"  # the source says: no face
    NOT_SCANNED = "not_scanned"  # the source has not looked for faces in it
    NO_BIG_FACE = "no_big_face"  # faces, but each below [stage] min_face_short
    GONE = "gone"  # was listed once, the source has it no longer
    # assets whose bytes are here already
    DUP_STAGED = "duplicate_of_staged"
    DUP_EXISTING = "duplicate_of_existing"  # in an external cache or another user's photos
    PROBABLE_DUP = "probable_duplicate"  # same size, look and sampled bytes, not compared whole
    # assets that cannot be read, for good
    UNREADABLE = "unreadable"  # no decoder takes it, or it is broken
    TRUNCATED = "truncated"
    EMPTY_FILE = "empty_file"
    UNSUPPORTED = "unsupported_format"
    TOO_LARGE = "too_large"  # decompression bomb guard
    NOT_AVAILABLE = "not_available"  # the source lists it and does not give its bytes
    NO_ACCESS = "no_access"  # a local file that cannot be read: no permission, a failing disk
    # assets that are through
    EMBEDDED = "embedded"
    EMBEDDED_NO_FACE = "embedded_no_face"  # our detector found none
    MEASURED = "measured_by_source"  # its source gave its faces with their vectors, and its bytes are not needed
    # faces at work
    NEW = "new"
    # faces in sets
    MEMBER = "member"
    RECOGNISED = "recognised"  # within the match distance of an existing set, which is not altered
    MATCHES_SET = RECOGNISED
    LIKELY = "likely"  # near to somebody, and not near enough: offered for a look, in no folder
    # faces left out, each with the first gate it failed
    TOO_SMALL = "too_small"
    LOW_SCORE = "low_score"
    BLURRED = "blurred"
    FEW_FACES = "few_faces"  # its group is too small for a set
    FEW_PHOTOS = "few_photos"  # its group stands in too few distinct photos
    NEAR_DUPLICATE = "near_duplicate"  # a better one of the same burst or copy is in the set
    REMOVED = "removed"  # its owner took its file out of the set, and accepted that
    OUTLIER = "outlier"  # of older versions: beyond a distance of its set's centroid
    OTHER_PACK = "other_pack"  # embedded with a model that this run does not use
    UNMEASURED = "not_measured"  # its source gave the face without a usable vector or box
    PHOTO_LOST = "photo_lost"  # was to be in a set, and its photo cannot be had

    @property
    def state(self) -> State:
        """The one state this reason belongs to."""
        return _STATE_OF[self]


_STATE_OF: Mapping[Reason, State] = MappingProxyType(
    {
        **dict.fromkeys((Reason.LISTED, Reason.STAGED, Reason.NEW), State.PENDING),
        **dict.fromkeys((Reason.FACES_ERROR, Reason.DOWNLOAD_ERROR, Reason.EMBED_ERROR), State.RETRY),
        **dict.fromkeys(
            (
                Reason.NOT_IMAGE,
                Reason.OTHER_OWNER,
                Reason.EXCLUDED_PATH,
                Reason.TRASHED,
                Reason.OFFLINE,
                Reason.LOCKED,
                Reason.ARCHIVED,
                Reason.STACKED,
                Reason.HIDDEN,
                Reason.NO_FACES,
                Reason.NOT_SCANNED,
                Reason.NO_BIG_FACE,
            ),
            State.SKIPPED,
        ),
        Reason.GONE: State.GONE,
        **dict.fromkeys((Reason.DUP_STAGED, Reason.DUP_EXISTING, Reason.PROBABLE_DUP), State.DUPLICATE),
        **dict.fromkeys(
            (
                Reason.UNREADABLE,
                Reason.TRUNCATED,
                Reason.EMPTY_FILE,
                Reason.UNSUPPORTED,
                Reason.TOO_LARGE,
                Reason.NOT_AVAILABLE,
                Reason.NO_ACCESS,
            ),
            State.FAILED,
        ),
        **dict.fromkeys((Reason.EMBEDDED, Reason.EMBEDDED_NO_FACE, Reason.MEASURED), State.DONE),
        Reason.MEMBER: State.IN_SET,
        Reason.RECOGNISED: State.MATCHED,
        **dict.fromkeys(
            (
                Reason.TOO_SMALL,
                Reason.LOW_SCORE,
                Reason.BLURRED,
                Reason.FEW_FACES,
                Reason.FEW_PHOTOS,
                Reason.NEAR_DUPLICATE,
                Reason.REMOVED,
                Reason.OUTLIER,
                Reason.LIKELY,
                Reason.OTHER_PACK,
                Reason.UNMEASURED,
                Reason.PHOTO_LOST,
            ),
            State.LEFT_OUT,
        ),
    }
)


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A face as its source describes it, in the source's own frame of ``image_width x image_height`` oriented pixels."""

    x1: float
    y1: float
    x2: float
    y2: float
    image_width: int
    image_height: int
    face_id: str = ""
    person_id: str | None = None
    person_name: str | None = None

    def scaled_to(self, width: int, height: int) -> Box | None:
        """This box in a frame of ``width x height``, cut to it; None where nothing is left or the own frame has no size."""
        if self.image_width <= 0 or self.image_height <= 0:
            return None
        sx, sy = width / self.image_width, height / self.image_height
        x1, x2 = sorted((self.x1 * sx, self.x2 * sx))
        y1, y2 = sorted((self.y1 * sy, self.y2 * sy))
        x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
        return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


@dataclass(frozen=True, slots=True)
class SourcePerson:
    """Somebody whom a source knows. ``name`` is "" where nobody gave one; ``birth_date`` is ISO 8601 (1960-02-28)."""

    owner_id: str
    person_id: str
    name: str = ""
    birth_date: str | None = None
    is_hidden: bool = False


Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Asset:
    """One photo (or other item) as its source lists it. Keyed by ``(owner_id, asset_id)``; names and paths are data only."""

    owner_id: str
    asset_id: str
    type: str = "IMAGE"
    original_path: str = ""
    file_name: str = ""
    mime_type: str = ""
    sha1: str | None = None  # hex; only where it is known to be of the bytes
    library_id: str | None = None
    size_bytes: int | None = None
    width: int | None = None  # display-oriented pixels of the original
    height: int | None = None
    taken_at: str | None = None  # ISO 8601, wall-clock time where it was taken, without a zone
    updated_at: str | None = None
    thumbhash: str | None = None
    visibility: str = "timeline"
    is_trashed: bool = False
    is_offline: bool = False
    is_edited: bool = False
    boxes: tuple[FaceBox, ...] | None = None  # None: not in the listing, ask for them


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A pack's calibrated distances (half squared Euclidean; cosine for unit vectors). Measured, stated with their pack."""

    match: float  # a face this near to the centroid of a set that exists is that set's
    likely: float  # farther than that, up to this, it may be: it is offered for a look
    margin: float  # and by so much nearer than to anybody else it must be to be sure
    cluster: float  # average linkage joins below this
    consolidate: float  # groups join whose mean similarity exceeds what is usual around both by this; 0 switches the pass off
    near_duplicate: float  # two faces of one group this near are one exposure (burst, copy)


@dataclass(frozen=True, slots=True)
class Face:
    """One detected face with its signals. ``face_id`` is derived from content: source hash, pack and box."""

    face_id: str
    sha256: str  # of the photo's bytes; where a source gave its vector before any byte came, what stands for them
    index: int  # position among the photo's faces, by box
    box: Box
    landmarks: tuple[tuple[float, float], ...]  # five points, ArcFace order: eyes, nose, mouth corners (image left first); or none
    det_score: float | None  # None: not known
    face_short: float  # short side of the box in original pixels
    sharpness: float | None  # scale-normalised, on the aligned chip; None: not known
    pack: str  # "name@version" of the model pack
    signals: Mapping[str, float] = field(default_factory=dict)  # further quality signals (pose, exposure, norm, overlap)


@dataclass(frozen=True, slots=True)
class Centroid:
    """Where a set lies in a pack's space: its centroid (float64 [d]) over ``n`` faces."""

    name: str
    vector: NDArray[np.float64]
    n: int


@dataclass(frozen=True, slots=True)
class FaceSet:
    """One numbered folder of faces. ``origin`` is ``made`` (ours) or ``adopted`` (existed before us)."""

    name: str  # faceset_NNN
    number: int
    origin: str
    pack: str
    person_name: str | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A label of ours bound to a user id of the server (or of a folder)."""

    label: str
    user_id: str
    name: str = ""

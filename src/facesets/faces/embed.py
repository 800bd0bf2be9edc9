"""Many photos to faces, several at a time. Reads the photos it is given; a bad one never ends the run.

Each worker thread takes one photo all the way: read, check, decode, detect, embed. DecoderPool and networks let go of Python's
lock, so the threads overlap; a network is called for one photo with one thread, so nothing depends on what runs beside it.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from facesets.errors import CorruptFile, FacesetsError, UnreadableImage
from facesets.exchange import QueueEntry
from facesets.faces.describe import PhotoFaces, faces_of
from facesets.faces.known_boxes import WANTED, Decoder, find_known
from facesets.models import Pack
from facesets.photos import WORKERS, Decoded, DecoderPool, decode, read
from facesets.records import Face, Reason

After = Callable[[Callable[[], Decoded], tuple[Face, ...]], None]
_AHEAD = 4  # photos begun for each worker beyond the one that is waited for; results are small, decoded photos are not kept


@dataclass(frozen=True, slots=True)
class EmbedResult:
    """What became of one photo. ``vectors`` is float32 [len(faces), d], unit length; ``entry.sha256`` is always filled in if read."""

    entry: QueueEntry
    reason: Reason  # EMBEDDED, EMBEDDED_NO_FACE, or why not
    faces: tuple[Face, ...] = ()
    vectors: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    detail: str | None = None
    size: tuple[int, int] | None = None  # of the oriented original, in pixels
    orientation: int | None = None  # as the file has it (EXIF)
    engine: str = "unknown"  # what ran the networks; vectors of one pack and another engine may be compared, but have other bytes


def read_image(path: Path, *, sha256: str = "", decoder: Decoder = decode) -> Decoded:
    """The photo at ``path``, decoded and oriented; ``decoder`` may be a :class:`DecoderPool`.

    Raises errors.UnreadableImage, OSError, and errors.CorruptFile where ``sha256`` is given and the bytes have another.
    """
    data = path.read_bytes()
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise CorruptFile(path, "is not the photo that was staged: its bytes have changed since")
    return decoder(data)


def find_faces(photo: Decoded, sha256: str, pack: Pack) -> PhotoFaces:
    """The faces of a decoded photo, whose bytes have the digest ``sha256``, and their unit vectors."""
    return faces_of(photo, sha256, pack)


def embed_photos(
    items: Iterable[QueueEntry],
    pack: Pack,
    *,
    root: Path | None = None,
    workers: int = 0,
    known_boxes: bool = True,
    wanted: float = WANTED,
    decoder: Decoder | None = None,
    after: After | None = None,
) -> Iterator[EmbedResult]:
    """Embed ``items`` with ``workers`` threads (0: one for each processor core, up to six); results come in the order of the items.

    With ``known_boxes`` the boxes of an entry are tried first, and a JPEG is decoded at half its size where faces with a
    short side of ``wanted`` original pixels or more keep enough of them. Without, every photo is searched whole.
    With ``root`` an entry's ``path`` is taken relative to it; without, its ``worker_path`` (or ``path``) is opened as it stands.
    Photos are decoded in processes of their own, or by ``decoder``, which threads share. ``after`` is called in the worker with what
    gives the photo at full size, and the faces found in it, while its pixels are at hand. Whatever is wrong with a photo is its
    result's reason and detail, never an exception; FacesetsError says what is wrong with all of them.
    """
    if decoder is None:
        with DecoderPool() as own:
            yield from embed_photos(
                items, pack, root=root, workers=workers, known_boxes=known_boxes, wanted=wanted, decoder=own, after=after
            )
        return
    workers = workers or min(os.cpu_count() or 1, WORKERS)
    waiting: deque[Future[EmbedResult]] = deque()
    source = iter(items)
    with _one_thread_for_opencv(), ThreadPoolExecutor(workers, thread_name_prefix="embed") as pool:
        try:
            while True:
                free = workers * _AHEAD - len(waiting)
                some = itertools.islice(source, max(free, 1))
                waiting.extend(pool.submit(_embed_one, entry, pack, root, known_boxes, wanted, decoder, after) for entry in some)
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _embed_one(
    entry: QueueEntry, pack: Pack, root: Path | None, known_boxes: bool, wanted: float, decoder: Decoder, after: After | None
) -> EmbedResult:
    path = root / entry.path if root else Path(entry.worker_path or entry.path)
    try:
        data = read(path)
    except UnreadableImage as error:
        return EmbedResult(entry, Reason(error.reason), detail=error.detail)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or str(error)
        if root and Path(entry.path).is_absolute():  # a photo in its owner's folder, where nothing of ours can mend it
            reason, detail = Reason.NO_ACCESS, f"cannot be read: {why.lower()}"
        else:
            reason, detail = Reason.EMBED_ERROR, f"{path} cannot be read here: {why}"
        return EmbedResult(entry, reason, detail=detail)
    sha256 = hashlib.sha256(data).hexdigest()
    if entry.sha256 and entry.sha256 != sha256:
        return EmbedResult(entry, Reason.EMBED_ERROR, detail=f"{path} is not the photo that was queued: its bytes have changed")
    entry = replace(entry, sha256=sha256)
    try:
        photo, found = find_known(data, sha256, pack, entry.boxes if known_boxes else (), entry.people, wanted=wanted, decoder=decoder)
        if after is not None and found.faces:
            after(lambda: photo if photo.scale == 1 else decoder(data), found.faces)
    except UnreadableImage as error:
        return EmbedResult(entry, Reason(error.reason), detail=error.detail)
    except FacesetsError:  # what is wrong with every photo: no model, no decoder, a full disk
        raise
    except Exception as error:  # noqa: BLE001 - an engine's failure is this photo's; it is retryable, and the run goes on
        return EmbedResult(entry, Reason.EMBED_ERROR, detail=f"{type(error).__name__}: {error}"[:500])
    reason = Reason.EMBEDDED if found.faces else Reason.EMBEDDED_NO_FACE
    return EmbedResult(
        entry, reason, found.faces, found.vectors, size=(photo.width, photo.height), orientation=photo.orientation, engine=pack.engine
    )


@contextmanager
def _one_thread_for_opencv() -> Iterator[None]:
    """OpenCV's own threads would fight over the cores that the workers keep busy."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)

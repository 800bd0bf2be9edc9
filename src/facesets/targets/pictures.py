"""Pixels for exports: originals (fetched again where they are not here), crops of sets, and cutting. Others' bytes are decoded in
processes of their own.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from PIL import Image

from facesets.errors import CorruptFile, MissingPermission, NotFound, UnreadableImage
from facesets.faces import choose_pack, read_image
from facesets.models import Detection, ImmichDb, Pack, VectorsOnly, load_pack, same_face
from facesets.photos import Decoded, DecoderPool, Header, Points, Regions, crops, decode
from facesets.progress import Progress
from facesets.records import Box
from facesets.registry import AssetRow, Registry, assets
from facesets.sources import Source, open_source
from facesets.targets.terms import Candidate, Pixels
from facesets.workspace import Workspace

_CHANGED = "its original has other bytes now, in which no run has found this face"


class NoPicture(Exception):
    """A face's picture cannot be had; the message says why."""


class NotHere(NoPicture):
    """It cannot be had now: the disk may be away. What was made of it before stays."""


class Pictures:
    """Use as a context manager: it ends the decoders, the connections and what was fetched."""

    def __init__(self, workspace: Workspace, registry: Registry, progress: Progress) -> None:
        self._workspace, self._registry, self._progress = workspace, registry, progress
        self._stack = ExitStack()
        self._sources: dict[str, Source] = {}
        self._last: tuple[str, Decoded] | None = None
        self._fetched: dict[str, Path] = {}

    def __enter__(self) -> Pictures:
        self._decoders = self._stack.enter_context(DecoderPool())
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    @cached_property
    def pack(self) -> Pack:
        """What sees faces here: the workspace's pack, else one of this machine. Raises PackUnavailable."""
        chosen = choose_pack(self._workspace, self._registry, None, self._progress)
        if isinstance(chosen, VectorsOnly | ImmichDb):
            chosen = load_pack("auto", engine=self._workspace.settings.embed.engine, note=self._progress.note)
        return chosen

    def decode(self, path: Path) -> Decoded:
        """A photo. Raises UnreadableImage, OSError."""
        return read_image(path, decoder=self._decoders)

    def header(self, path: Path) -> Header:
        """What a photo's header says. Raises NoPicture."""
        try:
            return self._decoders.header(path)
        except OSError as err:
            raise NotHere(f"its original cannot be read: {err}") from err

    def named_within(self, path: Path) -> Regions:
        """Whom a photo itself names, apart from sidecars. Raises NoPicture."""
        try:
            return self._decoders.regions_within(path)
        except OSError as err:
            raise NotHere(f"its original cannot be read: {err}") from err

    def original(self, candidate: Candidate) -> Decoded:
        """The photo that a face is in. Raises NoPicture, and Unreachable where its server is away."""
        sha256 = candidate.face.sha256
        if self._last is None or self._last[0] != sha256:
            path = self.original_file(candidate)
            try:
                self._last = (sha256, read_image(path, sha256="" if ":" in sha256 else sha256, decoder=self._decoders))
            except CorruptFile as err:
                raise NotHere(_CHANGED) from err
            except (UnreadableImage, OSError) as err:
                raise NotHere(f"its original cannot be read: {err}") from err
        return self._last[1]

    def original_file(self, candidate: Candidate) -> Path:
        """Where the photo lies, fetched where it is not here. Raises as :meth:`original`."""
        row = candidate.asset
        if row is None:
            if candidate.crop is None:
                raise NotHere("its original is gone")
            return candidate.crop  # an image of an adopted set
        if candidate.face.sha256 not in (row.sha256, row.source_key):  # its asset shows another picture now
            raise NotHere(_CHANGED)
        kept = self.kept(row)
        if kept.path is not None and (path := self._workspace.root / kept.path).is_file():
            return path
        if kept.source == "folder":
            raise NotHere(f"its original is gone ({kept.asset.original_path})")
        return self._fetch(kept, candidate.face.sha256)

    def kept(self, row: AssetRow) -> AssetRow:
        """The asset whose bytes are kept where an asset is a duplicate, else the asset itself."""
        return assets.get(self._registry, row.kept_id) if row.kept_id is not None else row

    def _fetch(self, row: AssetRow, sha256: str) -> Path:
        if sha256 in self._fetched:
            return self._fetched[sha256]
        if not self._fetched:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="facesets-")))
        if row.label not in self._sources:
            opened = open_source(self._workspace, self._registry, row.label, None, self._progress)
            self._sources[row.label] = self._stack.enter_context(opened)
        target = self._folder / str(len(self._fetched))
        try:
            fetched = self._sources[row.label].fetch(row.asset, target, row.pixels)
        except (NotFound, MissingPermission) as err:
            raise NotHere(f"its original cannot be fetched: {err}") from err
        if ":" not in sha256 and fetched.sha256 != sha256:
            raise NotHere(_CHANGED)
        self._fetched[sha256] = fetched.path
        return fetched.path

    def set_crop(self, candidate: Candidate) -> Pixels:
        """The face as its set has it. Raises NoPicture."""
        if candidate.crop is None:
            raise NoPicture("its file is still to come into the set's folder: facesets write")
        try:
            return self.decode(candidate.crop).rgb
        except (UnreadableImage, OSError) as err:
            raise NoPicture(f"its file in the set cannot be read: {err}") from err

    def aligned(self, candidate: Candidate, size: int) -> Pixels:
        """The face upright with room around it, uint8 [size, size, 3]. Raises NoPicture."""
        if candidate.asset is not None and candidate.crop is not None:  # else it is still to come into the set's folder
            crop = self.set_crop(candidate)
            if crop.shape[:2] == (size, size):
                return crop
        if not candidate.face.landmarks:
            raise NoPicture("nobody has seen its landmarks")
        return crops.crop(self.original(candidate).rgb, candidate.face.landmarks, size, self._workspace.settings.export.margin)

    def landmarks_in_aligned(self, size: int) -> Points:
        """Where the landmarks lie in what :meth:`aligned` gives: float64 [5, 2]."""
        return crops.template(size, self._workspace.settings.export.margin)

    def detect(self, rgb: Pixels) -> list[Detection]:
        """The faces in a picture, best first. Raises PackUnavailable."""
        return self.pack.detect(rgb)


def only_face(pictures: Pictures, rgb: Pixels, *, least_share: float = 0.0) -> Detection:
    """The one face of a picture. Raises NoPicture where there is none, or a second one.

    ``least_share``: faces with less of the largest one's area than this do not count.
    """
    found = pictures.detect(rgb)
    if not found:
        raise NoPicture("no face is found in its crop")
    largest = max(map(_area, found))
    seen = [face for face in found if _area(face) >= least_share * largest]
    if len(seen) > 1:
        raise NoPicture("somebody else is in its crop")
    return seen[0]


def _area(face: Detection) -> float:
    x1, y1, x2, y2 = face.box
    return (x2 - x1) * (y2 - y1)


def around(rgb: Pixels, box: Box, room: float) -> tuple[Pixels, Box]:
    """The part of a photo around ``box``, with ``room`` times its sides on each side as far as the photo goes; and the box in it."""
    height, width = rgb.shape[:2]
    x1, y1, x2, y2 = box
    across, down = room * (x2 - x1), room * (y2 - y1)
    left, top = max(round(x1 - across), 0), max(round(y1 - down), 0)
    right, bottom = min(round(x2 + across), width), min(round(y2 + down), height)
    if right - left < 2 or bottom - top < 2:
        raise NoPicture("its box lies outside of its photo")
    return np.ascontiguousarray(rgb[top:bottom, left:right]), (x1 - left, y1 - top, x2 - left, y2 - top)


def shrunk(rgb: Pixels, longest: int) -> Pixels:
    """``rgb`` with its long side at most ``longest``; never enlarged."""
    scale = longest / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def is_largest(found: Sequence[Detection], box: Box) -> bool:
    """Whether the face at ``box`` is the largest of those found."""
    return bool(found) and same_face(max(found, key=_area).box, box)


def jpeg(rgb: Pixels) -> bytes:
    """``rgb`` as JPEG of quality 95, colours unshared: the same pixels give the same bytes."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue()


def as_sent(data: bytes) -> Pixels:
    """What a service sees of :func:`jpeg`: a face that is only just found in the pixels may not be found in these."""
    return decode(data).rgb


def is_grey(rgb: Pixels) -> bool:
    """Whether a picture has no colour: infrared, or black and white."""
    spread = rgb.max(axis=2).astype(np.int16) - rgb.min(axis=2)
    return float(np.percentile(spread, 95)) < 12

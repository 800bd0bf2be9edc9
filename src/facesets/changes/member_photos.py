"""Bytes for planned sets: originals of members that are not here (any more) are fetched, no others.

Where faces were measured before any byte came, each is decoded at once: a detector of this machine sees the landmarks around the known
box, and without one they are taken where a face of that box has them. The plan stays fixed. What the server fails on waits for the next
run; a photo that was deleted or changed since, or of which no picture can be read, is lost: its face leaves the set before that is
written, and this is said.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from facesets.changes.archive import Archive
from facesets.changes.interrupted import is_in_place
from facesets.changes.record import ACT, let_go
from facesets.errors import CorruptFile, PackUnavailable, UnreadableImage
from facesets.faces import GUESSED, crop_file, crop_keeper, landmarks_at, queue_staged, read_image, remove_originals
from facesets.models import Pack, load_pack
from facesets.photos import DecoderPool
from facesets.progress import Progress
from facesets.reason_texts import SENTENCES
from facesets.records import Face, FaceSet, Reason, State
from facesets.registry import AssetRow, Registry, assets, changes, faces, measurements, originals, preembedded, runs, sets
from facesets.sources import folder_of, open_source
from facesets.staging import count_failures, download_only, want_rendition
from facesets.wording import count_of, plural
from facesets.workspace import Workspace

_PICTURES = ("original", "fullsize", "preview")  # a round each: what no decoder takes is asked for as the next best picture
_BATCH = 16  # photos a transaction


@dataclass(slots=True)
class FetchedMembers:
    """What it came to. ``lost`` counts faces that left their sets, ``dropped`` names sets of which too little was left."""

    requests: int = 0
    downloads: int = 0
    bytes_downloaded: int = 0
    renditions: int = 0
    placed: int = 0  # faces of fetched photos
    guessed: int = 0  # members of sets around whose box no detector saw a face
    lost: int = 0
    dropped: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For the summary."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Picture:
    """Where a face's picture comes from: the asset that it stands for, and the one whose bytes are kept for it."""

    row: AssetRow
    bytes: AssetRow

    @classmethod
    def of(cls, registry: Registry, content: str) -> Picture | None:
        """None where no asset has this content any more."""
        row = preembedded.photo(registry, content)
        return None if row is None else cls(row, row if row.kept_id is None else assets.get(registry, row.kept_id))

    def is_here(self, workspace: Workspace) -> bool:
        """Whether the picture can be read."""
        kept = self.bytes
        return (
            preembedded.is_here(kept) and kept.sha256 is not None and kept.path is not None and (workspace.root / kept.path).is_file()
        )

    def serves(self, workspace: Workspace, face: Face) -> bool:
        """Whether the face can be written as it stands."""
        if self.bytes.sha256 is not None and crop_file(workspace, face.face_id).is_file():
            return True
        return bool(face.landmarks) and self.is_here(workspace)


@dataclass(slots=True)
class _Wanted:
    pack: str
    content: str
    source: Picture | None
    members: list[Face]


def fetch_members(
    workspace: Workspace, registry: Registry, progress: Progress, decoders: DecoderPool, *, accept_missing: bool = False
) -> FetchedMembers:
    """Fetch and place what planned sets lack; what is lost, or with ``accept_missing`` failed, leaves them. Raises as staging does."""
    brought, finder = FetchedMembers(), _Finder(workspace)
    for _ in _PICTURES:
        pictures = [w.source for w in _lacking(workspace, registry) if w.source is not None]
        away = [p for p in pictures if preembedded.may_be_had(p.row.reason) and not p.is_here(workspace)]
        _fetch(workspace, registry, away, progress, brought)
        _settle_known(registry, away)
        here = [w for w in _lacking(workspace, registry) if w.source is not None and w.source.is_here(workspace)]
        if not _look(workspace, registry, here, finder, decoders, progress, brought):
            break
    if brought.guessed:
        progress.note(
            f"{count_of(brought.guessed, 'face')} {plural(brought.guessed, 'is')} cut where a face in such a box has its landmarks: no "
            f"detector found them (signal {GUESSED})."
        )
    if brought.requests:
        count_failures(registry, [user.label for user in assets.users(registry)], (Reason.DOWNLOAD_ERROR,), progress)
    _give_up(workspace, registry, progress, brought, accept_missing=accept_missing)
    return brought


def _settle_known(registry: Registry, fetched: Sequence[Picture]) -> None:
    """Photos that a model has been through are so again, now that their bytes are back."""
    with registry.transaction():
        for picture in fetched:
            row = assets.get(registry, picture.row.id)
            if row.reason is Reason.STAGED and row.sha256 and (through := measurements.embedded_reason(registry, row.sha256, None)):
                originals.settle_bytes(registry, row.sha256, through)


def _planned(workspace: Workspace, registry: Registry) -> Iterator[FaceSet]:
    """Sets whose folder is still to be made, and those whose folder is to follow what was decided."""
    planned = [faceset for faceset in sets.select(registry, written=False) if not is_in_place(workspace, registry, faceset)]
    return iter([*planned, *sets.wanting(registry)])


def _lacking(workspace: Workspace, registry: Registry, faceset: FaceSet | None = None) -> list[_Wanted]:
    """The photos whose faces a planned set (None: any) cannot be written without, in the order of their content."""
    wanted: dict[tuple[str, str], _Wanted] = {}
    archive, acts = Archive(workspace, registry), [act.payload for act in changes.planned(registry, ACT)]
    for planned in [faceset] if faceset else list(_planned(workspace, registry)):
        decided = any(planned.name in act["sets"] for act in acts)
        comes = changes.decided_files(acts, planned.name, {})
        for face_id, _, file in sets.member_files(registry, planned.name):
            if file is not None and (file not in comes or (workspace.facesets / planned.name / file).exists()):
                continue  # its crop is written, or was: then its owner says what of that is right
            row = faces.find(registry, face_id)
            assert row is not None, face_id
            key = (planned.pack, row.face.sha256)
            source = wanted[key].source if key in wanted else Picture.of(registry, row.face.sha256)
            if source is not None and source.serves(workspace, row.face):
                continue
            # a revision takes a crop from the folder of another set, or from the history
            if not (decided and (archive.face(face_id) or (file and archive.file(comes[file])))):
                wanted.setdefault(key, _Wanted(*key, source, [])).members.append(row.face)
    return [wanted[key] for key in sorted(wanted)]


def _fetch(workspace: Workspace, registry: Registry, away: Sequence[Picture], progress: Progress, brought: FetchedMembers) -> None:
    rows = {picture.row.id: picture.row for picture in away}
    with registry.transaction():
        for row_id in rows:
            preembedded.ask_for(registry, row_id)
    for label in sorted({row.label for row in rows.values()}):
        with open_source(workspace, registry, label, folder_of(registry, label), progress) as source:
            ids = [i for i in assets.ids_in_order(registry, label, source.name, (Reason.LISTED,)) if i in rows]
            try:
                done = download_only(workspace, registry, source, ids, known_sha256={}, progress=progress)
            finally:
                brought.requests += source.work.requests
                brought.downloads += source.work.downloads
            brought.bytes_downloaded += done.bytes_downloaded
            brought.renditions += done.renditions
        queue_staged(workspace, registry, label)  # another pack may want them one day


class _Finder:
    """A detector of this machine, loaded when first asked for."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._asked = workspace, False
        self._pack: Pack | None = None

    def __call__(self) -> Pack | None:
        if not self._asked:
            self._asked = True
            try:
                self._pack = load_pack("auto", engine=self._workspace.settings.embed.engine)
            except PackUnavailable:
                self._pack = None
        return self._pack


def _look(
    workspace: Workspace,
    registry: Registry,
    wanted: Sequence[_Wanted],
    finder: _Finder,
    decoders: DecoderPool,
    progress: Progress,
    brought: FetchedMembers,
) -> bool:
    """Decode each photo and place its faces; whether another picture of one is to be had, since no decoder took this one."""
    if not wanted:
        return False
    save_crops, pack, again = crop_keeper(workspace), finder(), False
    jobs = [(w, _faces_of(registry, w)) for w in wanted]
    with (
        progress.task("placing faces of sets", len(jobs), "photos") as task,
        ThreadPoolExecutor(workspace.settings.embed.workers or os.cpu_count() or 1, thread_name_prefix="placing") as pool,
    ):
        for start in range(0, len(jobs), _BATCH):
            part = jobs[start : start + _BATCH]
            seen, done = (
                list(pool.map(partial(_see, workspace, pack, decoders, save_crops), *zip(*part, strict=True))),
                list[str | None](),
            )
            with registry.transaction():
                for (w, _), result in zip(part, seen, strict=True):
                    assert w.source is not None
                    if isinstance(result, UnreadableImage):
                        again |= _unreadable(registry, w, result)
                        continue
                    if isinstance(result, CorruptFile | OSError):
                        originals.ask_for_bytes(registry, w.source.bytes.id)
                        again = True
                        continue
                    for face in result:
                        preembedded.set_landmarks(registry, face)
                    brought.placed += len(result)
                    members = {face.face_id for face in w.members}
                    brought.guessed += sum(GUESSED in face.signals and face.face_id in members for face in result)
                    assets.settle(registry, w.source.bytes.id, Reason.EMBEDDED)
                    done.append(w.source.bytes.path)
            remove_originals(workspace, done)
            task.advance(len(part))
    return again


def _faces_of(registry: Registry, wanted: _Wanted) -> tuple[Face, ...]:
    """All faces of a photo that have a place, members of sets or not."""
    rows = faces.select(registry, pack=wanted.pack, sha256=wanted.content)
    return tuple(row.face for row in rows if row.reason is not Reason.UNMEASURED)


def _see(
    workspace: Workspace, pack: Pack | None, decoders: DecoderPool, save_crops: Any, wanted: _Wanted, found: tuple[Face, ...]
) -> tuple[Face, ...] | UnreadableImage | CorruptFile | OSError:
    """In a worker: the faces with landmarks in the picture that is here, crops of the members cut where originals are not kept."""
    assert wanted.source is not None
    kept, asset = wanted.source.bytes, wanted.source.row.asset
    assert kept.path is not None
    try:
        photo = read_image(workspace.root / kept.path, sha256=kept.sha256 or "", decoder=decoders)
    except (UnreadableImage, CorruptFile, OSError) as err:
        return err
    across, down = photo.width / (asset.width or photo.width), photo.height / (asset.height or photo.height)
    boxes = [(x1 * across, y1 * down, x2 * across, y2 * down) for x1, y1, x2, y2 in (face.box for face in found)]
    placed = []
    for face, (landmarks, guessed) in zip(found, landmarks_at(photo.rgb, boxes, pack), strict=True):
        placed.append(replace(face, landmarks=landmarks, signals={GUESSED: 1.0} if guessed else {}))
    if save_crops is not None:
        members = {face.face_id for face in wanted.members}
        save_crops(lambda: photo, tuple(face for face in placed if face.face_id in members))
    return tuple(placed)


def _unreadable(registry: Registry, wanted: _Wanted, err: UnreadableImage) -> bool:
    """No decoder takes the picture that is here; whether the server is to be asked for another."""
    assert wanted.source is not None
    kept = wanted.source.bytes
    assert kept.sha256 is not None
    measurements.add_embedded(registry, kept.sha256, wanted.pack, Reason(err.reason), detail=err.detail)
    assets.settle(registry, kept.id, Reason(err.reason), err.detail)
    return want_rendition(registry, kept)


def _give_up(workspace: Workspace, registry: Registry, progress: Progress, brought: FetchedMembers, *, accept_missing: bool) -> None:
    """Faces whose photos cannot be had leave their sets; a set of which too little is left is none, and its number stays used."""
    gates = workspace.settings.gates
    written = {faceset.name for faceset in sets.wanting(registry)}
    whole = all((workspace.facesets / each.name).is_dir() for each in sets.select(registry, written=True))
    for faceset in list(_planned(workspace, registry)):
        if faceset.name in written and not whole:
            continue  # the crop of a face that comes may lie in a folder that is not there now
        lost = [(w, why) for w in _lacking(workspace, registry, faceset) if (why := _lost(w, accept_missing=accept_missing))]
        if not lost:
            continue
        with registry.transaction():
            for w, why in lost:
                if w.source is not None and w.source.row.state is State.RETRY:
                    assets.settle(registry, w.source.row.id, Reason.NOT_AVAILABLE, f"left out as --accept-missing says: {why}")
                gone_keys = {face.face_id for face in w.members}
                files = [file for key, _, file in sets.member_files(registry, faceset.name) if key in gone_keys and file]
                let_go(registry, faceset.name, files)
                preembedded.leave_out(registry, faceset.name, sorted(gone_keys), why)
                preembedded.lose(registry, w.content, w.pack, faceset.name, why)
            left = [row.face for _, face_id, _ in sets.members(registry, faceset.name) if (row := faces.find(registry, face_id))]
            enough = len(left) >= max(gates.min_faces, 1) and len({face.sha256 for face in left}) >= gates.min_photos
            enough |= faceset.name in written  # what is there stays there
            gone = sum(len(w.members) for w, _ in lost)
            if not enough:
                sets.drop_planned(registry, faceset.name)
                brought.dropped.append(faceset.name)
            runs.note(registry, None, "photos lost", name=faceset.name, faces=gone, written=enough)
        brought.lost += gone
        reasons = ", ".join(f"{n} x {why}" for why, n in sorted(Counter(why for _, why in lost).items()))
        what = "is written without them" if enough else "has too few faces without them and is not made; its number stays unused"
        photos = "the photo of 1 of its faces is" if gone == 1 else f"the photos of {gone:,} of its faces are"
        progress.note(f"{faceset.name}: {photos} no longer available ({reasons}). The set {what}.")


def _lost(wanted: _Wanted, *, accept_missing: bool) -> str:
    """Why a photo is not to be had any more; empty where it may be."""
    if wanted.source is None:
        return "it has other bytes now, or its source has it no longer"
    row = wanted.source.row
    for needed in (row, wanted.source.bytes):
        if not preembedded.may_be_had(needed.reason):
            return f"{needed.reason}: {needed.detail or SENTENCES[needed.reason]}"
    return f"{row.reason}: {row.detail}" if row.state is State.RETRY and accept_missing else ""

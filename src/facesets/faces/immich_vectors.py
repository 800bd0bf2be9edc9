"""What Immich has measured comes into the registry: faces, their places and people, and their vectors, before any byte of a photo.

A photo without bytes is known by its content: by its SHA-1 where it was uploaded, by owner, asset and size where it lies in an external
library. Copies of one upload are so one photo; copies elsewhere are one exposure to the gates. What was taken in is not asked again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from facesets.faces.describe import face_id
from facesets.faces.new_boxes import placed, united
from facesets.models import Pack, from_database, same_face
from facesets.progress import Progress
from facesets.records import Asset, Box, Face, FaceBox, Reason
from facesets.registry import AssetRow, FaceRow, Found, Registry, assets, copies, faces, measurements, preembedded
from facesets.sources import Vectors, open_vectors
from facesets.workspace import Workspace

Vector = npt.NDArray[np.float32]
_BATCH = 1000  # photos a transaction and a question
_NONE = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class _SourceFace:
    """A face as the source told it; ``lacks``: why it cannot be used, empty where it can."""

    face: Face
    vector: Vector
    lacks: str = ""

    source_face_id: str | None = None
    source_person_id: str | None = None

    @property
    def row(self) -> Found:
        """As the registry wants it."""
        return Found(self.face, _NONE if self.lacks else self.vector, self.lacks, self.source_face_id, self.source_person_id)


def import_immich_vectors(
    workspace: Workspace, registry: Registry, labels: Sequence[str], pack: Pack, progress: Progress
) -> dict[str, Any]:
    """Take in what Immich's database, or a dump of it, knows of these users' photos that wait or have other faces now.

    Returns counters.

    Raises Unreachable, MissingGrant, UsageError (another Immich's database or dump), BadAnswer.
    """
    started = time.perf_counter()
    done = dict.fromkeys(("queue", "new_faces", "new_noface", "load_errors", "not_measured"), 0)
    users = [user for user in assets.users(registry) if not labels or user.label in labels]
    with open_vectors(workspace, registry, progress) as source:
        for user in users:
            ids = preembedded.to_measure(registry, user.label, pack.id)
            if not ids:
                continue
            source.check_owner(user)
            with progress.task("reading Immich's vectors", len(ids), "photos") as task:
                for start in range(0, len(ids), _BATCH):
                    batch = [assets.get(registry, row_id) for row_id in ids[start : start + _BATCH]]
                    _take(registry, source, batch, pack, done)
                    task.advance(len(batch))
        if lacking := done["not_measured"]:
            where, again = (f"the dump of {source.as_of}", "a newer one") if source.as_of else ("Immich's database", "it")
            have = "face has" if lacking == 1 else "faces have"
            why = "drawn by hand, say, on a partner's photo" if source.as_of else "drawn by hand, say"
            progress.note(
                f"{lacking:,} {have} no vector that can be used in {where}: {why}, or not yet measured there. The next "
                f"run asks {again} again (facesets list faces --reason not_measured)."
            )
    with registry.transaction():
        for known in {pack.id, *filter(from_database, measurements.packs(registry))}:
            preembedded.forget(registry, known)
    seconds = time.perf_counter() - started
    return {**done, "seconds": round(seconds, 3), "images_per_second": round(done["queue"] / seconds, 3) if done["queue"] else 0.0}


def _take(registry: Registry, source: Vectors, rows: Sequence[AssetRow], pack: Pack, done: dict[str, int]) -> None:
    """Ask for the vectors of those whose faces are others than were taken in, and settle all, in one transaction."""
    keys = {row.id: row.source_key or content_of(row.asset) for row in rows}
    with_copies = copies.boxes(registry, [row.id for row in rows])
    told = {row.id: {row.id: row.asset.boxes or (), **with_copies.get(row.id, {})} for row in rows}  # by asset
    digests = {row.id: _digest(row.asset, told[row.id].values()) for row in rows}
    fresh = {row.id for row in rows if preembedded.source_digest(registry, keys[row.id], pack.id) != digests[row.id]}
    face_ids = [box.face_id for row_id in fresh for boxes in told[row_id].values() for box in boxes if box.face_id]
    found = source.of(face_ids) if face_ids else {}
    with registry.transaction():
        for row in rows:
            key, each = keys[row.id], told[row.id]
            twin = None if preembedded.is_here(row) else preembedded.twin_of(registry, row.id, key)
            # not where a copy has just been taken in
            if row.id in fresh and preembedded.source_digest(registry, key, pack.id) != digests[row.id]:
                first = twin or row
                boxes = _of_all(first.asset, [each.pop(first.id, ()), *each.values()])
                reported = _faces(first.asset, boxes, key, pack, found)
                complete = all(one.lacks in ("", _PLACE) for one in reported)  # a vector may come later
                _put(registry, key, pack.id, reported, done)
                preembedded.set_source_digest(registry, key, pack.id, digests[row.id] if complete else None)
            preembedded.settle_measured(registry, row, key, twin)


def content_of(asset: Asset) -> str:
    """What stands for the bytes of an asset that have not come."""
    if asset.sha1 and asset.library_id is None:
        return f"sha1:{asset.sha1}"
    known = json.dumps([asset.owner_id, asset.asset_id, asset.size_bytes])
    return f"asset:{hashlib.sha256(known.encode()).hexdigest()}"


def _digest(asset: Asset, each: Iterable[Sequence[FaceBox]]) -> str:
    """Of what the source tells of the faces of a photo and of its copies; names of people do not count."""
    said = [[b.face_id, b.x1, b.y1, b.x2, b.y2, b.image_width, b.image_height] for boxes in each for b in boxes]
    return hashlib.sha256(json.dumps([asset.width, asset.height, sorted(said)]).encode()).hexdigest()[:32]


_PLACE = "a place in the photo"


def _of_all(asset: Asset, each: Sequence[Sequence[FaceBox]]) -> Sequence[FaceBox]:
    """The boxes of an asset, which come first, and of its copies those that lie elsewhere."""
    own, *others = each
    if not others or not asset.width or not asset.height:
        return own
    size = asset.width, asset.height
    everything = united([placed(boxes, size) for boxes in each])
    return [*own, *(box for box, _ in everything[len(placed(own, size)) :])]


def _faces(asset: Asset, boxes: Iterable[FaceBox], content: str, pack: Pack, found: Mapping[str, Vector]) -> list[_SourceFace]:
    """The faces of a photo by box, each place once, the measured one first."""
    made = [_face(box, asset, content, pack, found.get(box.face_id)) for box in boxes]
    each: dict[str, _SourceFace] = {}
    for one in sorted(made, key=lambda one: (bool(one.lacks), one.face.box)):
        each.setdefault(one.face.face_id, one)
    return sorted(each.values(), key=lambda one: one.face.box)


def _face(source_box: FaceBox, asset: Asset, content: str, pack: Pack, raw: Vector | None) -> _SourceFace:
    box = _placed(source_box, asset)
    unit, lacks = _unit(raw, pack.dim)
    if box is None:
        box, unit, lacks = (source_box.x1, source_box.y1, source_box.x2, source_box.y2), _NONE, _PLACE
    short = round(max(0.0, min(box[2] - box[0], box[3] - box[1])), 2)
    face = Face(face_id(content, pack.id, box), content, 0, box, (), None, short, None, pack.id)
    return _SourceFace(face, unit, lacks, source_box.face_id or None, source_box.person_id)


def _placed(source_box: FaceBox, asset: Asset) -> Box | None:
    """The box in oriented pixels of the original, where it can be known."""
    if not asset.width or not asset.height:
        return None
    box = source_box.scaled_to(asset.width, asset.height)
    if box is None or box[2] - box[0] < 1 or box[3] - box[1] < 1:
        return None
    x1, y1, x2, y2 = (round(side, 2) for side in box)
    return x1, y1, x2, y2


def _unit(raw: Vector | None, dim: int) -> tuple[Vector, str]:
    """A vector brought to unit length, since Immich keeps it as its version pleases; or what it lacks."""
    if raw is None:
        return _NONE, "a vector"
    if len(raw) != dim:
        return _NONE, f"a vector of {dim} numbers (it has {len(raw)})"
    if not np.isfinite(raw).all():
        return _NONE, "a vector of finite numbers"
    wide = raw.astype(np.float64)
    length = float(np.sqrt(np.add.reduce(wide * wide)))
    return (_NONE, "a vector that is not zero") if length == 0 else ((wide / length).astype(np.float32), "")


def _put(registry: Registry, content: str, pack: str, new: Sequence[_SourceFace], done: dict[str, int]) -> None:
    """Bring the registry up to what is told now. Faces that are in a set stay, whatever became of them since."""
    before = {row.face.face_id: row for row in faces.select(registry, pack=pack, sha256=content)}
    fixed = preembedded.members(registry, content, pack) if before else set[str]()
    same = {one.face.face_id for one in new if _unchanged(before.get(one.face.face_id), one)}
    gone = before.keys() - fixed - same
    measurements.drop(registry, sorted(gone))
    left = [before[name].face for name in before.keys() - gone]
    follow = 1 + max((face.index for face in left), default=-1)
    again = _seen_again(new, [before[name].face for name in sorted(fixed)])
    added = [one for one in new if one.face.face_id not in same | fixed | again]
    measurements.add(registry, (replace(one, face=replace(one.face, index=follow + n)).row for n, one in enumerate(added)))
    done["queue"] += bool(added or gone)
    done["new_faces"] += sum(not one.lacks for one in added)
    done["not_measured"] += sum(bool(one.lacks) for one in added)


def _seen_again(new: Sequence[_SourceFace], in_sets: Sequence[Face]) -> set[str]:
    """Which of the faces told now are those in sets, found anew with a box a little elsewhere; each stands for one of them."""
    reported_ids, again = {one.face.face_id for one in new}, set[str]()
    for face in in_sets:
        candidates = [one.face for one in new if one.face.face_id not in again and same_face(one.face.box, face.box)]
        if candidates and face.face_id not in reported_ids:
            again.add(min(candidates, key=lambda each: sum(abs(a - b) for a, b in zip(each.box, face.box, strict=True))).face_id)
    return again


def _unchanged(before: FaceRow | None, now: _SourceFace) -> bool:
    if before is None or before.reason is Reason.PHOTO_LOST or (before.reason is Reason.UNMEASURED) != bool(now.lacks):
        return False
    return bool(now.lacks) or np.array_equal(before.vector, now.vector)

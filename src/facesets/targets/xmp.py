"""Names and boxes in XMP sidecars, for digiKam, PhotoPrism and Immich. Originals are never touched; what a sidecar says already stays.

Sidecars stand beside the originals of a folder, or in a tree of the same shape below ``--out``. A record says which faces are ours, so
that the next export changes, and ``--remove`` takes out, those alone.
"""

from __future__ import annotations

import stat
from collections import defaultdict
from collections.abc import Set
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from facesets.errors import UsageError
from facesets.files import disk_error, replace_file
from facesets.photos import Header, upright_regions
from facesets.records import Box
from facesets.registry import AssetRow, originals, photos
from facesets.sources import folder_of
from facesets.targets.job import Job, Outcome
from facesets.targets.pictures import NoPicture, NotHere
from facesets.targets.record import RECORD, key_of, own_of, read_record, write_part
from facesets.targets.terms import Candidate
from facesets.targets.tree import drop_empty, drop_unfinished
from facesets.targets.xmp_document import NotXmp, Region, Sidecar
from facesets.wording import folded

_SAME = 0.3  # intersection over union of two boxes that are one face: other programs draw whole heads
BESIDE = "exports/xmp.json"  # below the workspace: the record of sidecars beside originals
Faces = dict[str, dict[str, Any]]  # of a sidecar: face id -> region, and the tag where we added it


class _Wanted(NamedTuple):
    """A face for a sidecar, in a photo stored as ``width x height``; whether the photo itself names others."""

    region: Region
    width: int
    height: int
    names_others: bool


def sidecars(job: Job) -> None:
    """Bring a person's faces into the sidecars of their photos."""
    path = job.out / RECORD if job.out else job.workspace.root / BESIDE
    key = key_of(job.registry, job.person.number)
    record = read_record(path, "xmp", own_of(key), anywhere=job.out is None)
    mine: dict[str, dict[str, Any]] = record["sets"].get(key, {}).get("files", {})
    made_here = {file for part in record["sets"].values() for file, entry in part["files"].items() if entry.get("made")}
    wanted: dict[str, dict[str, _Wanted]] = defaultdict(dict)
    if not job.options.get("remove"):
        taken: set[str] = set()
        for candidate in job.candidates:
            if len(taken) >= job.count:
                break
            try:
                files, face = _region(job, candidate)
            except NoPicture as err:
                job.leave_out(candidate, err)
                continue
            taken.add(candidate.face.face_id)
            for sidecar in (sidecar for file in files for sidecar in _sidecars(job, file, made_here)):
                wanted[sidecar][candidate.face.face_id] = face
        job.leave_out_the_rest(taken)
        if not job.out and job.candidates and not wanted and not mine:
            raise UsageError(
                "these photos do not lie on this machine (they are Immich's): --out DIR makes a tree of sidecars to copy. Bring those "
                "that the library has into DIR first, and it adds to them: docs/how-to/digikam.md"
            )

    def merged(job: Job) -> dict[str, dict[str, Any]]:
        made = {}
        for sidecar in sorted({*wanted, *mine}):
            entry = _merge(job, sidecar, mine.get(sidecar, {}), wanted.get(sidecar, {}), made_here=sidecar in made_here)
            if entry["faces"]:
                made[sidecar] = entry
        return made

    if not job.dry_run:  # all of it is known to be ours before the first is written, whenever this is killed
        unheard = Outcome(job.outcome.set_name, job.outcome.number, job.outcome.name, job.outcome.place)
        planned = merged(replace(job, dry_run=True, outcome=unheard))
        if planned != mine:
            _save(path, key, job, _either(mine, planned))
    made = merged(job)
    if not job.dry_run:
        _save(path, key, job, made)


def _either(mine: dict[str, dict[str, Any]], planned: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What is ours while sidecars are written: what was, and what will be; ``was`` beside a face that will be otherwise."""
    both = {}
    for sidecar in {*mine, *planned}:
        before, after = mine.get(sidecar, {}).get("faces", {}), planned.get(sidecar, {}).get("faces", {})
        other = {face: {**after[face], "was": before[face]} for face in after if face in before and before[face] != after[face]}
        both[sidecar] = {**mine.get(sidecar, {}), **planned.get(sidecar, {}), "faces": before | after | other}
    return both


def _as_it_is(document: Sidecar, recorded: dict[str, Any]) -> dict[str, Any]:
    """A face of ours as a kill left it: as it was, where the sidecar does not have it otherwise yet."""
    if "was" in recorded and not document.has(Region(**recorded["region"])):
        return _as_it_is(document, recorded["was"])
    return {name: value for name, value in recorded.items() if name != "was"}


def _save(path: Path, key: str, job: Job, files: dict[str, Any]) -> None:
    part = {"set": job.person.set_name, "revision": job.person.revision, "pack": job.person.pack, "files": files}
    write_part(path, "xmp", key, part if files else None, anywhere=job.out is None)


def _merge(job: Job, sidecar: str, before: dict[str, Any], wanted: dict[str, _Wanted], *, made_here: bool) -> dict[str, Any]:
    """Bring one sidecar up to date; returns what of it is ours now."""
    file = Path(sidecar) if job.out is None else job.out / sidecar
    ours: Faces = before.get("faces", {})
    tag = f"People/{job.called.replace('/', '_')}"  # digiKam's tags are paths
    if file.is_symlink() or (job.out is not None and not file.parent.resolve().is_relative_to(job.out.resolve())):
        job.outcome.notes.append(f"{file} was left alone: a link leads to somewhere else")
        return {"made": made_here, "faces": ours}
    try:
        data = file.read_bytes() if file.is_file() else None
        document = Sidecar(data)
    except OSError as err:
        raise disk_error(err, file) from err
    except NotXmp as err:
        job.outcome.notes.append(f"{file} was left alone: it {err}")
        return {"made": made_here, "faces": ours}
    made = made_here or data is None
    ours = {face: _as_it_is(document, recorded) for face, recorded in ours.items()}
    regions = {face: Region(**recorded["region"]) for face, recorded in ours.items()}
    kept: Faces = {}
    kept |= {face: ours[face] for face in ours if face not in wanted and face in job.away}
    job.outcome.kept += len(kept)
    gone = [face for face, region in regions.items() if face not in kept and (face not in wanted or wanted[face].region != region)]
    for face in gone:
        document.remove(regions[face], ours[face].get("tag"))
        if face not in wanted:
            job.outcome.withdrawn += 1
    for face, one in wanted.items():
        region = one.region
        if face in ours and face not in gone and document.has(region):
            kept[face] = ours[face]
            job.outcome.kept += 1
            continue
        if why := _hindrance(document, one):
            job.outcome.left_out[face] = why
            continue
        document.add(region, one.width, one.height)
        added = None if document.has_tag(tag) else tag
        if added:
            document.add_tag(added)
        kept[face] = {"region": asdict(region), **({"tag": added} if added else {})}
        job.outcome.new += 1
    if not job.dry_run:
        _write(file, data, document, made=made, root=job.out)
    return {"made": made, "faces": kept}


def _hindrance(document: Sidecar, wanted: _Wanted) -> str | None:
    """Why a face cannot be put into this sidecar."""
    size, aspect = document.dimensions(), wanted.width / wanted.height
    if size is not None and not (0 < size[1] < float("inf") and abs(size[0] / size[1] - aspect) <= 0.02 * aspect):
        return "its sidecar's faces are for another size or rotation of the photo"
    if wanted.names_others and not document.named():
        return "its photo itself names people, whom Immich and digiKam would not see beside a sidecar's faces"
    whoms = (_whom(other, wanted.region) for other in document.named())
    return next((f"its sidecar names {who} there already" for who in whoms if who), None)


def _whom(other: Region, region: Region) -> str:
    """Whom a face that is named already shows, where it is this one; empty where it is another."""
    if folded(other.name) == folded(region.name):
        return "this person" if other.overlap(region) > 0 else ""
    return other.name if other.overlap(region) >= _SAME else ""


def _write(file: Path, before: bytes | None, document: Sidecar, *, made: bool, root: Path | None) -> None:
    try:
        drop_unfinished(file.parent, [file.name])
        if made and document.is_empty():
            file.unlink(missing_ok=True)
            if root is not None:
                drop_empty(root, file.parent)
        elif before is None:
            if not document.is_empty():  # beside photos it is for whoever reads these
                replace_file(file, document.bytes(), mode=0o600 if root else stat.S_IMODE(file.parent.stat().st_mode) & 0o666)
        elif Sidecar(before).bytes() != document.bytes():  # what would only be written in another way stays
            replace_file(file, document.bytes(), keep_mode=True)
    except OSError as err:
        raise disk_error(err, file) from err


def _region(job: Job, candidate: Candidate) -> tuple[list[str], _Wanted]:
    """A photo's path (below ``--out``, or where it lies) and those of its copies, and a face's place in it as stored. Raises
    NoPicture.
    """
    row = candidate.asset
    if row is None:
        raise NoPicture("it is an image of a set, of which no photo is known")
    photo = job.pictures.original_file(candidate)
    kept = job.pictures.kept(row)
    if job.out is None and row.source != "folder":
        raise NoPicture("its original is Immich's and does not lie on this machine: --out DIR makes a tree of sidecars to copy")
    if kept.pixels != "original":
        raise NoPicture("it was seen on a preview, which does not say how its original is stored")
    header = job.pictures.header(photo)
    if header.size is None:
        raise NoPicture("its original cannot be read")
    if row.photo_id is not None and photos.size(job.registry, row.photo_id) not in (None, header.size):
        raise NotHere("its original was cropped or turned since a run looked through it: facesets run")
    width, height = header.size if header.orientation < 5 else header.size[::-1]
    left, top, right, bottom = stored_box(candidate.face.box, width, height, header.orientation)
    region = Region(job.called, *(round(v, 6) for v in (left / width, top / height, (right - left) / width, (bottom - top) / height)))
    return _places(job, kept, photo), _Wanted(region, width, height, names_others=_others_in_the_photo(job, candidate, photo, header))


def _places(job: Job, kept: AssetRow, photo: Path) -> list[str]:
    """Where the photo and its copies lie, by the same bytes. Raises NoPicture."""
    copies = originals.byte_copies(job.registry, kept.id)
    if job.out:
        return list(dict.fromkeys(_mirrored(one.asset.original_path) for one in (kept, *copies)))
    folders = ((folder_of(job.registry, one.label), one.asset.original_path) for one in copies)
    here = (folder / path for folder, path in folders if folder)
    return [str(photo), *(str(path) for path in here if path.is_file())]


def _others_in_the_photo(job: Job, candidate: Candidate, photo: Path, header: Header) -> bool:
    """Whether the photo itself, not a sidecar, names people elsewhere in it. Raises NoPicture where it names this face."""
    width, height = header.size or (1, 1)
    x1, y1, x2, y2 = candidate.face.box
    shown = Region(job.called, x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height)
    readings = upright_regions([job.pictures.named_within(photo)], header.orientation, width, height)
    for face in (face for reading in readings for face in reading):
        if who := _whom(Region(face.name, face.left, face.top, face.right - face.left, face.bottom - face.top), shown):
            raise NoPicture(f"its photo itself names {who} there already")
    return any(readings)


def stored_box(box: Box, width: int, height: int, turn: int) -> Box:
    """``box`` of the upright photo in the one that is stored as ``width x height`` with EXIF orientation ``turn``."""
    x1, y1, x2, y2 = box if turn < 5 else (box[1], box[0], box[3], box[2])  # from 5 on rows are stored as columns
    if turn in (2, 3, 7, 8):  # stored from right to left
        x1, x2 = width - x2, width - x1
    if turn in (3, 4, 6, 7):  # stored upside down
        y1, y2 = height - y2, height - y1
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))


def _mirrored(original: str) -> str:
    """A path that a server said, as one below a folder of ours. Raises NoPicture where it could lead out of it."""
    parts = [part for part in PurePosixPath(original).parts if part not in ("/", ".")]
    if not parts or ".." in parts or any("\0" in part or "\\" in part or ":" in part for part in parts):
        raise NoPicture(f"its path {original!r} cannot be used for a file here")
    return "/".join(parts)


def _sidecars(job: Job, file: str, made_here: Set[str]) -> list[str]:
    """The sidecars of a photo, by their names. Immich reads one alone, so where another program made only the other one, that is it."""
    long, short = f"{file}.xmp", str(PurePosixPath(file).with_suffix(".xmp")) if job.out else str(Path(file).with_suffix(".xmp"))
    if job.workspace.settings.targets.xmp.sidecar == "both":
        return [long, short]
    wanted, other = (long, short) if job.workspace.settings.targets.xmp.sidecar == "IMG.jpg.xmp" else (short, long)
    theirs = [name for name in (wanted, other) if name not in made_here and ((job.out or Path()) / name).is_file()]
    return theirs[:1] or [wanted]

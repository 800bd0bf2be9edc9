"""Export room: numbered folders of faces. Writes new ones, whole or not at all, and never touches one that is there.

A set is made in a sibling, ``.faceset_NNN.partial``, and renamed into place when every byte of it is on the disk. Its bytes
follow from the plan and the photos alone: no clock, run, address or person's name stands in it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FacesetsError, Refused
from ..records import Face
from ..registry.sets import FileFact
from ..settings import ExportSettings
from . import crops
from .existing import FACES, SET_NAME, file_facts, same_name

SCHEMA = "facesets.faceset/1"
DESCRIPTION = "faceset.json"


@dataclass(frozen=True, slots=True)
class Member:
    """A face of a planned set, where it comes from, and where its photo lies now (as the registry says it; not written down)."""

    face: Face
    distance: float  # to the set's centroid
    owner_id: str
    asset_id: str
    taken_at: str | None
    path: str


@dataclass(frozen=True, slots=True)
class SetPlan:
    """A set as it is to be written: ``members`` best first, ``model`` the pack's ``name@version``, ``centroid`` float [d]."""

    name: str
    number: int
    identity: str
    model: str
    centroid: npt.NDArray[np.floating[Any]]
    members: Sequence[Member]


LoadRgb = Callable[[Member], npt.NDArray[np.uint8] | bytes]  # a photo's pixels, or the PNG of the crop, kept since they were seen


def write_set(
    folder: Path, plan: SetPlan, load_rgb: LoadRgb, *, export: ExportSettings | None = None, workers: int = 1
) -> list[FileFact]:
    """Write a planned set into ``folder`` and return its files. What is left of an interrupted attempt is begun anew.

    ``load_rgb`` gives a member's photo as uint8 [h, w, 3], oriented, or its crop as :func:`crops.encode` made it; with several
    ``workers`` it is called from their threads.
    A folder of that name is accepted where it holds exactly the bytes that would be written. Raises Refused where it holds
    others, FacesetsError where the disk does not take the set, and whatever ``load_rgb`` raises; then nothing of it is there.
    """
    if not SET_NAME.fullmatch(plan.name) or plan.number != int(plan.name.removeprefix("faceset_")):
        raise Refused(f"{plan.name!r} is not the name of set {plan.number}")
    export = export or ExportSettings()
    files = chain([(DESCRIPTION, describe(plan))], _crops(plan, load_rgb, export.size, export.margin, workers))
    if there := same_name(folder, plan.name):
        if there == plan.name and file_facts(folder / there) == sorted((_fact(*file) for file in files), key=lambda fact: fact.path):
            return file_facts(folder / there)
        raise Refused(
            f"{folder / there} is there already and holds something else than set {plan.number} as planned. It was not touched. "
            "If it is not one of your sets, move it away and run again."
        )
    partial = folder / f".{plan.name}.partial"
    facts = []
    with _writing(folder, plan.name):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _remove(partial)
        (partial / FACES).mkdir(parents=True, mode=0o700)
        partial.chmod(0o700)
    try:
        for name, data in files:
            with _writing(folder, plan.name):
                _write(partial / name, data)
            facts.append(_fact(name, data))
        with _writing(folder, plan.name):
            for path in [*(partial / fact.path for fact in facts), partial / FACES, partial]:
                _sync(path)
            partial.rename(folder / plan.name)
            _sync(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return sorted(facts, key=lambda fact: fact.path)


def describe(plan: SetPlan) -> bytes:
    """faceset.json of a plan: keys sorted, one line a face, distances and centroid rounded to 6 decimals, pure ASCII."""
    faces = [_line(_face(number, member)) for number, member in enumerate(plan.members, 1)]
    top = {
        "schema": SCHEMA, "name": plan.name, "number": plan.number, "identity": plan.identity, "model": plan.model,
        "centroid": [_rounded(x) for x in plan.centroid],
    }  # fmt: skip
    lines = {key: _line(value) for key, value in top.items()} | {"faces": "[\n  " + ",\n  ".join(faces) + "\n ]" if faces else "[]"}
    return ("{\n" + ",\n".join(f' "{key}": {lines[key]}' for key in sorted(lines)) + "\n}\n").encode("ascii")


def _face(number: int, member: Member) -> dict[str, Any]:
    face = member.face
    return {
        "file": _file(number),
        "source": {"owner_id": member.owner_id, "asset_id": member.asset_id, "sha256": face.sha256},
        "face_id": face.face_id,
        "box": [_rounded(x) for x in face.box],
        "quality": {
            "det_score": _rounded(face.det_score), "face_short": _rounded(face.face_short), "sharpness": _rounded(face.sharpness),
            **{key: _rounded(value) for key, value in face.signals.items()},
        },
        "distance": _rounded(member.distance),
        "taken_at": member.taken_at,
    }  # fmt: skip


def _file(number: int) -> str:
    return f"{FACES}/{number:04d}.png"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6) + 0.0  # + 0.0: there is one zero, not two


def _line(value: object) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _crops(plan: SetPlan, load_rgb: LoadRgb, size: int, margin: float, workers: int) -> Iterator[tuple[str, bytes]]:
    """``(name, PNG)`` of each member in order, made by ``workers`` threads that are never more than one photo each ahead."""

    def make(member: Member) -> bytes:
        got = load_rgb(member)
        return got if isinstance(got, bytes) else crops.encode(crops.crop(got, member.face.landmarks, size, margin))

    numbered = ((_file(number), member) for number, member in enumerate(plan.members, 1))
    if workers <= 1:
        yield from ((name, make(member)) for name, member in numbered)
        return
    with ThreadPoolExecutor(workers) as pool:
        while few := list(islice(numbered, workers)):
            yield from zip([name for name, _ in few], pool.map(make, [member for _, member in few]), strict=True)


def _fact(name: str, data: bytes) -> FileFact:
    return FileFact(name, len(data), hashlib.sha256(data).hexdigest())


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(data)


def _sync(path: Path) -> None:
    """Have the disk keep what was written; folders cannot be synced on Windows."""
    if path.is_dir() and os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


@contextmanager
def _writing(folder: Path, name: str) -> Iterator[None]:
    """Whatever the disk answers in here becomes one clear sentence."""
    try:
        yield
    except OSError as err:
        why = err.strerror or str(err)
        if err.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
            why = "the disk (or your share of it) is full. Free some space"
        elif err.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            why = f"no permission ({why}). Let yourself write there"
        raise FacesetsError(
            f"{name} could not be written into {folder}: {why}, and run again; nothing half-made is left, all else is kept"
        ) from err

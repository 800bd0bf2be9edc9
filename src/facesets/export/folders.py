"""Export room: numbered folders of faces. Writes new ones, whole or not at all, and never touches one that is there.

A set is made in a sibling, ``.faceset_NNN.partial``, and renamed into place when every byte of it is on the disk. Its bytes
follow from the plan and the photos alone: no clock, run, address or person's name stands in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from facesets.errors import Refused
from facesets.export.existing_sets import FACES, SET_NAME, file_facts, same_name, stamped
from facesets.files import disk_error, remove, sync
from facesets.photos import crops
from facesets.records import Face
from facesets.registry import FileFact
from facesets.settings import ExportSettings

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
        remove(partial)
        (partial / FACES).mkdir(parents=True, mode=0o700)
        partial.chmod(0o700)
    try:
        for name, data in files:
            with _writing(folder, plan.name):
                _write(partial / name, data)
            facts.append(_fact(name, data))
        with _writing(folder, plan.name):
            for path in [*(partial / fact.path for fact in facts), partial / FACES, partial]:
                sync(path)
            partial.rename(folder / plan.name)
            sync(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return stamped(folder / plan.name, sorted(facts, key=lambda fact: fact.path))


def describe(plan: SetPlan) -> bytes:
    """faceset.json of a plan: keys sorted, one line a face, distances and centroid rounded to 6 decimals, pure ASCII."""
    return describe_entries(plan, [face_entry(crop_name(number), member) for number, member in enumerate(plan.members, 1)])


def describe_entries(plan: SetPlan, entries: Sequence[Mapping[str, Any]], *, era: tuple[int, int] | None = None) -> bytes:
    """faceset.json of a set whose faces are described already, best first; ``plan`` has what is said of it as a whole.

    ``era``: the first and last year of an era set.
    """
    faces = [_line(entry) for entry in entries]
    top = {
        "schema": SCHEMA, "name": plan.name, "number": plan.number, "identity": plan.identity, "model": plan.model,
        "centroid": [_rounded(x) for x in plan.centroid], **({"era": list(era)} if era else {}),
    }  # fmt: skip
    lines = {key: _line(value) for key, value in top.items()} | {"faces": "[\n  " + ",\n  ".join(faces) + "\n ]" if faces else "[]"}
    return ("{\n" + ",\n".join(f' "{key}": {lines[key]}' for key in sorted(lines)) + "\n}\n").encode("ascii")


def face_entry(file: str, member: Member) -> dict[str, Any]:
    """What faceset.json says of a face whose crop is ``file``, below the set's folder."""
    return {
        "file": file,
        "source": {"owner_id": member.owner_id, "asset_id": member.asset_id, "sha256": member.face.sha256},
        **measured_entry(member.face),
        "distance": _rounded(member.distance),
        "taken_at": member.taken_at,
    }


def measured_entry(face: Face) -> dict[str, Any]:
    """What faceset.json says of a face by one pack's measure."""
    return {
        "face_id": face.face_id,
        "box": [_rounded(x) for x in face.box],
        "quality": {
            "det_score": _rounded(face.det_score), "face_short": _rounded(face.face_short), "sharpness": _rounded(face.sharpness),
            **{key: _rounded(value) for key, value in face.signals.items()},
        },
    }  # fmt: skip


def crop_name(number: int) -> str:
    """The file of a set's nth face, below the set's folder."""
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

    numbered = ((crop_name(number), member) for number, member in enumerate(plan.members, 1))
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


@contextmanager
def _writing(folder: Path, name: str) -> Iterator[None]:
    """Whatever the disk answers in here becomes one clear sentence."""
    try:
        yield
    except OSError as err:
        raise disk_error(err, folder / name) from err

"""Export room: who is in a folder that was written here, by what its faceset.json says. Reads it, and trusts no more than it must."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesets.export.folders import DESCRIPTION, SCHEMA
from facesets.files import read_file


@dataclass(frozen=True, slots=True)
class DescribedSet:
    """The pack that a set goes by, its faces as ``(face id, distance, file)``, best first, and the centroid of them all (float64 [d]).

    ``missing``: files that are described and not there.
    """

    pack: str
    members: tuple[tuple[str, float, str], ...]
    centroid: NDArray[np.float64]
    missing: tuple[str, ...] = ()


def described_set(folder: Path, number: int, files: Iterable[str]) -> DescribedSet | None:
    """The set ``number`` in ``folder``, with those of its faces whose file is among ``files``; None where that folder was not written
    here, or its description was altered so that it makes no sense.
    """
    there = set(files)
    try:
        said = json.loads(read_file(folder / DESCRIPTION))
        if said["schema"] != SCHEMA or said["number"] != number or not isinstance(said["model"], str):
            return None
        faces = [(str(face["face_id"]), float(face["distance"]), str(face["file"])) for face in said["faces"]]
        centroid = np.array(said["centroid"], np.float64)
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    if centroid.ndim != 1 or not len(centroid) or not np.isfinite(centroid).all():
        return None
    kept = tuple(face for face in faces if face[2] in there)
    once = len({face for face, _, _ in kept}) == len({file for _, _, file in kept}) == len(kept)
    missing = tuple(file for _, _, file in faces if file not in there)
    return DescribedSet(said["model"], kept, centroid, missing) if once else None


def described_files(folder: Path) -> list[str]:
    """The files of the faces that a folder describes, one for each face; none where its description cannot be read."""
    try:
        return [str(face["file"]) for face in json.loads(read_file(folder / DESCRIPTION))["faces"]]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return []

"""Hugging Face's imagefolder: pictures and a ``metadata.jsonl`` beside them. The person is a column: labels by folder vanish once there
is metadata, and dates would become timestamps, so years are numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from facesets.targets.job import Item, Job
from facesets.targets.names import file_name
from facesets.targets.pictures import NoPicture
from facesets.targets.terms import Candidate


def files(job: Job) -> Mapping[str, Item]:
    """``NAME/<face>.png`` and ``NAME/metadata.jsonl``."""
    name = file_name(job.called, job.person.set_name)
    made: dict[str, Item] = {}
    lines = []
    for candidate, item in crops_of(job):
        made[f"{name}/{candidate.key}.png"] = item
        lines.append(json.dumps({"file_name": f"{candidate.key}.png", **columns(job, candidate)}, ensure_ascii=False))
    if made:
        made[f"{name}/metadata.jsonl"] = Item(("\n".join(lines) + "\n").encode("utf-8", "replace"))
    return made


def columns(job: Job, candidate: Candidate) -> dict[str, Any]:
    """What is known of a face, with the same keys for every one."""
    face = candidate.face
    return {
        "person": job.called, "set": job.person.set_name, "face_id": face.face_id, "year": candidate.year,
        "distance": round(candidate.distance, 6), "quality": candidate.quality, "face_short": round(face.face_short, 2),
    }  # fmt: skip


def crops_of(job: Job) -> list[tuple[Candidate, Item]]:
    """Each face's file of the set, the best first; those whose file is not there, or that show somebody else
    too, who agreed to nothing, are left out.
    """
    found: list[tuple[Candidate, Item]] = []
    for candidate in job.candidates:
        if len(found) >= job.count:
            break
        if candidate.crop is None:
            job.leave_out(candidate, "its file is still to come into the set's folder: facesets write")
            continue
        if candidate.crop.suffix.lower() != ".png" or not candidate.crop.is_file():
            job.leave_out(candidate, "its file is not in the set's folder, or is no PNG")
            continue
        if why := _somebody_else(job, candidate):
            job.leave_out(candidate, why)
            continue
        found.append((candidate, Item(candidate.crop, job.about(candidate))))
    return found


def _somebody_else(job: Job, candidate: Candidate) -> NoPicture | str:
    """Why a crop shows more than the person; empty where it does not. One in which the detector sees nobody is the person's alone."""
    if candidate.face.signals.get("others_in_crop"):
        return "somebody else is in its crop"
    try:
        return "somebody else is in its crop" if len(job.pictures.detect(job.pictures.set_crop(candidate))) > 1 else ""
    except NoPicture as err:
        return err

"""roop-unleashed's face set: a zip, stored and flat, of ``000.png`` (the best) and so on.

It detects at 640 pixels and averages the vectors of every face that it finds: so one face a picture, and 8 to 12 of one era that are
alike.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from facesets.photos import crops
from facesets.targets.choice import consistent, era_of, farthest_first, years
from facesets.targets.folder import one_face_each
from facesets.targets.job import Item, Job
from facesets.targets.names import file_name
from facesets.targets.terms import Candidate

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same bytes whenever it is written
LEAST = 8


def files(job: Job) -> Mapping[str, Item]:
    """``NAME.fsz``."""
    faces = [(c, crops.encode(rgb)) for c, rgb in one_face_each(job, few_of_one_era(job), job.count)]
    if not faces:
        return {}
    if len(faces) < LEAST:
        job.outcome.notes.append(f"{'1 face' if len(faces) == 1 else f'{len(faces)} faces'}, where {LEAST} to 12 swap best")
    faces.sort(key=lambda one: (-one[0].quality, one[0].face.face_id))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for number, (_, data) in enumerate(faces):
            entry = zipfile.ZipInfo(f"{number:03d}.png", _EPOCH)
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, data)
    name = file_name(job.called, job.person.set_name)
    return {f"{name}.fsz": Item(out.getvalue(), {"faces": [job.about(c) for c, _ in faces]})}


def few_of_one_era(job: Job) -> list[Candidate]:
    """The faces of the best era that are most alike, in the order in which they add most; says which era."""
    era, span = era_of(job, getattr(job.workspace.settings.targets.of(job.target), "era_years", 0))
    if span:
        job.outcome.notes.append(f"photos of {years(span)}")
    inside = {c.face.face_id for c in era}
    for candidate in job.candidates:
        if candidate.face.face_id not in inside:
            job.leave_out(candidate, "of another time than most, or of none that is known")
    kept = consistent(era)
    ids = {c.face.face_id for c in kept}
    for candidate in era:
        if candidate.face.face_id not in ids:
            job.leave_out(candidate, "less like the others, so it would blur their average")
    return [kept[i] for i in farthest_first(kept)]

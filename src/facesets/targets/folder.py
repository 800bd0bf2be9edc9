"""A plain folder of images, for facefusion, InstantID and whoever takes pictures of a face: upright, with room, one face each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from facesets.photos import crops
from facesets.targets.choice import farthest_first
from facesets.targets.job import Item, Job
from facesets.targets.names import file_name
from facesets.targets.pictures import NoPicture, only_face
from facesets.targets.terms import Candidate, Pixels

SIZE = 512


def files(job: Job) -> Mapping[str, Item]:
    """``NAME/<face>.png``."""
    name = file_name(job.called, job.person.set_name)
    order = [job.candidates[i] for i in farthest_first(job.candidates)]
    return {f"{name}/{c.key}.png": Item(crops.encode(rgb), job.about(c)) for c, rgb in one_face_each(job, order, job.count)}


def one_face_each(job: Job, order: Sequence[Candidate], count: int) -> Iterator[tuple[Candidate, Pixels]]:
    """The first ``count`` whose aligned crop shows one face, detected again; the others are left out."""
    done = 0
    for candidate in order:
        if done >= count:
            return
        if candidate.face.signals.get("others_in_crop"):
            job.leave_out(candidate, "somebody else is in its crop")
            continue
        try:
            rgb = job.pictures.aligned(candidate, SIZE)
            only_face(job.pictures, rgb)
        except NoPicture as err:
            job.leave_out(candidate, err)
            continue
        done += 1
        yield candidate, rgb

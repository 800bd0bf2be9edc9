"""Frigate: a folder of its face library, or its API. Tight boxes for the folder, where the whole file is taken as the face; pictures
with room around the face for the API, where Frigate's detector looks for the largest one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from facesets.errors import BadAnswer
from facesets.photos import crops
from facesets.registry import exports
from facesets.targets import frigate_formula as formula
from facesets.targets.job import Item, Job
from facesets.targets.names import frigate_name
from facesets.targets.pictures import NoPicture, around, as_sent, is_grey, is_largest, jpeg
from facesets.targets.service import Response, Service, Shipment, send
from facesets.targets.terms import Candidate, Pixels

_POOL, _MEASURED = 120, 24  # so many faces are weighed, the best; so many that are not given say what is predicted
_ROOM = 1.0  # times the face's sides on each side
_HEIGHT = 1080  # pixels to which Frigate scales a picture


def files(job: Job) -> Mapping[str, Item]:
    """The images of a person's folder below ``clips/faces``."""
    name = _name(job)
    made: dict[str, Item] = {}

    def make(candidate: Candidate) -> bytes:
        return crops.encode(around(job.pictures.original(candidate).rgb, candidate.face.box, 0.0)[0])

    for candidate, data in _chosen(job, make):
        made[f"{name}/{candidate.key}.png"] = Item(data, job.about(candidate))
    return made


def api(job: Job) -> None:
    """The same through ``POST /api/faces/NAME/register``."""
    name = _name(job)
    with Service(job, "frigate", {"Authorization": "Bearer {}"}) as service:

        def way(name: str) -> Shipment:
            url = f"/api/faces/{quote(name)}"

            def listed() -> set[str]:
                answer = service.get("/api/faces").read(dict[str, Any], "does not list faces as Frigate does")
                files = answer.get(name) or []
                if not isinstance(files, list):
                    raise BadAnswer(f"{job.url} does not list the files of {name!r}. Is this Frigate's address?")
                return set(map(str, files))

            def post(candidate: Candidate, data: bytes) -> str | None:
                _taken(service.upload(f"{url}/register", f"{candidate.key}.jpg", data))
                return None  # which file it became is seen in the list

            def delete(ids: list[str]) -> None:
                _taken(service.post(f"{url}/delete", {"ids": ids}))

            return Shipment(listed, post, delete)

        def choose(there: Sequence[str], barred: Set[str]) -> dict[str, tuple[Candidate, bytes]]:
            found = _chosen(job, lambda c: _in_context(job, c), there, barred)
            return {candidate.face.face_id: (candidate, data) for candidate, data in found}

        sent = send(job, name, choose, way)
        if job.check:
            _check(job, service, name, [c for c in job.candidates if c.face.face_id not in sent])


def _taken(answer: Response) -> None:
    said = answer.json()
    if not (isinstance(said, dict) and said.get("success")):
        raise answer.refusal()


def _name(job: Job) -> str:
    name = frigate_name(job.person.name or "", job.person.set_name)
    if name != job.person.name:
        job.outcome.notes.append(f"called {name!r} in Frigate, which takes letters, digits, spaces, ' _ and - alone (50 at most)")
    return name


def strangers(job: Job) -> formula.Vectors:
    """Faces of the other people here, float64 [n, d]."""
    rows = [np.frombuffer(vector, "<f4") for vector in exports.strangers(job.registry, job.person.pack, job.person.id)]
    dim = len(job.candidates[0].vector) if job.candidates else 0
    return np.stack(rows).astype(np.float64) if rows else np.zeros((0, dim))


def _chosen(job: Job, make: Any, there: Sequence[str] = (), barred: Set[str] = frozenset()) -> list[tuple[Candidate, bytes]]:
    """The faces that help Frigate most beside those that are ``there`` (ids), with their pictures; what cannot be had, or is
    ``barred``, is left out and the next best takes its place.
    """
    given = [c for c in job.candidates if c.face.face_id in there]
    pool = given + [c for c in job.candidates if c.face.face_id not in {*there, *barred}][:_POOL]
    others = strangers(job)
    pictures: dict[str, bytes] = {}
    while pool:
        vectors = np.stack([c.vector for c in pool]).astype(np.float64)
        days = [(c.taken_at or "")[:10] for c in pool]
        picked = [pool[i] for i in formula.choose(vectors, others, job.count, days, range(len(given)))]
        failed = [c for c in picked[len(given) :] if c.face.face_id not in pictures and not _made(job, c, make, pictures)]
        if not failed:
            break
        pool = [c for c in pool if c not in failed]
    else:
        picked = []
    trained = {c.face.face_id for c in picked}
    judges = [c for c in job.candidates if c.face.face_id not in trained] if len(job.candidates) >= formula.HELD_OUT_FROM else []
    judges = judges[:: -(-len(judges) // _MEASURED) or 1]  # good pictures and bad ones alike
    if picked and judges:
        losses = [_loss(job, c) for c in judges]
        images = np.stack([c.vector for c in picked]).astype(np.float64)
        against = np.stack([c.vector for c in judges]).astype(np.float64)
        job.outcome.facts["predicted"] = {
            name: round(value, 4) for name, value in asdict(formula.predict(images, against, others, losses)).items()
        }
        if job.person.pack.startswith("open@"):
            job.outcome.notes.append("vectors of the pack open are not of Frigate's kind, so its prediction says little")
    elif picked:
        job.outcome.notes.append("too few photos to hold some out, so no confidence is predicted")
    return [(c, pictures[c.face.face_id]) for c in picked[len(given) :]]


def _made(job: Job, candidate: Candidate, make: Any, pictures: dict[str, bytes]) -> bool:
    try:
        face, _ = around(job.pictures.original(candidate).rgb, candidate.face.box, 0.0)
        if not is_grey(face):
            pictures[candidate.face.face_id] = make(candidate)
            return True
        job.leave_out(candidate, "no colour in it (infrared, or black and white), which Frigate's docs advise against")
    except NoPicture as err:
        job.leave_out(candidate, err)
    return False


def _in_context(job: Job, candidate: Candidate) -> bytes:
    """A picture in which Frigate's detector finds this face as the largest."""
    photo = job.pictures.original(candidate).rgb
    for room in (_ROOM, 0.5, 0.25):
        part, box = around(photo, candidate.face.box, room)
        data = jpeg(part)
        if is_largest(job.pictures.detect(_scaled(as_sent(data))), _scaled_box(box, part)):
            return data
    raise NoPicture("another face is larger in its picture, and Frigate takes the largest")


def _scaled(part: Pixels) -> Pixels:
    scale = _HEIGHT / part.shape[0]
    return part if scale >= 1 else np.asarray(cv2.resize(part, (max(1, round(part.shape[1] * scale)), _HEIGHT)), np.uint8)


def _scaled_box(box: tuple[float, float, float, float], part: Pixels) -> tuple[float, float, float, float]:
    scale = min(_HEIGHT / part.shape[0], 1.0)
    return box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale


def _loss(job: Job, candidate: Candidate) -> float:
    """What the blur of a held-out face costs it; nothing where its photo cannot be had."""
    try:
        face, _ = around(job.pictures.original(candidate).rgb, candidate.face.box, 0.0)
    except NoPicture:
        return 0.0
    return formula.blur_loss(float(cv2.Laplacian(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var()))


def _check(job: Job, service: Service, name: str, unseen: Sequence[Candidate]) -> None:
    """Have Frigate recognise photos that it was not given."""
    hits = asked = 0
    for candidate in unseen[:10]:
        try:
            data = _in_context(job, candidate)
        except NoPicture:
            continue
        answer = service.upload("/api/faces/recognize", f"{candidate.key}.jpg", data).json()
        asked += 1
        hits += isinstance(answer, dict) and answer.get("face_name") == name
    job.outcome.facts["checked"] = {"asked": asked, "hits": hits}

"""CompreFace: pictures of a subject through its API; one face a picture, 5 MB at most."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence, Set
from urllib.parse import quote, urlencode

import msgspec

from facesets.targets.choice import farthest_first
from facesets.targets.job import Job
from facesets.targets.pictures import NoPicture, around, as_sent, jpeg, only_face, shrunk
from facesets.targets.service import Response, Service, Shipment, send
from facesets.targets.terms import Candidate

_MOST_BYTES = 5 * 1024 * 1024
_THRESHOLD = 0.8  # how sure its detector must be
_FACES = "/api/v1/recognition/faces"


class _Face(msgspec.Struct):
    image_id: str
    subject: str = ""


class _Page(msgspec.Struct):
    faces: list[_Face]
    total_pages: int = 1


class _Subject(msgspec.Struct):
    subject: str


class _Seen(msgspec.Struct):
    subjects: list[_Subject] = []


class _Recognised(msgspec.Struct):
    result: list[_Seen] = []


def api(job: Job) -> None:
    """``POST /api/v1/recognition/faces?subject=NAME``, a picture each."""
    subject = job.called
    with Service(job, "compreface", {"x-api-key": "{}"}) as service:

        def way(subject: str) -> Shipment:
            def listed() -> set[str]:
                ids: set[str] = set()
                page = pages = 0
                while page <= pages:
                    query = urlencode({"subject": subject, "page": page, "size": 1000})
                    answer = service.get(f"{_FACES}?{query}").read(_Page, "does not list faces as CompreFace does")
                    ids |= {face.image_id for face in answer.faces if face.subject == subject}
                    page, pages = page + 1, answer.total_pages - 1 if answer.faces else 0
                return ids

            def post(candidate: Candidate, data: bytes) -> str:
                query = urlencode({"subject": subject, "det_prob_threshold": _THRESHOLD})
                answer = service.upload(f"{_FACES}?{query}", f"{candidate.key}.jpg", data)
                _said_yes(answer)
                return answer.read(_Face).image_id

            def delete(ids: list[str]) -> None:
                for one in ids:
                    answer = service.delete(f"{_FACES}/{quote(one)}")
                    if answer.status != 404:  # removed there meanwhile
                        _said_yes(answer)

            return Shipment(listed, post, delete)

        sent = send(job, subject, lambda there, barred: pictures_of(job, there, barred), way)
        if job.check:
            _check(job, service, subject, [c for c in held_out(job)[1] if c.face.face_id not in sent])


def held_out(job: Job) -> tuple[list[Candidate], list[Candidate]]:
    """Faces to choose from, and some that are never sent, for ``--check``: of about every third photo; none of fewer than nine."""
    photos = {c.face.sha256 for c in job.candidates}
    judges = {p for p in photos if hashlib.sha256(p.encode()).digest()[0] % 3 == 0} if len(photos) >= 9 else set()
    pool = [c for c in job.candidates if c.face.sha256 not in judges]
    return pool, [c for c in job.candidates if c.face.sha256 in judges]


def pictures_of(
    job: Job, there: Sequence[str], barred: Set[str], *, least_area: float = 0.0, asked: bool = True
) -> dict[str, tuple[Candidate, bytes]]:
    """Pictures with one face each and room around it, the most telling beside those that are ``there`` (ids) first: face id -> face and
    JPEG. None of faces that are ``barred``; where the service can be ``asked``, some are held out for a check.
    """
    made: dict[str, tuple[Candidate, bytes]] = {}
    given = [c for c in job.candidates if c.face.face_id in there]
    pool, kept_back = held_out(job) if asked else (list(job.candidates), [])
    pool = given + [c for c in pool if c.face.face_id not in {*there, *barred}]
    for candidate in kept_back:
        if candidate.face.face_id not in {*there, *barred}:
            job.leave_out(candidate, "kept back, to be asked about")
    for index in farthest_first(pool, len(given)):
        if len(given) + len(made) >= job.count:
            break
        candidate = pool[index]
        try:
            made[candidate.face.face_id] = (candidate, one_face(job, candidate, least_area))
        except NoPicture as err:
            job.leave_out(candidate, err)
    return made


def one_face(job: Job, candidate: Candidate, least_area: float = 0.0) -> bytes:
    """A picture of a face with room around it and nobody else in it. Raises NoPicture."""
    x1, y1, x2, y2 = candidate.face.box
    if (x2 - x1) * (y2 - y1) < least_area:
        raise NoPicture(f"its face has fewer than {least_area:,.0f} pixels, which {job.target} does not train on")
    photo, trouble = job.pictures.original(candidate).rgb, NoPicture("no face is found in its crop")
    for room in (0.6, 0.35, 0.2):
        data = jpeg(shrunk(around(photo, candidate.face.box, room)[0], 2048))
        try:
            only_face(job.pictures, as_sent(data))
        except NoPicture as err:
            trouble = err
            continue
        if len(data) <= _MOST_BYTES:
            return data
    raise trouble


def _said_yes(answer: Response) -> None:
    if answer.status >= 400:
        raise answer.refusal()


def _check(job: Job, service: Service, subject: str, unseen: Sequence[Candidate]) -> None:
    """Have CompreFace recognise photos that it was not given."""
    hits = asked = 0
    for candidate in unseen[:10]:
        try:
            data = one_face(job, candidate)
        except NoPicture:
            continue
        answer = service.upload("/api/v1/recognition/recognize?prediction_count=1", f"{candidate.key}.jpg", data)
        asked += 1
        if answer.status < 400:
            hits += subject in [one.subject for face in answer.read(_Recognised).result for one in face.subjects[:1]]
    job.outcome.facts["checked"] = {"asked": asked, "hits": hits}

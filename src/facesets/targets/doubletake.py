"""double-take: training pictures through its API; files dropped into its folder are unknown to its database."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

import msgspec

from facesets.targets.compreface import pictures_of
from facesets.targets.job import Job
from facesets.targets.names import file_name
from facesets.targets.service import Service, Shipment, send
from facesets.targets.terms import Candidate

_LEAST_AREA = 10_000  # pixels of a face's box


class _File(msgspec.Struct):
    filename: str | None = None


class _Row(msgspec.Struct):
    id: int | str
    name: str | None = None
    file: _File | None = None


def api(job: Job) -> None:
    """``POST /api/train/add/NAME``, a picture each."""
    name = file_name(job.called, job.person.set_name)
    with Service(job, "doubletake", {"Authorization": "Bearer {}"}) as service:

        def way(name: str) -> Shipment:
            def rows() -> list[dict[str, str]]:
                found = service.get("/api/train").read(list[_Row], "does not list its training as double-take does")
                return [{"id": str(row.id), "file": (row.file and row.file.filename) or ""} for row in found if row.name == name]

            def listed() -> set[str]:
                return {row["id"] for row in rows()}

            def post(candidate: Candidate, data: bytes) -> str | None:
                answer = service.upload(f"/api/train/add/{quote(name)}", f"{candidate.key}.jpg", data, field="files")
                if answer.status >= 400 or not (isinstance(said := answer.json(), dict) and said.get("message")):
                    raise answer.refusal()
                ours = [row["id"] for row in rows() if PurePosixPath(row["file"]).name.startswith(candidate.key)]
                return ours[-1] if ours else None

            def delete(ids: list[str]) -> None:
                if listed() == set(ids):  # its API removes a name with all its pictures, or nothing
                    answer = service.delete(f"/api/train/remove/{quote(name)}")
                    if answer.status >= 400:
                        raise answer.refusal()
                else:
                    files = ", ".join(row["file"] for row in rows() if row["id"] in ids)
                    job.outcome.notes.append(f"double-take removes whole names only; take these out of {name!r} there: {files}")

            return Shipment(listed, post, delete)

        send(job, name, lambda there, barred: pictures_of(job, there, barred, least_area=_LEAST_AREA, asked=False), way)
        if job.check:
            job.outcome.notes.append("double-take has no way to be asked who is in a picture, so nothing was checked")

"""What happened: where every file and every face has got to, each number a link to the list behind it."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from facesets.errors import NotFound
from facesets.reason_texts import FACE_STATES, FILE_STATES, SENTENCES, STATES, name_of
from facesets.records import Reason
from facesets.registry import Registry, assets, faces, runs, state_lists
from facesets.report import Accounting, accounting
from facesets.review.context import page, review_of
from facesets.review.forms import query

_PART: Final = {"files": 60, "faces": 120}


async def shown(request: Request) -> HTMLResponse:
    """GET /happened: the accounting."""

    def found(registry: Registry) -> tuple[Accounting, Accounting, int, dict[str, Any] | None]:
        by_file = assets.counts(registry)
        gone = by_file.pop(Reason.GONE, 0)  # of no listing
        by_face = faces.counts(registry)
        last = runs.last(registry)
        return accounting("file", by_file, FILE_STATES), accounting("face", by_face, FACE_STATES), gone, last

    of_files, of_faces, gone, last = await review_of(request).threads.read(found)
    return await page(
        request,
        "happened.html",
        here="happened",
        files=of_files,
        faces=of_faces,
        gone=gone,
        last=last,
        verb=runs.verb(last["command"]) if last else "",
    )


async def behind(request: Request) -> HTMLResponse:
    """GET /happened/files/REASON or /happened/faces/REASON, ``?first=``: a part of the list behind a number."""
    what, code = request.path_params["what"], request.path_params["reason"]
    if what not in _PART or code not in {str(each) for each in Reason}:
        raise NotFound("there is no such list")
    reason, first, most = Reason(code), query(request).number("first", 0), _PART[what]
    list_of = state_lists.assets if what == "files" else state_lists.faces

    def found(registry: Registry) -> tuple[int, list[state_lists.ListedAsset] | list[state_lists.StandingFace]]:
        counts = assets.counts(registry) if what == "files" else faces.counts(registry)
        return counts.get(reason, 0), list_of(registry, reason, first=first, most=most)

    total, rows = await review_of(request).threads.read(found)
    return await page(
        request, "happened_list.html", here="happened", what=what, reason=code, name=name_of(reason), sentence=SENTENCES[reason],
        state=STATES[reason.state], total=total, rows=rows, first=first, most=most,
    )  # fmt: skip


ROUTES = [Route("/happened", shown), Route("/happened/{what}/{reason}", behind)]

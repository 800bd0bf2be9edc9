"""Publish: what would be written to Immich, by person and in words, and what cannot be; then, if that is wanted, it is written.

Looking and writing ask Immich, so both are long work; the page asks how far it is, and finds it under way after a reload.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from facesets import publish
from facesets.errors import FacesetsError, UsageError
from facesets.progress import ProgressFile
from facesets.publish import What
from facesets.registry import Registry, assets, decisions, runs
from facesets.review.context import Review, fragment, page, review_of
from facesets.review.forms import read_form
from facesets.review.long_work import UntilStopped
from facesets.review.publish_asked import Asked, Found, Written
from facesets.secrets import scrub
from facesets.sources import folder_of
from facesets.workspace import Workspace

log = logging.getLogger(__name__)
_MOST: Final = 150  # people in the page

#: What can be published from here: the field's name, its label, and what it does.
CHOICES: Final = (
    ("names", "Names", "People in Immich get the names they have here."),
    ("faces", "Faces", "Immich's own faces are given to the right person; who is not there yet is made."),
    ("albums", "Albums", "One album a person."),
)


def _since(registry: Registry) -> tuple[int, int]:
    last = decisions.select(registry, most=1)
    run = runs.last(registry)
    return (last[-1].id if last else 0, run["id"] if run else 0)


def _state(review: Review) -> dict[str, Any]:
    """What the template shows below the choices."""
    asked = review.publishing
    state: dict[str, Any] = {"number": asked.number, "most": _MOST, "found": None, "written": None, "failed": "", "working": False}
    if asked.work is None:
        return state
    if not asked.work.done():
        return state | {"working": True, "progress": ProgressFile.read(review.workspace.progress_file)}
    if (err := asked.work.exception()) is not None:
        return state | {"failed": _said(err)}
    result = asked.work.result()
    return state | ({"found": result} if isinstance(result, Found) else {"written": result})


def _said(err: BaseException) -> str:
    if isinstance(err, FacesetsError):
        return scrub(str(err))
    return f"facesets failed ({type(err).__name__}): the terminal says more. What was decided or written before is kept."


def _log(work: Future[Any]) -> None:
    err = work.exception()
    if err is not None and not isinstance(err, FacesetsError):
        log.error("publish failed", exc_info=err)


async def shown(request: Request) -> HTMLResponse:
    """GET /publish: the choices, and what was asked for last."""
    review = review_of(request)

    def users(registry: Registry) -> tuple[list[str], bool]:
        labels = [user.label for user in assets.users(registry)]
        return [label for label in labels if folder_of(registry, label) is None], bool(labels)

    labels, any_at_all = await review.threads.read(users)
    result = _state(review)
    diff = result["found"].diff if result["found"] else None
    return await page(
        request, "publish.html", here="publish", labels=labels, any_at_all=any_at_all, choices=CHOICES,
        user=diff.label if diff else "", chosen=diff.what.asked if diff else [name for name, _, _ in CHOICES], **result,
    )  # fmt: skip


async def part(request: Request) -> HTMLResponse:
    """GET /publish/part: what was asked for last, or how far it is."""
    return fragment(request, "publish_part.html", **_state(review_of(request)))


async def look(request: Request) -> HTMLResponse:
    """POST /publish/look with ``user`` and what is to be written: ask Immich what would be."""
    form, review = await read_form(request), review_of(request)
    label = form.one("user")
    what = What(names="names" in form.all("what"), faces="faces" in form.all("what"), albums="albums" in form.all("what"))
    if not what.asked:
        raise UsageError("choose what is to be written: names, faces or albums")

    def do(workspace: Workspace, registry: Registry, progress: UntilStopped) -> Found:
        found = publish.diff(workspace, registry, label, what, progress)
        return Found(found, tuple(progress.notes), _since(registry))

    return _begin(request, review, review.long.start("publish", do))


async def apply(request: Request) -> HTMLResponse:
    """POST /publish/apply with ``number``: write what that look found."""
    form, review = await read_form(request), review_of(request)
    asked = review.publishing
    found = asked.work.result() if asked.work and asked.work.done() and asked.work.exception() is None else None
    if not isinstance(found, Found) or form.number("number", 0) != asked.number:
        raise UsageError(
            "what this page shows was written already, or looked for anew, in another window; look again. Nothing was written"
        )

    def do(workspace: Workspace, registry: Registry, progress: UntilStopped) -> Written:
        if _since(registry) != found.since:
            raise UsageError("something was decided, or a run was made, since this was looked for; look again. Nothing was written")
        outcome = publish.apply(workspace, registry, found.diff, progress)
        return Written(outcome, tuple(progress.notes))

    return _begin(request, review, review.long.start("publish", do))


def _begin(request: Request, review: Review, work: Future[Any]) -> HTMLResponse:
    work.add_done_callback(_log)
    review.publishing = Asked(review.publishing.number + 1, work)
    return fragment(request, "publish_part.html", **_state(review))


ROUTES = [
    Route("/publish", shown),
    Route("/publish/part", part),
    Route("/publish/look", look, methods=["POST"]),
    Route("/publish/apply", apply, methods=["POST"]),
]

"""The application put together: one list of routes a page, the guard before them, and what an error looks like."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from facesets.errors import FacesetsError, NotFound, Refused, UsageError, WorkspaceInUse
from facesets.registry import Registry, gallery
from facesets.review import acts, decide_page, files, happened_page, history_page, live_page, people_page, person_page, publish_page
from facesets.review.cache import PeopleCache
from facesets.review.context import Review, refusal, review_of
from facesets.review.guard import HEADER, Guard
from facesets.review.images import Images
from facesets.review.long_work import LongWork
from facesets.review.options import Options
from facesets.review.questions import Queue
from facesets.review.threads import RegistryThreads
from facesets.secrets import scrub
from facesets.workspace import Workspace

#: Every page is a module with a list of routes.
ROUTES: Sequence[BaseRoute] = (
    *files.ROUTES,
    *acts.ROUTES,
    *people_page.ROUTES,
    *person_page.ROUTES,
    *decide_page.ROUTES,
    *happened_page.ROUTES,
    *live_page.ROUTES,
    *publish_page.ROUTES,
    *history_page.ROUTES,
)
_STATUS = (
    (NotFound, HTTPStatus.NOT_FOUND),
    (WorkspaceInUse, HTTPStatus.CONFLICT),
    (Refused, HTTPStatus.CONFLICT),
    (UsageError, HTTPStatus.BAD_REQUEST),
)


def application(workspace: Workspace, options: Options) -> Starlette:
    """The ASGI application. Its threads and decoder processes live as long as its lifespan. Raises FacesetsError."""
    with workspace.registry_to_read():  # a registry that cannot be read, or must be brought up to date, is met here
        pass
    threads = RegistryThreads(workspace)
    images, long = Images(workspace, threads, options), LongWork(threads)
    review = Review(workspace, options, threads, images, PeopleCache(threads), Queue(threads), long)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        threads.submit(lambda registry: review.images.prepare(gallery.best_faces(registry, _ids(registry)).values()))
        yield
        review.long.close()
        review.images.close()
        threads.close()

    guard = Middleware(Guard, options=options, refuse=lambda *why: refusal(review, *why), login=lambda said: _login(review, said))
    app = Starlette(
        routes=[Route("/", _home), *ROUTES],
        middleware=[guard],
        lifespan=lifespan,
        exception_handlers={FacesetsError: _said, HTTPException: _missing, Exception: _failed},
    )
    app.router.redirect_slashes = False  # to where nothing of a proxy's address or path is known
    app.state.review = review
    return app


def _ids(registry: Registry) -> list[int]:
    return [person.id for person in gallery.people(registry)]


async def _home(request: Request) -> Response:
    return RedirectResponse(review_of(request).url("people"), HTTPStatus.SEE_OTHER)


def _login(review: Review, said: str) -> Response:
    return HTMLResponse(review.render("login.html", said=said), HTTPStatus.FORBIDDEN)


def _answer(request: Request, status: HTTPStatus, title: str, text: str) -> Response:
    """An error for whoever asked: a script of ours, or a reader."""
    if HEADER in request.headers:
        return JSONResponse({"error": text}, status)
    return refusal(review_of(request), status, title, text)


async def _said(request: Request, error: Exception) -> Response:
    assert isinstance(error, FacesetsError)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    return _answer(request, status, "That did not work", scrub(str(error)))


async def _missing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return _answer(request, status, "There is no such page", "It may have been of a set that is part of another one now.")


async def _failed(request: Request, error: Exception) -> Response:
    """A fault of this program: the log has it, a page says that nothing is lost."""
    return _answer(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, "facesets failed",
        f"{type(error).__name__}: the terminal says more. What was decided before is kept.",
    )  # fmt: skip

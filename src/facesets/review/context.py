"""What every page needs: the threads of the registry, the templates, static files, and how an answer is put together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse

from facesets import __version__
from facesets.registry import Registry
from facesets.report import templates
from facesets.review.cache import PeopleCache
from facesets.review.images import Images
from facesets.review.long_work import LongWork
from facesets.review.options import Options
from facesets.review.publish_asked import Asked
from facesets.review.questions import Queue
from facesets.review.threads import RegistryThreads, running
from facesets.wording import listed
from facesets.workspace import Workspace

#: The pages that lead to each other: address, name.
NAV: Final = (("people", "People"), ("decide", "Decide"), ("happened", "What happened"), ("publish", "Publish"), ("history", "History"))
_KINDS: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Static:
    """A file of this package as it is sent."""

    data: bytes
    kind: str


@dataclass
class Review:
    """The running app: ``request.app.state.review``."""

    workspace: Workspace
    options: Options
    threads: RegistryThreads
    images: Images
    people: PeopleCache
    queue: Queue
    long: LongWork
    publishing: Asked = field(default_factory=Asked)

    @cached_property
    def static(self) -> Mapping[str, Static]:
        """Name -> file. All there are: no name from a request is looked up on a disk."""
        ours, shared = files("facesets.review") / "static", files("facesets.report") / "templates"
        found = {path.name: path for folder in (ours, ours / "htmx") for path in folder.iterdir() if path.is_file()}
        found |= {"tokens.css": shared / "tokens.css", "report.css": shared / "style.css"}
        return {name: Static(path.read_bytes(), _kind(path)) for name, path in found.items() if _kind(path)}

    @cached_property
    def digest(self) -> str:
        """Of all static files: it stands in their addresses, so that a browser may keep them for good."""
        return hashlib.sha256(b"".join(each.data for _, each in sorted(self.static.items()))).hexdigest()[:12]

    @cached_property
    def environment(self) -> Environment:
        """The templates, with addresses as ``url('person', name)`` and ``static('app.js')``."""
        env = templates("facesets.review")
        env.globals |= {
            "url": self.url,
            "static": lambda name: f"{self.options.base}/static/{self.digest}/{name}",
            "nav": NAV,
            "version": __version__,
            "names": self.options.names,
        }
        env.filters["listed"] = listed
        return env

    def url(self, *parts: object) -> str:
        """The address of a page: ``url("person", "faceset_003")``."""
        return "/".join([self.options.base, *(quote(str(part), safe="") for part in parts)])

    def render(self, template: str, **values: Any) -> str:
        """A template as text; what is shared by all full pages comes by :func:`page`."""
        return self.environment.get_template(template).render(values)


def review_of(request: Request) -> Review:
    """The app that a request is for."""
    found = request.app.state.review
    assert isinstance(found, Review)
    return found


async def page(request: Request, template: str, *, here: str = "", **values: Any) -> HTMLResponse:
    """A whole page that extends ``page.html``; ``here`` is its entry of :data:`NAV`."""
    review = review_of(request)
    busy = await review.threads.read(lambda registry: busy_with(review, registry))
    return HTMLResponse(review.render(template, here=here, busy=busy, **values))


def fragment(request: Request, template: str, **values: Any) -> HTMLResponse:
    """A part of a page, for htmx or a script of ours."""
    return HTMLResponse(review_of(request).render(template, **values))


def busy_with(review: Review, registry: Registry) -> str | None:
    """The command that holds the workspace just now, so that nothing can be changed; None where nothing does."""
    command = review.threads.at_work or running(registry)
    return command if command and (review.threads.at_work or review.workspace.is_in_use()) else None


def refusal(review: Review, status: HTTPStatus, title: str, text: str) -> HTMLResponse:
    """A page that says why there is no other."""
    return HTMLResponse(review.render("refused.html", title=title, text=text), status)


def _kind(path: Traversable) -> str:
    return _KINDS.get("." + path.name.rpartition(".")[2], "")

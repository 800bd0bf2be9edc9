"""What was decided, the last first, each with what it says and an undo where nothing stands on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from facesets.people import Past, history, standing_on
from facesets.registry import Registry
from facesets.review.context import Review, fragment, page, review_of
from facesets.review.forms import query

_AT_A_TIME: Final = 60


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the history, the last first. ``held`` says which later decision stands on one; ``more``: what comes before."""

    past: list[Past]
    held: dict[int, int]
    more: int | None


def _part(review: Review, registry: Registry, before: int | None) -> Part:
    past = history(review.workspace, registry, before=before, most=_AT_A_TIME)[::-1]
    if not past:
        return Part([], {}, None)
    held = standing_on(registry, past[-1].decision, past[0].decision)
    return Part(past, held, past[-1].decision if past[-1].decision > 1 else None)


async def shown(request: Request) -> HTMLResponse:
    """GET /history: the last decisions."""
    review = review_of(request)
    found = await review.threads.read(lambda registry: _part(review, registry, None))
    return await page(request, "history.html", here="history", part=found)


async def older(request: Request) -> HTMLResponse:
    """GET /history/more?before=NUMBER: those before, as they are scrolled to."""
    review, before = review_of(request), query(request).number("before", 0)
    found = await review.threads.read(lambda registry: _part(review, registry, before))
    return fragment(request, "history_part.html", part=found)


ROUTES = [Route("/history", shown), Route("/history/more", older)]

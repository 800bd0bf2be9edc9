"""How far a run is, as server-sent events: one a second while it is at work, and one when it has ended."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from facesets.progress import ProgressFile
from facesets.registry import Registry, runs
from facesets.review.context import Review, busy_with, review_of
from facesets.review.threads import running

_EVERY: Final = 1.0  # seconds
_FRESH: Final = 20.0  # seconds: a run whose progress is older may have been killed, so its lock is asked


def _state(review: Review, registry: Registry) -> dict[str, Any]:
    """What is at work, and how far; ``run`` tells one run from another."""
    last, command = runs.last(registry), review.threads.at_work or running(registry)
    progress = None
    if command is not None:
        file = review.workspace.progress_file
        progress = ProgressFile.read(file)
        if progress is None or time.time() - file.stat().st_mtime > _FRESH:
            command = busy_with(review, registry)
    return {"busy": command, "progress": progress if command else None, "run": last["id"] if last and not command else None}


async def _events(review: Review, request: Request) -> AsyncIterator[str]:
    before = None
    while not await request.is_disconnected():
        state = await review.threads.read(lambda registry: _state(review, registry))
        if state != before:
            before = state
            yield f"data: {json.dumps(state)}\n\n"
        await asyncio.sleep(_EVERY)


async def live(request: Request) -> StreamingResponse:
    """GET /live: the stream."""
    return StreamingResponse(
        _events(review_of(request), request),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


ROUTES = [Route("/live", live)]

"""What pages load: scripts, styles and pictures. Names are looked up among what there is; none becomes a path."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facesets.review.context import review_of
from facesets.review.images import SIZES

_FOR_GOOD: Final = "private, max-age=31536000, immutable"
_NO_PICTURE: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 112 112"><rect width="112" height="112" fill="#8883"/>'
    '<circle cx="56" cy="44" r="19" fill="#8886"/><path d="M20 104c3-25 18-36 36-36s33 11 36 36z" fill="#8886"/></svg>'
)


async def static(request: Request) -> Response:
    """A script or style of this package."""
    found = review_of(request).static.get(request.path_params["name"])
    if found is None:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    return Response(found.data, media_type=found.kind, headers={"cache-control": _FOR_GOOD})


async def face(request: Request) -> Response:
    """The picture of a face, by its id; a drawing where its pixels are not to be had here."""
    size = request.path_params["size"]
    data = await review_of(request).images.get(request.path_params["key"], size) if size in SIZES else None
    if data is None:
        return Response(_NO_PICTURE, media_type="image/svg+xml", headers={"cache-control": "no-store"})
    return Response(data, media_type="image/webp", headers={"cache-control": _FOR_GOOD})


async def photo(request: Request) -> Response:
    """The photo around a face, by the face's id."""
    data = await review_of(request).images.photo(request.path_params["key"])
    if data is None:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    return Response(data, media_type="image/webp", headers={"cache-control": "private, max-age=600"})


ROUTES = [
    Route("/photo/{key}", photo),
    Route("/static/{digest}/{name}", static),
    Route("/face/{key}/{size}", face),
]

"""Single assets: their record, their bytes, their thumbnails, their faces."""

from __future__ import annotations

import functools
from typing import Any

from facesets.testing.immich import edits, pictures, wire
from facesets.testing.immich.auth import find_asset
from facesets.testing.immich.dialects import NO_CACHE, Problem, invalid
from facesets.testing.immich.files import disposition, file_response, internal_error
from facesets.testing.immich.records import Asset, read_media
from facesets.testing.immich.routing import Call, json_etag, route
from facesets.testing.immich.transport import Response

THUMBNAIL_SIZES = ("original", "fullsize", "preview", "thumbnail")
_BROWSER_READS = {"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif", "image/svg+xml"}


@route("GET", "/api/assets/statistics", "asset.statistics")
def statistics(call: Call) -> Any:
    """Counts of the caller's own assets: trashed ones only where asked, archived ones included."""
    if call.query in ({}, {"isTrashed": "false"}) and (lazy := call.library.rows(frozenset({call.user.id}))) is not None:
        return {"images": len(lazy), "videos": 0, "total": len(lazy)}
    trashed = call.query.get("isTrashed") == "true"
    visibility = call.query.get("visibility")
    rows = [
        a
        for a in call.library.owned_by(frozenset({call.user.id}))
        if a.is_trashed is trashed
        and (a.visibility == visibility if visibility else a.visibility in ("timeline", "archive"))
        and ("isFavorite" not in call.query or a.is_favorite is (call.query["isFavorite"] == "true"))
    ]
    videos = sum(a.type == "VIDEO" for a in rows)
    return {"images": sum(a.type == "IMAGE" for a in rows), "videos": videos, "total": len(rows)}


@route("GET", "/api/assets/{id}", "asset.read")
def get(call: Call) -> Any:
    """One asset, whole; boxes in the edited frame, and nobody else's people."""
    asset = find_asset(call.library, call.user, call.params["id"])
    if asset.owner_id == call.user.id:
        people = wire.people_of(asset, call.library, call.dialect, edited=True)
    else:
        people = {"people": [], **({"unassignedFaces": []} if call.dialect.faces_in_search else {})}
    return wire.asset(asset, call.dialect, with_exif=True, people=people, detail=wire.asset_detail(asset, call.library))


@route("GET", "/api/assets/{id}/original", "asset.download")
def original(call: Call) -> Any:
    """The file itself; ``edited=true`` gives the edited picture, a file that is gone 2.x's mislabelled 500 or 3.x's 404."""
    try:
        asset = find_asset(call.library, call.user, call.params["id"], "asset.download", headers=NO_CACHE)
    except Problem as problem:
        if call.dialect.modern and not problem.invalid:
            raise Problem(404, "Not Found") from None
        raise
    name, mime, modified = asset.file_name, asset.mime_type, asset.file_modified_at
    if asset.is_offline:
        return _gone(call, name, mime)
    if asset.edits and call.query.get("edited") == "true":
        data = rendered(asset, pictures.PREVIEW_SHORT * 100, webp=False, edited=True)
        if data is None:
            raise Problem(404, "Not Found", bare=True, headers=NO_CACHE)
        name, mime, modified = f"{_stem(name)}.jpeg", "image/jpeg", asset.updated_at
    else:
        data = asset.read()
    return file_response(
        call.request, data, name=name, mime=mime, modified=modified, dialect=call.dialect, correlation=call.correlation
    )


def _gone(call: Call, name: str, mime: str) -> Response:
    if call.dialect.modern:
        raise Problem(404, "Not Found")
    body = internal_error(call.correlation)
    headers = {
        "Cache-Control": "none",
        "Content-Type": f"{mime}; charset=utf-8",
        "Content-Disposition": disposition(name),
        "ETag": json_etag(body),
    }
    return Response(500, headers, body)


@route("GET", "/api/assets/{id}/thumbnail", "asset.view")
def thumbnail(call: Call) -> Any:
    """Preview (JPEG), thumbnail (WebP), or for full size a redirect to the original or, where no browser reads it, the preview."""
    size = call.query.get("size", "thumbnail")
    if size not in THUMBNAIL_SIZES:
        raise invalid("size", "enum", values=THUMBNAIL_SIZES)
    asset = find_asset(call.library, call.user, call.params["id"], "asset.view")
    if size == "original" and not call.dialect.modern:
        raise Problem(400, "May not request original file")
    if size in ("original", "fullsize"):
        as_is = size == "original" or asset.mime_type in _BROWSER_READS
        return redirect("original?" if as_is else f"/api/assets/{asset.id}/thumbnail?size=preview")
    edited = bool(asset.edits) and call.query.get("edited") == "true"
    webp = size == "thumbnail"
    data = thumbnail_bytes(asset, webp=webp, edited=edited)
    if data is None:
        raise Problem(404, "Asset media not found")
    return file_response(
        call.request,
        data,
        name=f"{_stem(asset.file_name)}_{size}.{'webp' if webp else 'jpeg'}",
        mime="image/webp" if webp else "image/jpeg",
        modified=asset.updated_at,
        dialect=call.dialect,
        correlation=call.correlation,
    )


def thumbnail_bytes(asset: Asset, *, webp: bool, edited: bool = False) -> bytes | None:
    """The preview (or thumbnail) as Immich's job made it; None where it made none."""
    if not asset.has_preview:
        return None
    if asset.preview is not None and not webp and not edited:
        return read_media(asset.preview)
    return rendered(asset, pictures.THUMBNAIL_SHORT if webp else pictures.PREVIEW_SHORT, webp=webp, edited=edited)


def rendered(asset: Asset, short: int, *, webp: bool, edited: bool) -> bytes | None:
    """A picture of the asset; the last few are kept."""
    return _rendered(asset.read(), short, webp, edits.steps(asset) if edited else ())


@functools.lru_cache(maxsize=16)
def _rendered(data: bytes, short: int, webp: bool, steps: edits.Steps) -> bytes | None:  # noqa: FBT001, RUF100  a cache key
    return pictures.render(data, short=short, webp=webp, edit=steps)


def redirect(location: str) -> Response:
    """302 as Express words it."""
    headers = {"Location": location, "Vary": "Accept, Accept-Encoding", "Content-Type": "text/plain; charset=utf-8"}
    return Response(302, headers, f"Found. Redirecting to {location}".encode())


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0] if "." in name else name

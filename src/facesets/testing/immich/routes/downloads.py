"""Originals in bulk: what an archive would hold, and the archive, stored and streamed."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from typing import Any

from facesets.testing.immich.auth import find_asset, require_uuid
from facesets.testing.immich.dialects import no_access
from facesets.testing.immich.records import Asset
from facesets.testing.immich.routing import Call, route
from facesets.testing.immich.transport import Response

ARCHIVE_SIZE = 4 << 30
_STAMP = (1980, 1, 1, 0, 0, 0)


@route("POST", "/api/download/info", "asset.download", status=201)
def info(call: Call) -> Any:
    """The assets cut into archives, each closed once it is full."""
    body = call.json()
    limit = int(body.get("archiveSize") or ARCHIVE_SIZE)
    archives: list[dict[str, Any]] = []
    size, ids = 0, []
    for asset in _wanted(call, body):
        size += asset.size
        ids.append(asset.id)
        if size > limit:
            archives.append({"size": size, "assetIds": ids})
            size, ids = 0, []
    if ids:
        archives.append({"size": size, "assetIds": ids})
    return {"totalSize": sum(a["size"] for a in archives), "archives": archives}


def _wanted(call: Call, body: dict[str, Any]) -> list[Asset]:
    if "assetIds" in body:
        found = [find_asset(call.library, call.user, i, "asset.download") for i in body["assetIds"]]
    elif "albumId" in body:
        album = call.library.albums.get(require_uuid(body["albumId"], "albumId"))
        if album is None or call.user.id not in {album.owner_id, *album.shared_with}:
            raise no_access("album.download")
        found = [a for a in map(call.library.asset, album.asset_ids) if a]
    else:
        owner = require_uuid(body.get("userId"), "userId")
        if owner != call.user.id and owner not in call.library.partners_of(call.user.id):
            raise no_access("timeline.download")
        found = [a for a in call.library.owned_by(frozenset({owner})) if a.visibility != "hidden" and not a.is_trashed]
    return sorted(found, key=lambda a: (a.created_at, a.id))


@route("POST", "/api/download/archive", "asset.download")
def archive(call: Call) -> Any:
    """One zip, nothing compressed in it. An id that may not be seen refuses all; a file that is gone is silently left out."""
    found = [find_asset(call.library, call.user, i, "asset.download") for i in call.json().get("assetIds", [])]
    sink = _Sink()
    names: Counter[str] = Counter()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as pack:
        for asset in found:
            if asset.is_offline:
                continue
            count, names[asset.file_name] = names[asset.file_name], names[asset.file_name] + 1
            stem, dot, ending = asset.file_name.rpartition(".")
            name = f"{stem}+{count}{dot}{ending}" if count else asset.file_name
            pack.writestr(zipfile.ZipInfo(name, _STAMP), asset.read())
    headers = {"Content-Type": "application/octet-stream", "Vary": "Accept-Encoding"}
    return Response(200, headers, sink.getvalue(), compress=True)


class _Sink(io.BytesIO):
    """Cannot seek, as a socket cannot: zipfile then writes sizes after the data, as Immich's archiver does."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: int) -> int:
        raise io.UnsupportedOperation

    def tell(self) -> int:
        raise io.UnsupportedOperation

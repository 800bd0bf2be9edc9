"""The server's backups of its database, for administrators."""

from __future__ import annotations

from typing import Any

from facesets.testing.immich.dialects import Problem
from facesets.testing.immich.routing import Call, route
from facesets.testing.immich.transport import Response


@route("GET", "/api/admin/database-backups", "maintenance", admin=True)
def listed(call: Call) -> Any:
    """What there is."""
    _exists(call)
    found = sorted(call.library.backups.items(), reverse=True)
    return {"backups": [{"filename": name, "filesize": len(data), "timezone": "UTC"} for name, data in found]}


@route("GET", "/api/admin/database-backups/{filename}", "backup.download", admin=True)
def download(call: Call) -> Any:
    """One of them, as it lies there."""
    _exists(call)
    name = call.params["filename"]
    data = call.library.backups.get(name)
    if data is None:
        raise Problem(404, "Backup not found")
    return Response(200, {"Content-Type": "application/octet-stream", "Content-Disposition": f'attachment; filename="{name}"'}, data)


def _exists(call: Call) -> None:
    if call.dialect.parts < (2, 5, 0):
        raise Problem(404, f"Cannot GET {call.request.target}")

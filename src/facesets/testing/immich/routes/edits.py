"""Changing assets: their fields, their edits, the trash, and asking what is here already."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from facesets.testing.immich import wire
from facesets.testing.immich.auth import find_own_asset
from facesets.testing.immich.dialects import invalid
from facesets.testing.immich.edits import EDIT_ACTIONS
from facesets.testing.immich.ids import pg_time
from facesets.testing.immich.records import Asset, Edit, after_edit
from facesets.testing.immich.routing import Call, route


@route("GET", "/api/assets/{id}/edits", "asset.edit.get")
def get_edits(call: Call) -> Any:
    """The steps of a non-destructive edit."""
    return _edits(find_own_asset(call.library, call.user, call.params["id"], "asset.read"))


@route("PUT", "/api/assets/{id}/edits", "asset.edit.create")
def put_edits(call: Call) -> Any:
    """Replace the edit: crop first, then turn and mirror. The original stays; what the crop cuts off loses its faces."""
    asset = find_own_asset(call.library, call.user, call.params["id"], "asset.update")
    made = []
    for step in call.json().get("edits", []):
        if step.get("action") not in EDIT_ACTIONS:
            raise invalid("edits.0.action", "enum", values=EDIT_ACTIONS)
        made.append(Edit(call.library.new_id("edit"), step["action"], dict(step.get("parameters", {}))))
    asset.edits = made
    asset.updated_at = call.library.now()
    after_edit(asset)
    return _edits(asset)


@route("DELETE", "/api/assets/{id}/edits", "asset.edit.delete", status=204)
def delete_edits(call: Call) -> Any:
    """Back to the original."""
    asset = find_own_asset(call.library, call.user, call.params["id"], "asset.update")
    asset.edits, asset.updated_at = [], call.library.now()
    after_edit(asset)


def _edits(asset: Asset) -> wire.Json:
    steps = [{"id": e.id, "action": e.action, "parameters": e.parameters} for e in asset.edits]
    return {"assetId": asset.id, "edits": steps}


@route("POST", "/api/assets/bulk-upload-check", "asset.upload")
def upload_check(call: Call) -> Any:
    """Which of these checksums (base64 or hex) the caller has already."""
    own = {a.sha1: a for a in call.library.owned_by(frozenset({call.user.id})) if a.library_id is None}
    results: list[dict[str, Any]] = []
    for item in call.json().get("assets", []):
        known = own.get(_checksum(str(item["checksum"])))
        if known:
            found = {"assetId": known.id, "isTrashed": known.is_trashed}
            results.append({"id": item["id"], "action": "reject", "reason": "duplicate", **found})
        else:
            results.append({"id": item["id"], "action": "accept"})
    return {"results": results}


def _checksum(text: str) -> bytes:
    try:
        return bytes.fromhex(text) if len(text) == 40 else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return b""


@route("GET", "/api/duplicates", "duplicate.read")
def duplicates(call: Call) -> Any:
    """Groups that Immich thinks are one picture; dates in the database's own form."""
    groups: dict[str, list[Asset]] = {}
    for asset in call.library.owned_by(frozenset({call.user.id})):
        if asset.duplicate_id and not asset.is_trashed:
            groups.setdefault(asset.duplicate_id, []).append(asset)
    return [
        {
            "duplicateId": group,
            "assets": [_duplicate(a, call) for a in members],
            "suggestedKeepAssetIds": [max(members, key=lambda a: (a.size, a.id)).id],
        }
        for group, members in groups.items()
    ]


def _duplicate(asset: Asset, call: Call) -> wire.Json:
    detail = {"tags": [wire.tag(t, call.library) for t in asset.tag_ids]}
    stack = wire.asset_detail(asset, call.library)["stack"]
    return wire.asset(asset, call.dialect, with_exif=True, stamp=pg_time, detail=detail | ({"stack": stack} if stack else {}))

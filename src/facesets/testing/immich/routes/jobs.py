"""Immich's jobs, started by hand: for some photos by their owner, for all by the admin."""

from __future__ import annotations

from typing import Any

from facesets.testing.immich import jobs
from facesets.testing.immich.auth import find_own_asset
from facesets.testing.immich.dialects import Problem
from facesets.testing.immich.routing import Call, route

_COUNTS = ("active", "completed", "failed", "delayed", "waiting", "paused")


@route("POST", "/api/assets/jobs", "job.create", status=204)
def of_assets(call: Call) -> Any:
    """Look at some photos again (``refresh-faces``) or read their files again (``refresh-metadata``)."""
    body = call.json()
    assets = [find_own_asset(call.library, call.user, i, "asset.update") for i in body.get("assetIds", [])]
    match body.get("name"):
        case "refresh-faces":
            jobs.detect(call.library, assets, thumbnails=call.thumbnails)
        case "refresh-metadata":
            for asset in assets:
                jobs.read_metadata(call.library, asset)
        case name:
            raise Problem(400, f"the testing Immich knows no job {name} for assets")


@route("PUT", "/api/jobs/{name}", "job.create", admin=True)
def of_all(call: Call) -> Any:
    """Everybody's photos: ``faceDetection`` (``force`` true: reset; not said: refresh; false: what was never looked at: nothing here)
    and ``facialRecognition`` (``force`` true: reset; false: what is nobody's). Says how the queue stood before it began.
    """
    force = call.json().get("force")
    everything = list(call.library.owned_by(frozenset(call.library.users)))
    match call.params["name"]:
        case "faceDetection" if force is True:
            jobs.detect_anew(call.library, everything, thumbnails=call.thumbnails)
        case "faceDetection":
            jobs.detect(call.library, everything if force is None else [], thumbnails=call.thumbnails)
        case "facialRecognition":
            jobs.recognise(call.library, anew=force is True, thumbnails=call.thumbnails)
        case name:
            raise Problem(400, f"the testing Immich knows no job {name}")
    counts = dict.fromkeys(_COUNTS, 0) | {"waiting": 1}
    return {"queueStatus": {"isPaused": False, "isActive": False}, "jobCounts": counts}


@route("POST", "/api/jobs", "job.create", admin=True, status=204)
def one_off(call: Call) -> Any:
    """``person-cleanup`` deleted nobody, on 2.7.2 and 3.1.0 alike: people without any face stay."""
    if call.json().get("name") != "person-cleanup":
        raise Problem(400, f"the testing Immich knows no job {call.json().get('name')}")

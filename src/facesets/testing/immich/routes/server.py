"""What a server says of itself: version, features, configuration, counts."""

from __future__ import annotations

from typing import Any

from facesets.testing.immich.ids import js_time, make_uuid
from facesets.testing.immich.records import SEEDED
from facesets.testing.immich.routing import Call, route

_FEATURES_ON = {"facialRecognition", "duplicateDetection", "map", "reverseGeocoding", "sidecar", "search", "trash", "passwordLogin"}
_FEATURES = (
    "smartSearch",
    "facialRecognition",
    "duplicateDetection",
    "map",
    "reverseGeocoding",
    "importFaces",
    "sidecar",
    "search",
    "trash",
    "oauth",
    "oauthAutoLaunch",
    "ocr",
    "passwordLogin",
    "configFile",
    "email",
)
_IMAGES = (
    ".avif .bmp .gif .jpeg .jpg .png .webp .3fr .ari .arw .cap .cin .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .k25 .kdc .mrw "
    ".nef .nrw .orf .ori .pef .psd .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f .heic .heif .hif .insp .jp2 .jpe .jxl .mpo .svg .tif .tiff"
)
_VIDEOS = ".3gp .3gpp .avi .flv .insv .m2t .m2ts .m4v .mkv .mov .mp4 .mpe .mpeg .mpg .mts .mxf .ts .vob .webm .wmv"


@route("GET", "/api/server/ping", public=True)
def ping(_call: Call) -> Any:
    """Alive."""
    return {"res": "pong"}


@route("GET", "/api/server/version", public=True)
def version(call: Call) -> Any:
    """The version in numbers."""
    major, minor, patch = call.dialect.parts
    return {"major": major, "minor": minor, "patch": patch, **({"prerelease": None} if call.dialect.modern else {})}


@route("GET", "/api/server/about", "server.about")
def about(call: Call) -> Any:
    """The version and what the server is built with."""
    number = call.dialect.version
    return {
        "version": f"v{number}",
        "versionUrl": f"https://github.com/immich-app/immich/releases/tag/v{number}",
        "licensed": False,
        "nodejs": "v24.0.0",
        "exiftool": "13.0",
        "ffmpeg": "7.0",
        "libvips": "8.17.0",
        "imagemagick": "7.1.0",
    }


@route("GET", "/api/server/features", public=True)
def features(call: Call) -> Any:
    """What is switched on."""
    extra = {"realtimeTranscoding": False} if call.dialect.modern else {}
    return {name: name in _FEATURES_ON for name in _FEATURES} | extra


@route("GET", "/api/server/config", public=True)
def config(call: Call) -> Any:
    """What a login page needs."""
    return {
        "loginPageMessage": "",
        "trashDays": 30,
        "userDeleteDelay": 7,
        "oauthButtonText": "Login with OAuth",
        "isInitialized": True,
        "isOnboarded": True,
        "externalDomain": "",
        "publicUsers": True,
        "mapDarkStyleUrl": "",
        "mapLightStyleUrl": "",
        "maintenanceMode": False,
        **({"minFaces": 3} if call.dialect.modern else {}),
    }


@route("GET", "/api/server/media-types", public=True)
def media_types(call: Call) -> Any:
    """File endings that the server takes."""
    images = [e for e in _IMAGES.split() if e != ".mpo" or call.dialect.modern]
    return {"video": _VIDEOS.split(), "image": images, "sidecar": [".xmp"]}


@route("GET", "/api/server/version-history", None)
def version_history(call: Call) -> Any:
    """Versions this server has run."""
    number = call.dialect.version
    return [{"id": make_uuid(call.library.seed, "version", number), "createdAt": js_time(SEEDED), "version": number}]


@route("GET", "/api/server/statistics", "server.statistics", admin=True)
def statistics(call: Call) -> Any:
    """Counts and sizes of every user."""
    rows = []
    for user in tuple(call.library.users.values()):
        owned = [a for a in call.library.owned_by(frozenset({user.id})) if not a.is_trashed]
        uploads = [a for a in owned if a.library_id is None]
        sizes = {kind: sum(a.size for a in uploads if a.type == kind) for kind in ("IMAGE", "VIDEO")}
        rows.append(
            {
                "userId": user.id,
                "userName": user.name,
                "photos": sum(a.type == "IMAGE" for a in owned),
                "videos": sum(a.type == "VIDEO" for a in owned),
                "usage": sizes["IMAGE"] + sizes["VIDEO"],
                "usagePhotos": sizes["IMAGE"],
                "usageVideos": sizes["VIDEO"],
                "quotaSizeInBytes": None,
            }
        )
    names = ("photos", "videos", "usage", "usagePhotos", "usageVideos")
    return {**{n: sum(r[n] for r in rows if isinstance(r[n], int)) for n in names}, "usageByUser": rows}


@route("GET", "/.well-known/immich", public=True)
def well_known(_call: Call) -> Any:
    """Where the API is."""
    return {"api": {"endpoint": "/api"}}

"""Rebuilds, for the testing server, the library that stood on two real Immich servers when their answers were recorded.

Nothing of the recordings is kept in the project: everything is read when the tests run, and binary bodies, of which only length and
hash were recorded, are made up in the recorded length.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from facesets.testing import Album, ApiKey, Asset, Edit, Face, Library, Person, Stack, User
from facesets.testing.immich.ids import make_uuid
from facesets.testing.immich.records import Exif, ExternalLibrary

Json = Any
_EXIF_OWN = {
    "make",
    "model",
    "exifImageWidth",
    "exifImageHeight",
    "fileSizeInByte",
    "orientation",
    "dateTimeOriginal",
    "modifyDate",
    "timeZone",
    "description",
}
LATER = ("PARTNER_", "ALBUMSHARED_", "EDIT_", "FACE_", "POST_search_metadata_PARTNER", "POST_search_metadata_ALBUMSHARED")


@dataclass(frozen=True)
class Recording:
    """One exchange as it was recorded."""

    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: Json
    status: int
    answer_headers: dict[str, str]
    answer: Json  # parsed JSON, text, the list of JSON lines, or None for a binary
    binary: dict[str, Any] | None


@dataclass
class Recorded:
    """All exchanges of one server, and the library they speak of."""

    folder: Path
    recordings: dict[str, Recording] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Recorded:
        made = cls(folder)
        for path in sorted(folder.glob("*.json")):
            raw = json.loads(path.read_text())
            if "response" in raw:
                made.recordings[path.stem] = _recording(path.stem, raw)
        return made

    def answer(self, name: str) -> Json:
        return self.recordings[name].answer

    def seeds(self) -> Json:
        return json.loads((self.folder / "seed_calls.json").read_text())

    def objects(self) -> Iterator[dict[str, Any]]:
        """Every JSON object in every answer of the first round, inner ones too."""
        for one in self.recordings.values():
            if not one.name.startswith(LATER) and one.status < 400:
                yield from objects_in(one.answer)


def _recording(name: str, raw: Json) -> Recording:
    asked, got = raw["request"], raw["response"]
    path = asked["path"]
    headers = dict(asked.get("headers") or {})
    if not path.startswith("/api"):  # the second round was noted without prefix and key
        path, headers = f"/api{path}", {"x-api-key": "<key:admin_all>"}
    answer = got.get("lines") or got.get("body")
    if answer is None:
        answer = got.get("text")
    if got.get("lines") and got["status"] >= 400:
        answer = got["lines"][:1]
    return Recording(name, asked["method"], path, headers, asked.get("body"), got["status"], got["headers"], answer, got.get("binary"))


def objects_in(value: Json) -> Iterator[dict[str, Any]]:
    """Every JSON object in an answer, inner ones too."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects_in(inner)


def when(text: str | None) -> datetime | None:
    """A recorded time."""
    if text is None:
        return None
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def times(text: str) -> datetime:
    """The same, where there is one."""
    value = when(text)
    assert value is not None
    return value


def rebuild(recorded: Recorded) -> Library:
    """The library behind the first round of recordings."""
    library = Library(seed=1)
    _users(recorded, library)
    _keys(recorded, library)
    library_rows = recorded.answer("GET_libraries")
    for row in library_rows:
        library.libraries[row["id"]] = ExternalLibrary(
            row["id"],
            row["ownerId"],
            row["name"],
            tuple(row["importPaths"]),
            tuple(row["exclusionPatterns"]),
            times(row["createdAt"]),
            times(row["updatedAt"]),
            when(row["refreshedAt"]),
        )
    _people(recorded, library)
    _assets(recorded, library)
    _faces(recorded, library)
    _groups(recorded, library)
    _thumbnails_of_people(recorded, library)
    return library


def _users(recorded: Recorded, library: Library) -> None:
    stamps = [o for r in recorded.recordings.values() for o in objects_in(r.answer) if "profileChangedAt" in o]
    exact = {o["id"]: o["profileChangedAt"] for o in stamps if o["profileChangedAt"].endswith("+00:00")}
    for row in reversed(recorded.answer("GET_admin_users")):
        made = times(exact.get(row["id"], row["createdAt"]))
        library.users[row["id"]] = User(
            row["id"],
            row["name"],
            row["email"],
            row["isAdmin"],
            created_at=made,
            updated_at=times(row["updatedAt"]),
            avatar_color=row["avatarColor"],
            storage_label=row["storageLabel"],
        )


def _keys(recorded: Recorded, library: Library) -> None:
    admin, two, three = library.users
    for name, seed in recorded.seeds().items():
        if name.startswith("POST_api-keys_"):
            row = seed["apiKey"]
            owner = {"user2": two, "user3": three}.get(row["name"].split("_")[0], admin)
            secret = f"<key:{row['name']}>"
            library.keys[secret] = ApiKey(
                secret, owner, row["id"], row["name"], tuple(row["permissions"]), times(row["createdAt"]), times(row["updatedAt"])
            )


def _people(recorded: Recorded, library: Library) -> None:
    admin, two, _ = library.users
    exact = {o["id"]: o["updatedAt"] for o in recorded.objects() if "thumbnailPath" in o and o["updatedAt"].endswith("+00:00")}
    lines = {line["data"]["id"]: line["data"] for line in recorded.answer("POST_sync_stream_session_PeopleV1") if line["data"]}
    theirs = {p["id"]: p for p in recorded.answer("GET_people_user2")["people"]}
    for one, row in {**lines, **theirs}.items():
        library.people[one] = Person(
            id=one,
            owner_id=two if one in theirs else admin,
            name=row["name"],
            birth_date=(row["birthDate"] or "")[:10] or None,
            is_hidden=row["isHidden"],
            is_favorite=row["isFavorite"],
            color=row.get("color"),
            face_id=row.get("faceAssetId"),
            created_at=times(row.get("createdAt") or row["updatedAt"]),
            updated_at=times(exact.get(one, row["updatedAt"])),
        )


def _assets(recorded: Recorded, library: Library) -> None:
    rows: dict[str, dict[str, Any]] = {}
    found = [o for o in recorded.objects() if "originalPath" in o]
    for one in sorted(found, key=lambda o: str(o["createdAt"]).endswith("Z"), reverse=True):
        row = rows.setdefault(one["id"], {})  # the few with microseconds last, so that those stay
        row.update({k: v for k, v in one.items() if v is not None or k not in row})
    first, second = "POST_sync_stream_session_AssetsV1", "POST_sync_stream_session_AssetsV2"
    name = second if recorded.recordings[second].status == 200 else first
    lines = {line["data"]["id"]: line["data"] for line in recorded.answer(name) if line["data"]}
    for asset_id, line in lines.items():
        if asset_id not in rows:
            rows[asset_id] = {**line, "originalPath": f"/data/upload/{asset_id}.jpg", "originalMimeType": "image/jpeg"}
    for asset_id, row in sorted(rows.items(), key=lambda r: (str(r[1].get("createdAt")), r[0])):
        library.assets[asset_id] = asset_of(recorded, row, lines.get(asset_id, {}))


def asset_of(recorded: Recorded, row: dict[str, Any], line: dict[str, Any] | None = None) -> Asset:
    """A photo as an answer (and a line of the sync stream) shows it."""
    line = line or {}
    info = row.get("exifInfo") or {}
    size = int(info.get("fileSizeInByte") or 1000)
    duration = line.get("duration", row.get("duration"))
    made = times(row.get("createdAt") or "2026-11-22T08:54:00.000Z")
    return Asset(
        id=row["id"],
        owner_id=row["ownerId"],
        file_name=row["originalFileName"],
        original_path=row["originalPath"],
        data=picture(info.get("exifImageWidth"), info.get("exifImageHeight"), size),
        size=size,
        sha1=base64.b64decode(row["checksum"]),
        type=row["type"],
        mime_type=row["originalMimeType"],
        exif=Exif(
            width=info.get("exifImageWidth", row.get("width")),
            height=info.get("exifImageHeight", row.get("height")),
            orientation=info.get("orientation"),
            date_time_original=when(info.get("dateTimeOriginal")),
            modify_date=when(info.get("modifyDate")),
            time_zone=info.get("timeZone"),
            make=info.get("make"),
            model=info.get("model"),
            description=info.get("description") or "",
            more={k: v for k, v in info.items() if k not in _EXIF_OWN},
        ),
        file_created_at=times(row["fileCreatedAt"]),
        file_modified_at=times(row["fileModifiedAt"]),
        local_time=times(row["localDateTime"]),
        created_at=made,
        updated_at=times(row.get("updatedAt") or "2026-11-22T08:54:00.000Z"),
        visibility=row["visibility"],
        is_favorite=row["isFavorite"],
        deleted_at=when(line.get("deletedAt")) or (made if row.get("isTrashed") else None),
        is_offline=bool(row.get("isOffline")),
        library_id=row["libraryId"],
        duplicate_id=row.get("duplicateId"),
        duration_ms=_milliseconds(duration),
        thumbhash=row["thumbhash"],
        has_preview=not _no_preview(recorded, row["id"]),
        preview=_preview(recorded, row["id"]),
        edits=_edits(recorded, row),
        device_asset_id=row.get("deviceAssetId", ""),
        device_id=row.get("deviceId", ""),
    )


def _milliseconds(duration: Json) -> int | None:
    if duration in (None, "0:00:00.00000") or isinstance(duration, int):
        return duration if isinstance(duration, int) else None
    hours, minutes, seconds = str(duration).split(":")
    return round((int(hours) * 60 + int(minutes)) * 60_000 + float(seconds) * 1000)


def _thumbnails(recorded: Recorded, asset_id: str) -> list[Recording]:
    found = [r for r in recorded.recordings.values() if f"/{asset_id}/thumbnail?size=preview" in r.path and "edited=true" not in r.path]
    return [r for r in found if not r.headers.get("Range") and r.name != "GET_thumbnail_preview_if-none-match"]


def _no_preview(recorded: Recorded, asset_id: str) -> bool:
    return any(r.answer and r.answer.get("message") == "Asset media not found" for r in _thumbnails(recorded, asset_id))


def _preview(recorded: Recorded, asset_id: str) -> bytes | None:
    lengths = [r.binary["length"] for r in _thumbnails(recorded, asset_id) if r.binary and r.status == 200]
    return picture(64, 48, lengths[0]) if lengths else None


def _edits(recorded: Recorded, row: dict[str, Any]) -> list[Edit]:
    if not row.get("isEdited") or not (recorded.folder / "seed_calls.json").is_file():
        return []
    seed = recorded.seeds()["PUT_assets_id_edits"]["body"]
    if row["id"] != seed["assetId"]:
        return []
    return [Edit(e["id"], e["action"], e["parameters"]) for e in seed["edits"]]


@cache
def picture(width: int | None, height: int | None, size: int) -> bytes:
    """A grey JPEG of these dimensions, filled up to ``size`` bytes; noise where it has no dimensions."""
    out = io.BytesIO()
    if width and height:
        Image.new("L", (width, height), 128).save(out, "JPEG", quality=5)
    data = out.getvalue()
    return data + bytes(size - len(data)) if len(data) <= size else bytes(size)


def _faces(recorded: Recorded, library: Library) -> None:
    for line in recorded.answer("POST_sync_stream_session_AssetFacesV2"):
        row = line["data"]
        if "assetId" in row:
            face = _face(row, row["personId"])
            face.is_visible, face.deleted_at = row["isVisible"], when(row["deletedAt"])
            library.assets[row["assetId"]].faces.append(face)
    known = {f.id for a in library.assets.values() for f in a.faces}
    for recording in recorded.recordings.values():
        if "partner" not in recording.name.lower() and "user2" not in recording.name:
            continue
        for row in objects_in(recording.answer):
            asset = library.assets.get(str(row.get("id")))
            if asset is None or "people" not in row or row["ownerId"] == next(iter(library.users)):
                continue
            for person in row["people"]:
                if "faces" not in person and any(f.person_id == person["id"] for f in asset.faces):
                    continue
                for face in person.get("faces") or [{"id": make_uuid(asset.id, person["id"])}]:  # 3.x tells no boxes here
                    if face["id"] not in known:
                        known.add(face["id"])
                        asset.faces.append(_face(face, person["id"]))
            for face in row.get("unassignedFaces") or []:
                if face["id"] not in known:
                    known.add(face["id"])
                    asset.faces.append(_face(face, None))


def _thumbnails_of_people(recorded: Recorded, library: Library) -> None:
    made = {o["id"] for o in recorded.objects() if o.get("thumbnailPath")}
    for person in library.people.values():
        if person.id in made:
            standing = library.faces_of(person.id)
            person.thumbnail = next((a.id for a, f in standing if f.id == person.face_id), standing[0][0].id if standing else "unknown")
    library.machine_learning = bool(made)


def _face(row: dict[str, Any], person_id: str | None) -> Face:
    return Face(
        id=row["id"],
        x1=int(row.get("boundingBoxX1", 10)),
        y1=int(row.get("boundingBoxY1", 10)),
        x2=int(row.get("boundingBoxX2", 90)),
        y2=int(row.get("boundingBoxY2", 90)),
        image_width=int(row.get("imageWidth", 100)),
        image_height=int(row.get("imageHeight", 100)),
        person_id=person_id,
        source_type=row.get("sourceType", "manual"),
    )


def _groups(recorded: Recorded, library: Library) -> None:
    seeds = recorded.seeds()
    stack = seeds["POST_stacks"]
    ids = [a["id"] for a in stack["assets"]]
    owner = next(iter(library.users))
    library.stacks[stack["id"]] = Stack(stack["id"], owner, stack["primaryAssetId"], ids)
    for one in ids:
        library.assets[one].stack_id = stack["id"]
    album = seeds["POST_albums"]
    inside = [i["id"] for i in recorded.answer("POST_search_metadata_albumIds")["assets"]["items"]]
    library.albums[album["id"]] = Album(album["id"], owner, album["albumName"], inside)

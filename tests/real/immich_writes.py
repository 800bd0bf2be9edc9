"""Rebuilds, for the testing server, what stood on two real Immich servers while they were written to, and asks it the same again.

What was done between the recordings was not recorded: the table of people and faces that must be there follows from what was asked, and
``_before`` does the few steps in between. Ids that a server chose are given to the testing server in the order in which it chooses.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from facesets.testing import ApiKey, Asset, Edit, Exif, Face, ImmichServer, Library, Partner, Person, Tag, User
from tests.real.immich_contract import Reply, compare
from tests.real.immich_recordings import Recorded, Recording, asset_of, objects_in, times, when

NOBODY = "11111111-1111-4111-8111-111111111111"
BY_THE_OTHER = {"FACE_GET_partners_asset_by_its_owner", "FACE_DELETE_by_the_owner", "FACE_GET_my_asset_by_partner"}
_OTHERS_FACES = ("FACE_PUT_other_users_face", "FACE_DELETE_other_users")
_OTHERS_PHOTOS = ("FACE_POST_partners_asset", "FACE_POST_partners_asset_2", "TAGS_PUT_bulk_partners_asset")
_STATES = {"trashed": "trashed", "archived": "archive", "locked": "locked"}
_ROTATED, _CROPPED = "FACE_POST_edited", "FACE_POST_edited_crop"


class Scripted(Library):
    """A library whose next ids can be said beforehand, by kind."""

    def __init__(self) -> None:
        super().__init__(seed=1)
        self.next_ids: defaultdict[str, list[str]] = defaultdict(list)

    def _uuid(self, kind: str, *parts: object) -> str:
        chosen = super()._uuid(kind, *parts)
        return self.next_ids[kind].pop(0) if self.next_ids[kind] else chosen


class World:
    """One server's write recordings, in the order in which they were made, and the library that they begin with."""

    def __init__(self, folder: Path) -> None:
        self.recorded = Recorded.read(folder)
        named = [line.split("\t")[0] for line in (folder / "_INDEX.tsv").read_text().splitlines()]
        jobs = [n for n in self.recorded.recordings if n not in named]  # for the whole server: last, since they leave nothing as it was
        self.order = [self.recorded.recordings[n] for n in (*named, *sorted(jobs))]
        self.library = Scripted()
        self._users()
        self._assets()
        self._people()
        self._faces()
        for row in self.recorded.answer("TAGS_GET"):
            self._tag(row["id"], row["value"], row.get("parentId"))

    def replay(self, server: ImmichServer) -> Iterator[Reply]:
        """Every exchange against the server."""
        with httpx.Client(base_url=server.url, timeout=20) as client:
            for one in self.order:
                self._before(one)
                headers = {"x-api-key": self._key(one)}
                reply = Reply(one, client.request(one.method, one.path, headers=headers, json=one.body))
                compare(reply)
                yield reply

    def _key(self, one: Recording) -> str:
        if one.name in BY_THE_OTHER:
            return "other"
        if one.name.startswith("JOB_"):
            return "admin"
        if found := re.match(r"PERM_(?:asset_job_(\w+\.\w+)|([a-z]+)_([a-z]+)_\d)", one.name):
            permission = found[1] or f"{found[2]}.{found[3]}"
            self.library.keys.setdefault(
                permission, ApiKey(permission, self.anna.id, f"key of {permission}", permission, (permission,))
            )
            return permission
        return "anna"

    # the library

    def _objects(self) -> Iterator[dict[str, Any]]:
        """Every JSON object that was answered, in order of time."""
        for one in self.order:
            if one.status < 400:
                yield from objects_in(one.answer)

    def _users(self) -> None:
        rows = {o["id"]: o for o in self._objects() if "email" in o}
        owner = next(o["ownerId"] for o in self._objects() if "ownerId" in o)
        made = [when(o.get("profileChangedAt")) for o in self._objects() if o.get("id") == owner and "profileChangedAt" in o]
        stamp = made[0]
        assert stamp is not None
        admin = self.library.user("admin")
        self.anna = User(owner, rows[owner]["name"], rows[owner]["email"], created_at=stamp, avatar_color=rows[owner]["avatarColor"])
        self.library.users[owner] = self.anna
        self.other = self.library.user("other")
        for secret, user in (("admin", admin), ("anna", self.anna), ("other", self.other)):
            self.library.keys[secret] = ApiKey(secret, user.id, f"key of {secret}", secret)
        self.library.partners += [Partner(self.anna.id, self.other.id), Partner(self.other.id, self.anna.id)]

    def _assets(self) -> None:
        library = self.library
        rows: dict[str, dict[str, Any]] = {}
        for row in self._objects():
            if "originalPath" in row:
                rows.setdefault(row["id"], {}).update(
                    {k: v for k, v in row.items() if v is not None or k not in rows.get(row["id"], {})}
                )
        for asset_id, row in rows.items():
            library.assets[asset_id] = asset_of(self.recorded, row)
        for one in self.order:
            body = one.body if isinstance(one.body, dict) else {}
            named = [
                body.get("assetId"),
                body.get("featureFaceAssetId"),
                *body.get("assetIds", []),
                *(d["assetId"] for d in body.get("data", [])),
            ]
            named += body.get("ids", []) if "/albums" in one.path or "/tags" in one.path else []
            named += [httpx.URL(one.path).params.get("id")] if one.path.startswith("/api/faces?") else []
            named += re.findall(r"/assets/([0-9a-f-]{36})", one.path)
            for asset_id in named:
                if asset_id and asset_id != NOBODY and asset_id not in library.assets:
                    self._photo(asset_id)
            for word, state in _STATES.items():
                if one.name == f"FACE_POST_{word}":
                    self._set(library.assets[body["assetId"]], state)
        for name in _OTHERS_PHOTOS:
            body = self.recorded.recordings[name].body
            library.assets[body.get("assetId") or body["assetIds"][0]].owner_id = self.other.id
        self._edited(_ROTATED, Exif(183, 275), "rotate", {"angle": 90})
        self._edited(_CROPPED, Exif(2000, 1500), "crop", {"x": 90, "y": 80, "width": 1762, "height": 1299})

    def _photo(self, asset_id: str | None = None) -> Asset:
        out = io.BytesIO()
        Image.new("L", (100, 100)).save(out, "JPEG")
        return self.library.photo(self.anna, out.getvalue(), id=asset_id)

    @staticmethod
    def _set(asset: Asset, state: str) -> None:
        if state == "trashed":
            asset.deleted_at = asset.created_at
        else:
            asset.visibility = "archive" if state == "archive" else "locked"

    def _edited(self, name: str, exif: Exif, action: Any, parameters: dict[str, float | str]) -> None:
        asset = self.library.assets[self.recorded.recordings[name].body["assetId"]]
        asset.exif.width, asset.exif.height = exif.width, exif.height
        asset.edits = [Edit("edit", action, parameters)]

    def _people(self) -> None:
        made = {r.answer["id"] for r in self.order if r.method == "POST" and r.path == "/api/people" and r.status == 201}
        rows: dict[str, dict[str, Any]] = {}
        for row in self._objects():
            if "thumbnailPath" in row:
                rows.setdefault(row["id"], row)
        asked = {i for one in self.order for i in _people_asked(one)} - {NOBODY}
        listed = [p["id"] for p in self.recorded.answer("PEOPLE_GET_list_after_create")["people"]]
        crowd = self._photo()
        for one in [*listed, *sorted((asked | rows.keys()) - set(listed))]:
            if one in made:
                continue
            row = rows.get(one, {})
            stamp = times(row.get("updatedAt") or "2026-11-29T10:00:00Z")
            self.library.people[one] = Person(
                one, self.anna.id, row.get("name", ""), row.get("birthDate"), bool(row.get("isHidden")), bool(row.get("isFavorite")),
                row.get("color"), created_at=stamp, updated_at=stamp,
            )  # fmt: skip
            if row.get("thumbnailPath") and one in listed:
                self.library.people[one].face_id = self.library.people[one].thumbnail = crowd.id
        for place, one in enumerate(listed):  # as many faces as keep them in this order
            crowd.faces += [self._face(f"{one} {n}", one) for n in range(60 - place)]
        self.library.people[_id(self.recorded.recordings["PEOPLE_PUT_other_users"])].owner_id = self.other.id

    @staticmethod
    def _face(face_id: str, person_id: str | None = None) -> Face:
        return Face(face_id, 10, 10, 90, 90, 100, 100, person_id)

    def _faces(self) -> None:
        library = self.library
        made = set(_faces_made(self.recorded).values())
        for one in self.order:
            if one.path.startswith("/api/faces?"):
                asset = library.assets[httpx.URL(one.path).params["id"]]
                for row in one.answer:
                    if row["id"] not in made | {f.id for f in asset.faces}:
                        person = row["person"]["id"] if row["person"] else None
                        asset.faces.append(Face(row["id"], 10, 10, 90, 90, row["imageWidth"], row["imageHeight"], person))
        for row in self._objects():
            if "originalPath" in row and row["id"] in library.assets and not library.assets[row["id"]].faces:
                library.assets[row["id"]].faces += [self._face(f"{row['id']} of {p['id']}", p["id"]) for p in row.get("people") or []]
        theirs = self.recorded.recordings["PEOPLE_REASSIGN_other_users"].body["data"][0]
        library.assets[theirs["assetId"]].faces.append(self._face("theirs", theirs["personId"]))
        known = {f.id for a in library.assets.values() for f in a.faces} | made | {NOBODY}
        restored = library.assets[self.recorded.recordings["PEOPLE_PUT_feature_restore"].body["featureFaceAssetId"]]
        again = self.recorded.recordings["PEOPLE_PUT_feature_undo"]
        library.assets[again.body["featureFaceAssetId"]].faces.append(self._face("featured before", _id(again)))
        for one in self.order:
            face_id = _face_asked(one)
            if face_id is None or face_id in known:
                continue
            known.add(face_id)
            asset = restored if one.name == "FACE_PUT_featured_face" else self._photo()
            asset.faces.append(self._face(face_id))
            asset.owner_id = self.other.id if one.name in _OTHERS_FACES else self.anna.id
            for word, state in _STATES.items():
                if one.name == f"FACE_PUT_{word}_asset":
                    self._set(asset, state)
            asset.faces[-1].is_visible = one.name != "FACE_PUT_invisible_face"
        self._feature(
            _face_asked(self.recorded.recordings["FACE_PUT_featured_face"]), _id(self.recorded.recordings["FACE_PUT_featured_undo"])
        )
        force = self.recorded.recordings["FACE_DELETE_force_featured"]
        self._feature(_face_asked(force), _id(self.recorded.recordings["PEOPLE_THUMBNAIL_featured_force_deleted"]))

    def _feature(self, face_id: str | None, person_id: str) -> None:
        asset, face = next((a, f) for a in self.library.assets.values() for f in a.faces if f.id == face_id)
        person = self.library.people[person_id]
        face.person_id, person.face_id, person.thumbnail = person_id, face.id, asset.id

    def _tag(self, tag_id: str, value: str, parent: str | None = None) -> None:
        self.library.tags[tag_id] = Tag(tag_id, self.anna.id, value, parent_id=parent)

    # between the recordings

    def _before(self, one: Recording) -> None:
        library, answer = self.library, one.answer
        library.next_ids.clear()
        if one.name in (faces := _faces_made(self.recorded)):
            library.next_ids["face"] = [faces[one.name]]
        if one.status in (200, 201) and one.method in ("POST", "PUT"):
            for kind in ("person", "album", "tag"):
                rows = answer if isinstance(answer, list) else [answer]
                library.next_ids[kind] = [i for row in rows if isinstance(row, dict) for i in (row.get("parentId"), row.get("id")) if i]
                library.next_ids[kind] = [i for i in library.next_ids[kind] if i not in library.tags]
        match one.name:
            case "FACE_GET_after_soft_delete":
                self._keep_only(answer)
            case "GET_asset_edited_dims":
                self._keep_only(self.recorded.answer("FACE_GET_edited"))
            case "TAGS_PUT_bulk_partners_asset":
                self._tag(one.body["tagIds"][0], "a partner's")
            case "TAGS_DELETE_parent_of_child":
                self._tag(_id(one), "parent")
            case "TAGS_DELETE_assets_first":
                self._tag(_id(one), "first")
                library.assets[one.body["ids"][0]].tag_ids.append(_id(one))

    def _keep_only(self, rows: list[dict[str, Any]]) -> None:
        """Take away what else had been drawn on a photo, as was done."""
        shown = {row["id"] for row in rows}
        asset = next(a for a in self.library.assets.values() if shown & {f.id for f in a.faces})
        asset.faces[:] = [f for f in asset.faces if f.id in shown or f.deleted_at]


def _id(one: Recording) -> str:
    return str(re.findall(r"[0-9a-f-]{36}", one.path)[0])


def _people_asked(one: Recording) -> list[str]:
    body = one.body if isinstance(one.body, dict) else {}
    named = [body.get("personId"), *(d.get("personId") for d in body.get("data", [])), *(p["id"] for p in body.get("people", []))]
    named += re.findall(r"/people/([0-9a-f-]{36})", one.path)
    named += body.get("ids", []) if "/people" in one.path else []
    named += re.findall(r"/faces/([0-9a-f-]{36})", one.path) if one.method == "PUT" else []
    return [i for i in named if i]


def _face_asked(one: Recording) -> str | None:
    """The face that is given to somebody or taken away."""
    if one.path.startswith("/api/faces/") and one.method == "DELETE":
        return _id(one)
    named = one.body.get("id") if one.path.startswith("/api/faces/") and one.method == "PUT" else None
    return named if named and len(named) == 36 else None


def _faces_made(recorded: Recorded) -> dict[str, str]:
    """Which id a drawn face got: no answer says it, but later requests and lists do."""
    r = recorded.recordings
    made = {
        "FACE_POST": recorded.answer("FACE_GET_after_post")[0]["id"],
        "FACE_POST_again_same": _id(r["FACE_DELETE_force"]),
        "FACE_POST_first_face_of_person": _id(r["FACE_DELETE_soft_featured"]),
        "FACE_POST_external": _id(r["FACE_DELETE_external"]),
        "FACE_POST_sourceType_embedding": recorded.answer("FACE_GET_after_soft_delete")[0]["id"],
        "FACE_POST_edited": recorded.answer("FACE_GET_edited")[0]["id"],
        "FACE_POST_edited_crop": recorded.answer("FACE_GET_edited_crop")[0]["id"],
    }
    return made | (
        {"FACE_POST_partners_asset_2": _id(r["FACE_DELETE_on_partners_asset"])} if "FACE_DELETE_on_partners_asset" in r else {}
    )

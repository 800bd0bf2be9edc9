"""Asks a testing server what two real Immich servers were asked, and says where the answers differ: status, headers, keys, types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from facesets.testing import Album, ImmichServer, Library, Partner
from tests.real.immich_recordings import LATER, Recorded, Recording

SAME_VALUE = {
    *("content-type", "content-disposition", "accept-ranges", "cache-control", "content-range", "location", "vary", "x-powered-by"),
    *("content-encoding", "transfer-encoding", "connection", "keep-alive"),
}
UNCOMPARED = {"date", "x-immich-cid", "x-correlation-id"}
CHOSEN_BY_THE_SERVER = {"correlationId", "ack", "X-Correlation-ID"}


@dataclass
class Reply:
    """What the testing server answered to one recording, and in what it differs."""

    recording: Recording
    response: httpx.Response
    differences: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)  # same type, another value

    @property
    def body(self) -> Any:
        return parsed(self.response)


def parsed(response: httpx.Response) -> Any:
    """The body as the recordings keep it: JSON, a list of JSON lines, text; None for a binary."""
    kind = response.headers.get("content-type", "")
    if kind.startswith("application/jsonlines"):
        return [json.loads(line) for line in response.text.splitlines()]
    if kind.startswith("application/json"):
        return response.json()
    return response.text if kind.startswith("text/") or not response.content else None


def replay(recorded: Recorded, library: Library, server: ImmichServer) -> Iterator[Reply]:
    """Every exchange against the server, the library brought through the same stages as the real one was."""
    admin, two, _ = library.users
    login = httpx.post(f"{server.url}/api/auth/login", json={"email": library.users[admin].email, "password": "password"})
    token = login.json()["accessToken"]
    with httpx.Client(base_url=server.url, timeout=20) as client:
        for names, prepare in _stages(recorded, library, admin, two):
            prepare()
            for name in names:
                yield _ask(client, recorded.recordings[name], token, library)


def _stages(recorded: Recorded, library: Library, admin: str, two: str) -> list[tuple[list[str], Any]]:
    every = list(recorded.recordings)
    shared_id = recorded.recordings["POST_search_metadata_ALBUMSHARED_albumIds"].body["albumIds"][0]
    shared_asset = recorded.answer("ALBUMSHARED_GET_asset")["id"]
    partner = Partner(two, admin)

    def share_timeline() -> None:
        library.partners.append(partner)

    def mix_in() -> None:
        partner.in_timeline = True

    def share_album() -> None:
        library.albums[shared_id] = Album(shared_id, two, "shared", [shared_asset], {admin: "viewer"})

    def name_the_new_face() -> None:
        asset = library.assets[recorded.recordings["FACE_POST"].body["assetId"]]
        asset.faces[0].id = recorded.recordings["FACE_PUT_reassign"].body["id"]

    return [
        ([n for n in every if not n.startswith(LATER)], lambda: None),
        (
            [
                *("PARTNER_GET_partners", "POST_search_metadata_PARTNER_before_inTimeline", "PARTNER_GET_asset", "PARTNER_GET_faces"),
                *("PARTNER_GET_original", "PARTNER_timeline", "PARTNER_GET_person"),
            ],
            share_timeline,
        ),
        (["POST_search_metadata_PARTNER_inTimeline", "POST_search_metadata_PARTNER_inTimeline_personIds_partner"], mix_in),
        (["PARTNER_removed_GET_partners"], library.partners.clear),
        ([n for n in every if "ALBUMSHARED" in n], share_album),
        (["EDIT_faces_before", "EDIT_put", "EDIT_faces_after", "EDIT_asset_after"], library.albums.clear),
        (["EDIT_search_after", "EDIT_search_after_noexif"], lambda: None),
        (["FACE_POST_other_users_asset", "FACE_POST"], lambda: None),
        (["FACE_list_after_post", "FACE_PUT_reassign", "FACE_DELETE_soft", "FACE_DELETE_force"], name_the_new_face),
    ]


def _ask(client: httpx.Client, one: Recording, token: str, library: Library) -> Reply:
    headers, path = dict(one.headers), one.path.replace("<redacted>", quote("<key:admin_all>"))
    if "session" in one.name:
        headers["Authorization"] = f"Bearer {token}"
    if one.headers.get("If-None-Match") and "/thumbnail" in path:  # when a preview was made was not recorded
        plain = client.get(path, headers={"x-api-key": headers["x-api-key"]})
        headers["If-None-Match"] = plain.headers["etag"]
    response = client.request(one.method, path, headers=headers, json=one.body)
    reply = Reply(one, response)
    compare(reply)
    return reply


def compare(reply: Reply) -> None:
    """Fill in the differences."""
    one, response = reply.recording, reply.response
    if response.status_code != one.status:
        reply.differences.append(f"status {response.status_code} instead of {one.status}")
        return
    _compare_headers(reply)
    if one.binary is None:
        _walk(one.answer, reply.body, "", reply)
    elif response.status_code < 300 and response.headers.get("content-length") and one.binary["length"] != len(response.content):
        reply.values.append(f"length {len(response.content)} instead of {one.binary['length']}")


def _compare_headers(reply: Reply) -> None:
    theirs = {k.lower(): v for k, v in reply.recording.answer_headers.items() if k.lower() not in UNCOMPARED}
    ours = {k: v for k, v in reply.response.headers.items() if k not in UNCOMPARED}
    if _shortened(reply.recording):
        for name in ("content-encoding", "transfer-encoding", "content-length"):
            theirs.pop(name, None)
            ours.pop(name, None)
    for name in sorted(theirs.keys() - ours.keys()):
        reply.differences.append(f"header {name} is missing")
    for name in sorted(ours.keys() - theirs.keys()):
        reply.differences.append(f"header {name} is not Immich's")
    for name in theirs.keys() & ours.keys():
        if name in SAME_VALUE and theirs[name] != ours[name]:
            reply.differences.append(f"header {name}: {ours[name]} instead of {theirs[name]}")
        if name == "etag" and theirs[name].startswith("W/") != ours[name].startswith("W/"):
            reply.differences.append("etag: weak and strong differ")


def _shortened(one: Recording) -> bool:
    """The recorder made this body a little shorter than it was (its ETag tells), and by that small enough not to be packed."""
    tag = one.answer_headers.get("ETag", "")
    if not tag.startswith('"') or not isinstance(one.answer, dict):
        return False
    told = int(tag[1:].split("-")[0], 16)
    return len(json.dumps(one.answer, ensure_ascii=False, separators=(",", ":")).encode()) < 1024 <= told


def _kind(value: Any) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__


def _walk(theirs: Any, ours: Any, path: str, reply: Reply) -> None:
    if _kind(theirs) != _kind(ours):
        reply.differences.append(f"{path}: {_kind(ours)} instead of {_kind(theirs)}")
    elif isinstance(theirs, dict):
        reply.differences += [f"{path}.{k} is missing" for k in theirs.keys() - ours.keys()]
        reply.differences += [f"{path}.{k} is not Immich's" for k in ours.keys() - theirs.keys()]
        if list(theirs) != list(ours) and theirs.keys() == ours.keys():
            reply.values.append(f"{path}: another order of keys")
        for key in theirs.keys() & ours.keys():
            if key not in CHOSEN_BY_THE_SERVER:
                _walk(theirs[key], ours[key], f"{path}.{key}", reply)
    elif isinstance(theirs, list):
        if len(theirs) != len(ours):
            reply.differences.append(f"{path}: {len(ours)} entries instead of {len(theirs)}")
            return
        for a, b in _paired(theirs, ours):
            _walk(a, b, f"{path}[]", reply)
    elif theirs != ours:
        reply.values.append(f"{path}: {ours!r} instead of {theirs!r}")


def _paired(theirs: list[Any], ours: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Rows by id where they have one: real servers order equal times as they like."""
    rows = {_row_id(o): o for o in ours}
    if len(rows) == len(ours) and None not in rows and {_row_id(t) for t in theirs} == rows.keys():
        return ((t, rows[_row_id(t)]) for t in theirs)
    return zip(theirs, ours, strict=True)


def _row_id(row: Any) -> Any:
    if not isinstance(row, dict):
        return None
    inner = row.get("data")
    return inner.get("id", row.get("type")) if isinstance(inner, dict) else row.get("id")

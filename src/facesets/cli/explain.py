"""facesets explain: the story of one asset, face or set."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from ..errors import NotFound
from ..export.accounting import SENTENCES
from ..registry import Registry, assets, faces, sets, told
from ..registry.assets import AssetRow
from ..registry.faces import FaceRow
from . import App, json_option


@click.command()
@click.argument("what", metavar="ASSET|FACE|SET")
@json_option
@click.pass_obj
def explain(app: App, what: str) -> None:
    """Tell the story of one asset, face or set: where it is, why, and what it is near to. Ids may be cut short."""
    with app.workspace().registry() as registry:
        story = _set(registry, what) or _face(registry, what) or _assets(registry, what)
    if not story:
        raise NotFound(f"no asset, face or set is called {what!r} here; facesets list assets|faces|sets shows them all")
    app.answer(story, lambda: _told(story))


def _asset(registry: Registry, row: AssetRow) -> dict[str, Any]:
    story: dict[str, Any] = {
        "asset": row.asset.asset_id, "owner": row.asset.owner_id, "user": row.label, "path": row.asset.original_path,
        "taken_at": row.asset.taken_at, "state": row.state, "reason": row.reason, "why": SENTENCES[row.reason], "detail": row.detail,
        "sha256": row.sha256, "kept": row.path, "boxes_told": None if row.asset.boxes is None else len(row.asset.boxes),
    }  # fmt: skip
    if row.pixels != "original":
        story["pixels"] = row.pixels
    if row.kept_id is not None:
        story["duplicate_of"] = assets.get(registry, row.kept_id).asset.asset_id
    keys = [key for key in (row.sha256, row.content) if key]
    if keys:
        story["faces"] = [_one_face(face) for key in keys for face in faces.select(registry, sha256=key)]
    return story


def _assets(registry: Registry, what: str) -> dict[str, Any] | None:
    rows = assets.find(registry, what)
    if not rows:
        return None
    return _asset(registry, rows[0]) if len(rows) == 1 else {"assets": [_asset(registry, row) for row in rows]}


def _one_face(row: FaceRow) -> dict[str, Any]:
    face = row.face
    return {
        "face": face.face_id, "box": [round(v, 1) for v in face.box], "det_score": _rounded(face.det_score, 4),
        "face_short": round(face.face_short, 1), "sharpness": _rounded(face.sharpness, 2), "pack": face.pack,
        "state": row.reason.state, "reason": row.reason, "why": SENTENCES[row.reason], "faceset": row.set_name,
        "distance": row.distance, **json.loads(row.detail or "{}"),
    }  # fmt: skip


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _face(registry: Registry, what: str) -> dict[str, Any] | None:
    row = faces.find(registry, what)
    if row is None:
        return None
    photo = assets.with_bytes(registry, sha256=row.face.sha256) or told.photo(registry, row.face.sha256)
    return _one_face(row) | {"photo": photo.asset.asset_id if photo else None, "path": photo.asset.original_path if photo else None}


def _set(registry: Registry, what: str) -> dict[str, Any] | None:
    faceset = sets.find(registry, what)
    if faceset is None:
        return None
    members = [{"rank": rank, "face": face_id, "distance": distance} for rank, face_id, distance in sets.members(registry, what)]
    related = list(faces.select(registry, set_name=what))
    reasons: dict[str, int] = {}
    for row in related:
        reasons[row.reason] = reasons.get(row.reason, 0) + 1
    return {
        "set": faceset.name,
        "origin": "made by facesets" if faceset.origin == "made" else "existed before facesets; only read",
        "pack": faceset.pack,
        "person": faceset.person_name,
        "files": len(sets.files(registry, what)),
        "faces_by_reason": reasons,
        "members": members,
    }


def _told(story: dict[str, Any], indent: str = "") -> str:
    lines = []
    for key, value in story.items():
        if key in _SAID and value:
            lines += [f"{indent}{key:<14} {line}" for line in _SAID[key](value)]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"{indent}{key}:"] + [_told(item, indent + "    ") + "\n" for item in value]
        elif value is not None:
            text = ", ".join(f"{n} {name}" for name, n in value.items()) if isinstance(value, dict) else str(value)
            lines.append(f"{indent}{key:<14} {text if text.isprintable() else ascii(text)}")
    return "\n".join(lines)


def _failed(value: dict[str, Any]) -> list[str]:
    better = f"; the better face is {value['better']}" if value["better"] else ""
    return [f"has {value['has']:g}, the gate is {value['needs']:g}{better}"]


def _moved(value: dict[str, Any]) -> list[str]:
    witness = "" if value["witness"] is None else f", and their two nearest faces {value['witness']}"
    return [
        f"its group of {value['size']} and one of {value['others']} (with face {value['face']}) were found to be one person: "
        f"centroids {value['distance']} apart{witness}"
    ]


def _near(value: list[dict[str, Any]]) -> list[str]:
    return [f"{near['distance']} from group {near['group']} ({near['size']} faces)" for near in value]


# what is better told in words; --json has the figures
_SAID: dict[str, Callable[[Any], list[str]]] = {"failed": _failed, "moved": _moved, "near": _near}

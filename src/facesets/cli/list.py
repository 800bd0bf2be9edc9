"""facesets list: every asset, face or set, with state and reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from ..records import State
from ..registry import Registry, assets, faces, sets
from . import App, json_option

_COLUMNS = {
    "assets": ("asset_id", "user", "state", "reason", "path"),
    "faces": ("face_id", "asset_id", "state", "reason", "faceset", "distance"),
    "sets": ("name", "origin", "faces", "person", "written"),
}


@click.command()
@click.argument("what", type=click.Choice(["assets", "faces", "sets"]))
@click.option("--user", "labels", multiple=True, help="Only this user's (may be repeated).")
@click.option("--state", type=click.Choice([str(s) for s in State]), help="Only those in this state.")
@click.option("--reason", help="Only those with this reason.")
@json_option
@click.pass_obj
def list_(app: App, what: str, labels: tuple[str, ...], state: str | None, reason: str | None) -> None:
    """List every asset, face or set with its state and reason; the sums are those of ``facesets status``."""
    with app.workspace().registry() as registry:
        rows = [
            row
            for row in _ROWS[what](registry, labels)
            if (state is None or row.get("state") == state) and (reason is None or row.get("reason") == reason)
        ]
    app.answer(rows, lambda: _table(rows, _COLUMNS[what]))


def _assets(registry: Registry, labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for row in assets.select(registry, labels=labels):
        asset = row.asset
        yield {
            "asset_id": asset.asset_id, "owner_id": asset.owner_id, "user": row.label, "source": row.source, "type": asset.type,
            "path": asset.original_path, "file_name": asset.file_name, "sha256": row.sha256, "taken_at": asset.taken_at,
            "state": row.state, "reason": row.reason, "detail": row.detail, "staged": row.path,
        }  # fmt: skip


def _faces(registry: Registry, labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    kept = assets.kept_by_sha256(registry)
    for row in faces.select(registry, labels=labels):
        face, asset = row.face, kept.get(row.face.sha256)
        yield {
            "face_id": face.face_id,
            "asset_id": asset.asset.asset_id if asset else None,
            "path": asset.asset.original_path if asset else None,
            "sha256": face.sha256, "box": [round(v, 2) for v in face.box], "det_score": face.det_score, "face_short": face.face_short,
            "sharpness": face.sharpness, "pack": face.pack, "state": row.reason.state, "reason": row.reason, "detail": row.detail,
            "faceset": row.set_name, "distance": row.distance,
        }  # fmt: skip


def _sets(registry: Registry, _labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    sizes, waiting = sets.sizes(registry), {s.name for s in sets.select(registry, written=False)}
    adopted = sets.centroid_sizes(registry)
    for faceset in sets.select(registry):
        yield {
            "name": faceset.name, "number": faceset.number, "origin": faceset.origin,
            "faces": sizes.get(faceset.name) or adopted.get(faceset.name, 0),
            "person": faceset.person_name, "pack": faceset.pack, "written": faceset.name not in waiting,
        }  # fmt: skip


_ROWS = {"assets": _assets, "faces": _faces, "sets": _sets}


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """Tab-separated with a header: made for eyes, cut and awk alike. Control characters of foreign names are shown escaped."""
    lines = ["\t".join(columns)]
    lines += ["\t".join(_cell(row[c]) for c in columns) for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")

"""facesets list: every asset, face, set or person, with state and reason."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from facesets.cli import App, json_option
from facesets.errors import UsageError
from facesets.reason_texts import STATES, is_face_reason, name_of
from facesets.records import Reason, State
from facesets.registry import Registry, assets, faces, gallery, originals, people, sets
from facesets.wording import count_of, day_of, listed, printable

# what a pipe gets: stable columns for cut and awk
_COLUMNS = {
    "assets": ("asset_id", "user", "state", "reason", "path", "file_name"),
    "faces": ("face_id", "asset_id", "state", "reason", "set", "distance", "file_name"),
    "sets": ("set", "person", "name", "origin", "faces", "written", "standing"),
    "people": ("person", "name", "set", "faces", "recognised", "year_from", "year_to", "standing", "eras"),
}
# what a terminal shows: heading -> key
_SHOWN = {
    "assets": {"File": "file_name", "Taken": "taken_at", "User": "user", "State": "state", "Reason": "reason", "Asset": "asset_id"},
    "faces": {"File": "file_name", "Taken": "taken_at", "Reason": "reason", "Set": "set", "Distance": "distance",
              "Face": "face_id"},
    "people": {"Number": "person", "Name": "name", "Faces": "faces", "Recognised": "recognised", "From": "year_from", "To": "year_to",
               "Standing": "standing", "Eras": "eras", "Set": "set"},
    "sets": {"Set": "set", "Name": "name", "Faces": "faces", "Origin": "origin", "On disk": "written", "Standing": "standing"},
}  # fmt: skip
_ONE = {"assets": "asset", "faces": "face", "sets": "set", "people": "person"}
_LIMIT = 100  # rows on a terminal, unless --limit says otherwise
_TYPED = {"Set", "Number", "Face", "Asset"}
_NUMBERS = ("Number", "Faces", "Recognised", "Distance", "Eras")


@click.command()
@click.argument("what", type=click.Choice(["assets", "faces", "sets", "people"]))
@click.option("--user", "labels", multiple=True, metavar="NAME", help="Only this user's (may be repeated).")
@click.option("--state", type=click.Choice([str(s) for s in State]), help="Only those in this state.")
@click.option("--reason", help="Only those with this reason (docs/reference/reasons.md names them all).")
@click.option("--limit", type=click.IntRange(0), help=f"At most so many; on a terminal {_LIMIT} unless you say otherwise, 0: all.")
@json_option
@click.pass_obj
def list_(app: App, what: str, labels: tuple[str, ...], state: str | None, reason: str | None, limit: int | None) -> None:
    """List every asset, face, set or person, with state and reason; the sums are those of ``facesets status``.

    A table on a terminal; tab-separated with a header where the output is piped; --json has all that is known.
    """
    table = not app.as_json and on_terminal()
    most = (_LIMIT if limit is None and table else limit) or None
    with app.workspace().registry_to_read() as registry:
        _check(registry, what, labels, state, reason)
        found = (
            row for row in _ROWS[what](registry, labels) if state in (None, row.get("state")) and reason in (None, row.get("reason"))
        )
        rows = list(islice(found, most))
        more = sum(1 for _ in found)
    if table:
        _show(what, rows, more)
    else:
        app.answer(rows, lambda: _tab_separated(rows, _COLUMNS[what]))


def on_terminal() -> bool:
    """Whether eyes read the answer, and no pipe."""
    return sys.stdout is not None and sys.stdout.isatty()


def check_users(registry: Registry, labels: Sequence[str]) -> None:
    """Raises UsageError for a user that no run has met."""
    known = [user.label for user in assets.users(registry)]
    for label in labels:
        if label not in known:
            there = f"known here: {listed(known)}" if known else "nobody is known here yet; facesets run --user NAME comes first"
            raise UsageError(f"no user is called {label!r}; {there}")


def _check(registry: Registry, what: str, labels: Sequence[str], state: str | None, reason: str | None) -> None:
    """Raises UsageError for what nothing can be, a user that does not exist say: an empty list would look like an answer."""
    for given, option in ((labels, "--user"), (state, "--state"), (reason, "--reason")):
        if given and what in ("sets", "people"):
            raise UsageError(f"{option} chooses among assets or faces; {what} are listed without it")
    check_users(registry, labels)
    if reason is not None and reason not in (names := [str(each) for each in Reason]):
        matches = get_close_matches(reason, names, 1)
        hint = f"did you mean {matches[0]}?" if matches else "facesets status shows those that occur"
        raise UsageError(f"no reason is called {reason!r}; {hint}")
    theirs = [each for each in Reason if is_face_reason(each) is (what == "faces")]
    other = "assets" if what == "faces" else "faces"
    have = {"state": {str(each.state) for each in theirs}, "reason": {str(each) for each in theirs}}
    for option, asked in (("state", state), ("reason", reason)):
        if asked is not None and asked not in have[option]:
            raise UsageError(f"{asked} is a {option} of {other}: facesets list {other} --{option} {asked}")


def _assets(registry: Registry, labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for row in assets.select(registry, labels=labels):
        asset = row.asset
        yield {
            "asset_id": asset.asset_id, "owner_id": asset.owner_id, "user": row.label, "source": row.source, "type": asset.type,
            "path": asset.original_path, "file_name": asset.file_name, "sha256": row.sha256, "taken_at": asset.taken_at,
            "state": row.state, "reason": row.reason, "detail": row.detail, "original": row.path,
        }  # fmt: skip


def _faces(registry: Registry, labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    kept = originals.changed_asset_by_key(registry) | originals.asset_by_key(registry)
    for row in faces.select(registry, labels=labels):
        face, asset = row.face, kept.get(row.face.sha256)
        yield {
            "face_id": face.face_id,
            "asset_id": asset.asset.asset_id if asset else None,
            "path": asset.asset.original_path if asset and asset.reason is not Reason.GONE else None,
            "file_name": asset.asset.file_name if asset else None,
            "taken_at": asset.asset.taken_at if asset else None,
            "sha256": face.sha256, "box": [round(v, 2) for v in face.box], "det_score": face.det_score, "face_short": face.face_short,
            "sharpness": face.sharpness, "pack": face.pack, "state": row.reason.state, "reason": row.reason,
            "set": row.set_name, "distance": row.distance, **row.detail,
        }  # fmt: skip


def _sets(registry: Registry, _labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    sizes, waiting = gallery.faces_by_set(registry), {s.name for s in sets.select(registry, written=False)}
    standing = {person.set_name: person.standing for person in people.select(registry)}
    for faceset in sets.select(registry):
        yield {
            "set": faceset.name, "person": faceset.number, "name": faceset.person_name, "origin": faceset.origin,
            "faces": sizes[faceset.name],
            "pack": faceset.pack, "written": faceset.name not in waiting, "standing": standing.get(faceset.name),
        }  # fmt: skip


def _people(registry: Registry, _labels: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    standings, years, eras = people.standings(registry), people.years(registry), people.eras(registry)
    own = gallery.own_images(registry)
    for person in people.select(registry):
        known = standings.get(person.id, {})
        first, last, _ = years.get(person.id, ("", "", 0))
        yield {
            "person": person.number, "name": person.name, "birth_date": person.birth_date,
            "standing": "retired" if person.retired and person.standing == "active" else person.standing,
            "set": person.set_name, "faces": known.get("member", 0) + len(own.get(person.id, ())),
            "recognised": known.get("recognised", 0), "year_from": first or None, "year_to": last or None,
            "merged_into": person.merged_into, "eras": eras.get(person.id, []), "retired": person.retired,
            "revision": person.revision,
        }  # fmt: skip


_SHORTEST_NAME, _SHORTEST_CELL, _GAP = 16, 4, 2  # columns of a terminal

_ROWS = {"assets": _assets, "faces": _faces, "sets": _sets, "people": _people}


def _tab_separated(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> str:
    """With a header, for cut and awk. Control characters of foreign names are shown escaped."""
    lines = ["\t".join(columns)]
    lines += ["\t".join(_text(row[c]) for c in columns) for row in rows]
    return "\n".join(lines)


def _show(what: str, rows: list[dict[str, Any]], more: int) -> None:
    """A table that fits the terminal; state names as people say them."""
    console = Console(highlight=False)
    if not rows:
        console.print(f"No {what} here, or none like that. Next: facesets status", markup=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = {heading: [_shown(row[key], key) for row in rows] for heading, key in _SHOWN[what].items()}
    columns = {heading: cells for heading, cells in columns.items() if any(cells)}
    widths = {heading: max(map(cell_len, (heading, *cells))) for heading, cells in columns.items()}
    excess = sum(widths.values()) + _GAP * (len(widths) - 1) - console.width
    # names of files give way before all else; what a command can be given is never cut
    for heading in sorted(widths.keys() - _TYPED, key=lambda heading: (heading != "File", -widths[heading], heading)):
        given = min(max(excess, 0), max(widths[heading] - (_SHORTEST_NAME if heading == "File" else _SHORTEST_CELL), 0))
        widths[heading], excess = widths[heading] - given, excess - given
    for heading, width in widths.items():
        table.add_column(heading, no_wrap=True, max_width=width, justify="right" if heading in _NUMBERS else "left")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, row))
    console.print(table)
    rest = f"; {more:,} more: --limit 0 shows all" if more else ""
    one = {"assets": "asset ID", "faces": "face ID", "sets": "set", "people": "name or number"}[what]
    console.print(f"{count_of(len(rows), _ONE[what])}{rest}. Next: facesets explain with one {one}", markup=False)


def _shown(value: object, key: str) -> str:
    if value is None or key not in _SAID:
        return _text(value)
    return _SAID[key](value)


# cells that are said otherwise than JSON and pipes have them
_SAID: dict[str, Callable[[Any], str]] = {
    "state": lambda state: STATES[State(state)],
    "reason": lambda reason: name_of(Reason(reason)),
    "taken_at": lambda taken_at: day_of(taken_at) or "",
    "distance": lambda distance: f"{distance:.2f}",
    "eras": lambda eras: f"{len(eras):,}" if eras else "",  # their names are of the set's and would fill the line
    "written": lambda written: "yes" if written else "not yet",
    "origin": lambda origin: "made here" if origin == "made" else "there before",
    "face_id": lambda face_id: str(face_id)[:12],
    "asset_id": lambda asset_id: str(asset_id)[:13],  # ids may be cut short wherever they are asked for
}


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_text, value))
    return "" if value is None else printable(str(value))

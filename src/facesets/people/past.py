"""The history: what was decided, what still waits, what it holds on disk, and letting old revisions go."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from facesets.changes import ACT, HISTORY, pending
from facesets.errors import UsageError
from facesets.files import disk_error
from facesets.registry import Made, Registry, changes, decisions, exports, people, published, runs
from facesets.wording import count_of, plural, size_of
from facesets.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Past:
    """A decision: when, what it said, whether it stands, whose folders it still has to reach, and what earlier revisions it holds."""

    decision: int
    act: str
    at: str
    said: tuple[str, ...]
    undoes: int | None
    undone_by: int | None
    pending: tuple[str, ...]
    held_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "decision": self.decision, "act": self.act, "at": self.at, "sentences": list(self.said), "undoes": self.undoes,
            "undone_by": self.undone_by, "sets_to_revise": list(self.pending), "bytes_held": self.held_bytes,
        }  # fmt: skip


def history(workspace: Workspace, registry: Registry, *, before: int | None = None, most: int | None = None) -> list[Past]:
    """All decisions, oldest first; or the last ``most`` of those before the one with this number.

    ``held_bytes`` counts files that no folder of a set shares.
    """
    waiting, found = pending(registry), []
    all_ = decisions.select(registry, before=before, most=most)
    ends = (all_[0].id, all_[-1].id) if all_ else (0, 0)
    followed = {**changes.of_decisions(registry, *ends, published.PUBLISH), **changes.of_decisions(registry, *ends, ACT)}
    for made in all_:
        change = followed.get(made.id)
        said = tuple(change.inverse["sentences"] if change else ()) or _agreed(registry, made) or (_said_of(made),)
        if change is not None and change.kind == published.PUBLISH and change.state == "planned":
            said = ("a publish that was cut off: the same command again goes on",)
        held = _own_bytes(workspace.facesets / HISTORY / str(made.id))
        found.append(Past(made.id, made.act, made.at, said, made.undoes, made.undone_by, tuple(waiting.get(made.id, ())), held))
    return found


def _said_of(made: Made) -> str:
    """A decision of which no more is kept than what it says."""
    return " ".join([made.act, *(str(made.payload[part]) for part in ("set", "into", "to") if made.payload.get(part) is not None)])


def _agreed(registry: Registry, made: Made) -> tuple[str, ...]:
    """What was said of a person's agreement; empty for other acts."""
    if made.act not in (exports.CONSENT, exports.WITHDRAW):
        return ()
    by = str(made.payload.get("by") or "")
    person = people.of_number(registry, made.payload["person"])
    who = person.said if person else f"number {made.payload['person']}"
    if made.act == exports.WITHDRAW:
        return (f"{who}: the agreement to be generated or swapped is withdrawn" + (f", says {by}" if by else ""),)
    looked = str(made.payload.get("looked") or "").rpartition(" ")[0]  # without the hash of its files
    sheet = f"; the contact sheet of {looked} was looked at" if looked else ""
    return (f"{who} agreed to be generated or swapped and is an adult, says {by}{sheet}",)


def prune(workspace: Workspace, registry: Registry, older_than: timedelta, *, dry_run: bool = False) -> dict[str, Any]:
    """Let the revisions go that decisions made longer ago hold; the decisions stand. Raises UsageError, FacesetsError."""
    if older_than < timedelta(0):
        raise UsageError("--older-than: a time in the past, e.g. 90d")
    before = datetime.now(UTC) - older_than
    waiting = pending(registry)
    gone, freed = [], 0
    for made in decisions.select(registry):
        folder = workspace.facesets / HISTORY / str(made.id)
        if not folder.is_dir() or datetime.fromisoformat(made.at) > before or made.id in waiting:
            continue
        freed += _own_bytes(folder)
        gone.append(made.id)
        if not dry_run:
            try:
                shutil.rmtree(folder)
            except OSError as err:
                raise disk_error(err, folder) from err
    if gone and not dry_run:
        with registry.transaction():
            runs.note(registry, None, "history pruned", decisions=gone)
    said = f"{count_of(len(gone), 'revision')} {'would be' if dry_run else plural(len(gone), 'was')} removed: {size_of(freed)}"
    return {"pruned": gone, "bytes": freed, "dry_run": dry_run, "sentences": [said]}


def age(text: str) -> timedelta:
    """``90d``, ``12w`` or ``48h`` as a time. Raises UsageError."""
    units = {"h": "hours", "d": "days", "w": "weeks"}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not (number.isascii() and number.isdigit()) or len(number) > 6:
        raise UsageError(f"--older-than {text!r}: a number and h, d or w, e.g. 90d")
    return timedelta(**{units[unit]: int(number)})


def _own_bytes(folder: Path) -> int:
    """Bytes of files below a folder that are linked from nowhere else."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) if folder.is_dir() else ()
    return sum(status.st_size for path in files if (status := path.stat()).st_nlink == 1)

"""Files of an export: written where they differ, withdrawn where they are ours and no longer wanted, and never a stranger's touched.

``.facesets-export.json`` beside them says of each file where it comes from: the record by which the next export knows what it made.
It is on the disk before the first file, so that a kill at any point leaves nothing that is not known to be ours.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any

from facesets.errors import Refused
from facesets.files import disk_error, replace_file
from facesets.registry import exports
from facesets.targets.consent import Permit
from facesets.targets.job import Item, Outcome
from facesets.targets.record import RECORD, Entry, own_of, read_record, write_part
from facesets.wording import count_of

_UNFINISHED = re.compile(r"\.(.{1,40})\.[a-z0-9_]{8}\.part", re.DOTALL)  # what a kill leaves of files.replace_file


def describe(person: exports.Person, permit: Permit, files: Mapping[str, Entry]) -> dict[str, Any]:
    """A set's part of a record: what was handed on, of which revision, and who agreed to it."""
    return {
        "set": person.set_name, "revision": person.revision, "pack": person.pack, "purpose": permit.purpose,
        "consent": permit.document(), "files": dict(files),
    }  # fmt: skip


def write_files(
    root: Path,
    target: str,
    key: str,
    person: exports.Person,
    permit: Permit,
    items: Mapping[str, Item],
    outcome: Outcome,
    *,
    away: Set[str] = frozenset(),
    dry_run: bool = False,
) -> None:
    """Bring ``items`` (path below ``root`` -> what is to be there) into ``root``; ``key``: the person's part of the record. What was
    made of faces that are ``away`` (ids; their pictures are not here now) stays. Raises Refused before anything is written where a
    file or folder of somebody else stands in the way, and FacesetsError where the disk will not.
    """
    record = read_record(root / RECORD, target, own_of(key))
    _nobody_elses(root, record, key, items)
    mine = _by_names_of_now(root, record["sets"].get(key, {}).get("files", {}), items)
    entries: dict[str, Entry] = {}
    write: list[str] = []
    for path, item in sorted(items.items()):
        sha256 = _sha256(item.data)
        there = _there(root, path)
        before = mine.get(path)
        known = {before["sha256"], before.get("was")} if before else set()
        entries[path] = {**item.about, "sha256": sha256}
        if there == sha256:
            outcome.kept += 1
        elif there is None or there in known:
            write.append(path)
            outcome.new += 1
            if there is not None:
                entries[path]["was"] = there
        elif before:
            outcome.notes.append(f"{path} was changed by hand since and stays as it is")
            entries[path] = before
            outcome.kept += 1
        else:
            raise Refused(
                f"{root / path} is there already and is not of this export. It was not touched: move it, or choose another --out"
            )
    stay = _of_what_is_away(mine, entries, away)
    entries |= stay
    outcome.kept += len(stay)
    away_now = f"{count_of(len(stay), 'file', 'stay')} as before: pictures they are made of are not here now"
    outcome.notes += [away_now] if stay else []
    gone = [path for path in sorted(mine) if path not in entries]
    remove = [path for path in gone if _there(root, path) in {mine[path]["sha256"], mine[path].get("was")}]
    outcome.notes += [f"{path} was changed by hand since and stays" for path in gone if path not in remove and _there(root, path)]
    outcome.withdrawn += len(remove)
    if dry_run:
        return
    if not items and not mine:
        return
    kept = {path: mine[path] for path in remove}
    write_part(root / RECORD, target, key, describe(person, permit, entries | kept) if entries | kept else None)
    try:
        drop_unfinished(root, [RECORD, *entries, *gone])
        for path in write:
            item = items[path]
            replace_file(root / path, item.data if isinstance(item.data, bytes) else item.data.read_bytes())
        for path in remove:
            (root / path).unlink(missing_ok=True)
            drop_empty(root, (root / path).parent)
    except OSError as err:
        raise disk_error(err, err.filename or root) from err
    done = {path: {name: value for name, value in entry.items() if name != "was"} for path, entry in entries.items()}
    if not write_part(root / RECORD, target, key, describe(person, permit, done) if done else None):
        drop_empty(root.parent, root)


def _nobody_elses(root: Path, record: Mapping[str, Any], key: str, items: Iterable[str]) -> None:
    """Raises Refused where another person's export has the name that these files get, be it in other letters."""
    theirs = {_top(path): (other, part["set"]) for other, part in record["sets"].items() if other != key for path in part["files"]}
    for path in items:
        if _top(path) in theirs:
            other, set_name = theirs[_top(path)]
            whose = "" if other.endswith(own_of(key)) else " of another workspace"
            raise Refused(
                f"{root / path.partition('/')[0]} holds the export of {set_name}{whose}, and one would be taken for the other. Rename "
                f"one of them, take that export out ({'--remove' if not whose else '--remove, from there'}), or choose another --out"
            )


def _by_names_of_now(root: Path, mine: Mapping[str, Entry], items: Iterable[str]) -> dict[str, Entry]:
    """What was made before; under the name of now where that differs in letters which the disk does not tell apart: one file."""
    now = {_alike(path): path for path in items}
    return {now[_alike(path)] if _one_file(root / path, root / now.get(_alike(path), path)) else path: mine[path] for path in mine}


def _one_file(path: Path, other: Path) -> bool:
    try:
        return path != other and path.samefile(other)
    except OSError:  # one of them is not there
        return False


def _of_what_is_away(mine: Mapping[str, Entry], entries: Mapping[str, Entry], away: Set[str]) -> dict[str, Entry]:
    """What stays where pictures of faces are not here now: all but the files of other faces that go, and the captions beside these."""
    left = {path: entry for path, entry in mine.items() if path not in entries}
    if not any(faces_in(entry) & away for entry in left.values()):
        return {}
    gone = {path.rpartition(".")[0] for path, entry in left.items() if faces_in(entry) and not faces_in(entry) & away}
    return {path: entry for path, entry in left.items() if path.rpartition(".")[0] not in gone}


def faces_in(entry: Mapping[str, Any]) -> set[str]:
    """The faces (ids) that a file was made of, by what is said about it."""
    return {one["face"] for one in (entry, *entry.get("faces", ())) if "face" in one}


def _top(path: str) -> str:
    return _alike(path.partition("/")[0])


def _alike(path: str) -> str:
    """What of a path a disk that knows no capitals tells apart."""
    return unicodedata.normalize("NFC", path).casefold()


def drop_unfinished(root: Path, paths: Iterable[str]) -> None:
    """Remove what a kill left of files that were being written here. Raises OSError."""
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault((root / path).parent, set()).add(Path(path).name[:40])
    for folder, ours in names.items():
        for file in list(folder.iterdir()) if folder.is_dir() else []:
            if (found := _UNFINISHED.fullmatch(file.name)) and found[1] in ours:
                file.unlink(missing_ok=True)


def drop_empty(root: Path, folder: Path) -> None:
    """Remove folders that are empty now, up to ``root``, which stays."""
    while folder not in (root, root.parent) and folder.is_relative_to(root):
        try:
            folder.rmdir()
        except OSError:  # not empty: somebody else's files
            return
        folder = folder.parent


def _sha256(data: bytes | Path) -> str:
    return hashlib.sha256(data if isinstance(data, bytes) else data.read_bytes()).hexdigest()


def _there(root: Path, path: str) -> str | None:
    """The hash of the file that is there; empty for what is no plain file."""
    file = root / path
    if not file.parent.resolve().is_relative_to(root.resolve()):
        raise Refused(f"{file.parent} leads out of {root} (a link). Nothing was written there; choose another --out")
    try:
        if file.is_file() and not file.is_symlink():
            return hashlib.sha256(file.read_bytes()).hexdigest()
        return "" if os.path.lexists(file) else None
    except NotADirectoryError:
        return ""
    except OSError as err:
        raise disk_error(err, file) from err

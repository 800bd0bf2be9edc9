"""Export room: manifest.json, the list of sets. Touches that one file.

Ours is merged into what is there: unknown fields and the order of entries stay, also in a manifest that other tools wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CorruptFile, FacesetsError
from ..registry.sets import FileFact

MANIFEST = "manifest.json"
SCHEMA = "facesets.manifest/1"
_NAME = re.compile(r"faceset_([0-9]{3,})(?![0-9])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What the manifest says of a set; of its ``files`` it keeps one hash (:func:`files_hash`)."""

    name: str
    number: int
    faces: int
    model: str
    person: str | None  # None leaves what is there
    files: Sequence[FileFact]


def files_hash(files: Iterable[FileFact]) -> str:
    """One SHA-256 for all files of a set: over a line of hash, size and path for each, by path."""
    lines = (f"{file.sha256} {file.size} {file.path}\n" for file in sorted(files, key=lambda each: each.path))
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder of sets as it stands, or None where there is none. Raises CorruptFile."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_bytes().decode("utf-8-sig"), object_pairs_hook=_once)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise CorruptFile(path, f"cannot be read: {err.strerror or err}") from err
    except (ValueError, RecursionError) as err:
        raise CorruptFile(path, f"not a manifest ({err}); repair it, or move it away and run again: the sets stay as they are") from err
    if not isinstance(document, dict) or not isinstance(document.get("facesets", []), list):
        raise CorruptFile(path, 'not a manifest: must be {"facesets": [...]}; repair it, or move it away and run again')
    if (schema := document.get("schema", SCHEMA)) != SCHEMA:
        raise CorruptFile(path, f"made by something newer (schema {schema!r}, this facesets knows {SCHEMA}): update facesets")
    return document


def entries(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The manifest's entries that have a name, by name; the first of several."""
    named: dict[str, dict[str, Any]] = {}
    for entry in document.get("facesets", []):
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            named.setdefault(entry["name"], entry)
    return named


def numbers(folder: Path) -> list[int]:
    """Every set number that the manifest names, in whichever field. Raises CorruptFile."""
    found = []
    for entry in (read_manifest(folder) or {}).get("facesets", []):
        values = [*entry.values()] if isinstance(entry, dict) else [entry]
        found += [int(match[1]) for value in values if isinstance(value, str) and (match := _NAME.search(value))]
        if isinstance(entry, dict) and type(entry.get("number")) is int:
            found.append(entry["number"])
    return found


def merge_manifest(folder: Path, new: Sequence[ManifestEntry]) -> bool:
    """Bring ``new`` into the manifest; True where that changed it. Raises CorruptFile and FacesetsError, and then nothing is written.

    An entry that is there under the same name gets our fields, keeps its place and its other fields. The rest is added at the end, or
    before the first of ``new`` that is there and has a higher number: a set that had to wait for a photo takes its place.
    """
    document = read_manifest(folder)
    before = json.dumps(document)
    if document is None:
        document = {"schema": SCHEMA}
    document.setdefault("schema", SCHEMA)
    listed = document.setdefault("facesets", [])
    known = entries(document)
    there = {entry.name: entry.number for entry in new if entry.name in known}
    for entry in sorted(new, key=lambda each: each.number):
        ours = {
            "name": entry.name, "number": entry.number, "faces": entry.faces, "model": entry.model,
            "files_sha256": files_hash(entry.files),
        }  # fmt: skip
        if entry.person is not None:
            ours["person"] = entry.person
        if entry.name in known:
            known[entry.name].update(ours)
        else:
            after = {name for name, number in there.items() if number > entry.number}
            places = (at for at, each in enumerate(listed) if isinstance(each, dict) and each.get("name") in after)
            listed.insert(next(places, len(listed)) if after else len(listed), ours)
    if json.dumps(document) == before:
        return False
    _replace((folder / MANIFEST).resolve(), _text(document))
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a key that stands twice would be lost silently, so it is refused."""
    table = dict(pairs)
    if len(table) != len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} stands twice in one object")
    return table


def _text(document: dict[str, Any]) -> bytes:
    try:
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can say and UTF-8 cannot
        return (json.dumps(document, indent=2) + "\n").encode("ascii")


def _replace(path: Path, data: bytes) -> None:
    """Replace ``path`` whole or not at all; a file that is there keeps its mode, a new one is its owner's alone."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as err:
        temporary.unlink(missing_ok=True)
        raise FacesetsError(f"{path} cannot be written: {err.strerror or err}. It stays as it was; mend that, and run again") from err

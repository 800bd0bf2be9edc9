"""Export room: manifest.json, the list of sets. Touches that one file.

Ours is merged into what is there: unknown fields and the order of entries stay, also in a manifest that other tools wrote.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from facesets.errors import CorruptFile
from facesets.files import disk_error, read_file, replace_file
from facesets.registry import FileFact

MANIFEST = "manifest.json"
SCHEMA = "facesets.manifest/1"
_NAME = re.compile(r"faceset_([0-9]{3,9})(?![0-9])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """What the manifest says of a set; of its ``files`` it keeps one hash (:func:`files_hash`)."""

    name: str
    number: int
    faces: int
    model: str
    person: str | None  # None leaves what is there, "" takes it out
    files: Sequence[FileFact]


@dataclass(frozen=True, slots=True)
class EraEntry:
    """What the manifest says of an era of the set ``of``; ``name`` is its folder, below the folder of sets."""

    name: str
    of: str
    first: int
    last: int
    thin: bool
    files: Sequence[FileFact]


def files_hash(files: Iterable[FileFact]) -> str:
    """One SHA-256 for all files of a set: over a line of hash, size and path for each, by path."""
    lines = (f"{file.sha256} {file.size} {file.path}\n" for file in sorted(files, key=lambda each: each.path))
    return hashlib.sha256("".join(lines).encode("utf-8")).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a folder of sets as it stands, or None where there is none. Raises CorruptFile."""
    path = folder / MANIFEST
    try:
        document = json.loads(read_file(path).decode("utf-8-sig"), object_pairs_hook=_once)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise CorruptFile(path, f"cannot be read: {err.strerror or err}") from err
    except (ValueError, RecursionError) as err:
        raise CorruptFile(path, f"not a manifest ({err}); repair it, or move it away and run again: the sets stay as they are") from err
    if not isinstance(document, dict) or not all(isinstance(document.get(key, []), list) for key in ("facesets", "retired")):
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


def era_entries(folder: Path) -> list[dict[str, Any]]:
    """The manifest's entries of eras. Raises CorruptFile."""
    listed = (read_manifest(folder) or {}).get("eras", [])
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def numbers(folder: Path) -> list[int]:
    """Every set number that the manifest names, in whichever field. Raises CorruptFile."""
    found = []
    document = read_manifest(folder) or {}
    for entry in [*document.get("facesets", []), *document.get("retired", [])]:
        values = [*entry.values()] if isinstance(entry, dict) else [entry]
        found += [int(match[1]) for value in values if isinstance(value, str) and (match := _NAME.search(value))]
        if isinstance(entry, dict) and type(entry.get("number")) is int and entry["number"] < 10**9:
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
        if entry.person:
            ours["person"] = entry.person
        if entry.name in known:
            known[entry.name].update(ours)
            if entry.person == "":
                known[entry.name].pop("person", None)
        else:
            after = {name for name, number in there.items() if number > entry.number}
            places = (at for at, each in enumerate(listed) if isinstance(each, dict) and each.get("name") in after)
            listed.insert(next(places, len(listed)) if after else len(listed), ours)
    if json.dumps(document) == before:
        return False
    _write(folder, document)
    return True


def eras_in_manifest(folder: Path, there: Sequence[EraEntry], of: Collection[str]) -> bool:
    """Bring the eras of the sets ``of`` into the manifest, and out of it what they are no more; True where that changed it.

    Eras of other sets, and fields that are not ours, stay as they are. Raises CorruptFile, FacesetsError.
    """
    document = read_manifest(folder)
    if document is None:
        if not there:
            return False
        document = {"schema": SCHEMA}
    before = json.dumps(document)
    listed = document.get("eras", [])
    if not isinstance(listed, list):
        raise CorruptFile(folder / MANIFEST, "eras must be a list; repair it, or move the file away and run again")
    names = {entry.name for entry in there}
    ours = [each for each in listed if isinstance(each, dict) and each.get("of") in of]
    kept = [each for each in listed if each not in ours or each.get("name") in names]
    known = {each["name"]: each for each in kept if isinstance(each, dict) and isinstance(each.get("name"), str)}
    for n, entry in enumerate(there):
        fields = {
            "name": entry.name, "of": entry.of, "from": entry.first, "to": entry.last, "thin": entry.thin,
            "files_sha256": files_hash(entry.files),
        }  # fmt: skip
        if entry.name in known:
            known[entry.name].update(fields)
        else:  # before the first of ours that comes later, so that one which is back has its place
            later = {each.name for each in there[n + 1 :]}
            places = (at for at, each in enumerate(kept) if isinstance(each, dict) and each.get("name") in later)
            kept.insert(next(places, len(kept)), fields)
    document["eras"] = kept
    if not kept:
        del document["eras"]
    if json.dumps(document) == before:
        return False
    _write(folder, document)
    return True


def name_in_manifest(folder: Path, names: Mapping[str, tuple[int, str | None]]) -> bool:
    """Say of sets that are not ours (name -> number, person or None) who they are, and no more; True where that changed it."""
    document = read_manifest(folder)
    if document is None:
        if not any(person for _, person in names.values()):
            return False
        document = {"schema": SCHEMA}
    known, before = entries(document), json.dumps(document)
    for name, (number, person) in names.items():
        if name in known and person is None:
            known[name].pop("person", None)
        elif name in known:
            known[name]["person"] = person
        elif person is not None:
            document.setdefault("facesets", []).append({"name": name, "number": number, "person": person})
    if json.dumps(document) == before:
        return False
    _write(folder, document)
    return True


def unretire_in_manifest(folder: Path, name: str, number: int) -> bool:
    """Bring a retired set's entry back to its place; True where that changed the manifest. Raises as above."""
    document = read_manifest(folder)
    if document is None:
        return False
    found = [each for each in document.get("retired", []) if isinstance(each, dict) and each.get("name") == name]
    if not found or name in entries(document):
        return False
    document["retired"] = [each for each in document["retired"] if each not in found]
    if not document["retired"]:
        del document["retired"]
    listed = document.setdefault("facesets", [])
    higher = (
        at for at, each in enumerate(listed) if isinstance(each, dict) and isinstance(n := each.get("number"), int) and n > number
    )
    listed.insert(next(higher, len(listed)), found[0])
    _write(folder, document)
    return True


def rename_in_manifest(folder: Path, name: str, to: str) -> bool:
    """A set's entry bears another name, in its place and with its other fields; True where that changed it. Raises as above."""
    document = read_manifest(folder)
    if document is None or name not in (known := entries(document)) or to in known:
        return False
    known[name]["name"] = to
    _write(folder, document)
    return True


def retire_in_manifest(folder: Path, name: str) -> bool:
    """Move a set's entry to the retired ones; True where that changed the manifest. Raises as above."""
    document = read_manifest(folder)
    if document is None or name not in (known := entries(document)):
        return False
    document["facesets"] = [entry for entry in document["facesets"] if entry is not known[name]]
    document.setdefault("retired", []).append(known[name])
    _write(folder, document)
    return True


def _write(folder: Path, document: dict[str, Any]) -> None:
    """Replace the manifest whole or not at all; one that is there keeps its mode."""
    path = (folder / MANIFEST).resolve()
    try:
        replace_file(path, _text(document), keep_mode=True)
    except OSError as err:
        raise disk_error(err, path) from err


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

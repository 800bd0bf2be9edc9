"""``.facesets-export.json``: by which an export knows what earlier ones made. It lies where anybody may have changed it, so what it
says is checked before anything is done by it: a path in it never leads out of its folder.

Its parts are a person's of one workspace: two workspaces may share a folder, and neither takes the other's files for its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from facesets.errors import CorruptFile, Refused
from facesets.files import disk_error, read_file, replace_file
from facesets.registry import Registry, exports
from facesets.targets.xmp_document import Region

RECORD = ".facesets-export.json"
SCHEMA = "facesets.export/1"
Entry = dict[str, Any]


class _Face(msgspec.Struct):
    region: Region
    tag: str | None = None
    was: _Face | None = None


class _File(msgspec.Struct):
    sha256: str = ""
    was: str | None = None
    made: bool = False
    faces: dict[str, _Face] | list[Any] = msgspec.field(default_factory=list)


class _Part(msgspec.Struct):
    set: str
    files: dict[str, _File]


class _Document(msgspec.Struct):
    schema: str
    target: str
    sets: dict[str, _Part]


def key_of(registry: Registry, number: int) -> str:
    """The part of a record that is a person's, of this workspace."""
    return f"{number}@{exports.workspace_id(registry)}"


def own_of(key: str) -> str:
    """How the keys of the same workspace end."""
    return key[key.index("@") :]


def read_record(path: Path, target: str, own: str, *, anywhere: bool = False) -> dict[str, Any]:
    """The record at ``path``; an empty one where there is none. ``own``: how keys of this workspace end (``@ID``); parts without an
    ending, as earlier versions made them, are this workspace's. ``anywhere``: it is our own, and its files lie where they may.

    Raises CorruptFile, and Refused where it is another target's.
    """
    try:
        document = json.loads(read_file(path))
    except FileNotFoundError:
        return {"schema": SCHEMA, "target": target, "sets": {}}
    except NotADirectoryError as err:
        raise disk_error(err, path.parent) from err
    except OSError as err:
        raise disk_error(err, path) from err
    except (ValueError, RecursionError) as err:
        raise CorruptFile(path, f"not a record of an export ({err}); choose another --out") from err
    if isinstance(document, dict) and document.get("schema", SCHEMA) != SCHEMA:
        raise CorruptFile(path, f"made by something newer (schema {document['schema']!r}, this facesets knows {SCHEMA})")
    try:
        known = msgspec.convert(document, _Document)
    except msgspec.ValidationError as err:
        raise CorruptFile(path, f"not a record of an export ({err}); choose another --out") from err
    for file in (file for part in known.sets.values() for file in part.files if not (anywhere or _is_below(file))):
        raise CorruptFile(path, f"it names {file!r}, which is not in this folder. Nothing was touched; choose another --out")
    if known.target != target:
        raise Refused(f"{path.parent} holds an export to {known.target}; choose another --out for {target}")
    for file, entry in ((file, entry) for part in known.sets.values() for file, entry in part.files.items()):
        if not (isinstance(entry.faces, dict) if target == "xmp" else entry.sha256):
            raise CorruptFile(path, f"not a record of an export (it does not say what {file} is); choose another --out")
    read: dict[str, Any] = document
    for number in [key for key in read["sets"] if key.isdecimal() and f"{key}{own}" not in read["sets"]]:
        read["sets"][f"{number}{own}"] = read["sets"].pop(number)
    return read


def _is_below(name: str) -> bool:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0].startswith("/") or any(c in name for c in "\0\\:"):
        return False
    try:
        return bool(os.fsencode(name))
    except UnicodeEncodeError:
        return False


def write_part(path: Path, target: str, key: str, part: Mapping[str, Any] | None, *, anywhere: bool = False) -> bool:
    """Put a person's part into the record as it is now, or take it out (None); the last part takes the record with it.

    Returns whether there is a record still. Raises as :func:`read_record`, and FacesetsError where the disk will not.
    """
    document = read_record(path, target, own_of(key), anywhere=anywhere)  # again: another workspace may have written since
    if part is None:
        document["sets"].pop(key, None)
    else:
        document["sets"][key] = part
    try:
        if document["sets"]:
            data = _encoded(document)
            if not path.is_file() or path.read_bytes() != data:
                replace_file(path, data)
        else:
            path.unlink(missing_ok=True)
    except OSError as err:
        raise disk_error(err, path) from err
    return bool(document["sets"])


def _encoded(document: Mapping[str, Any]) -> bytes:
    try:
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:  # names of files that are not UTF-8
        return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()

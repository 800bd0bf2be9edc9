"""Reads facesets.toml and the environment into Settings. Touches that file and ``os.environ``; nothing else."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from facesets import secrets
from facesets.errors import SettingsError
from facesets.files import disk_error, read_file, replace_file
from facesets.settings.fields import as_toml, takes_in_words
from facesets.settings.sections import SECTIONS, Settings
from facesets.settings.targets import TargetSettings

LABEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in ``path``, overridden by the environment. Raises SettingsError with file, line and key."""
    try:
        text = read_file(path).decode("utf-8-sig")  # some editors of Windows begin with a mark
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as err:
        line = re.search(r"line (\d+)", str(err))
        raise SettingsError(f"not TOML: {err}", path=path, line=int(line[1]) if line else None) from err
    except UnicodeDecodeError as err:
        before = err.object.count(b"\n", 0, err.start)
        problem = f"byte {err.object[err.start]:#04x} is not UTF-8: save the file in your editor as UTF-8"
        raise SettingsError(problem, path=path, line=before + 1) from err
    except OSError as err:
        raise SettingsError(f"cannot be read: {err.strerror or err}", path=path) from err
    sections: dict[str, Any] = {}
    for section, values in _flat(table):
        try:
            sections[section.removeprefix("sources.")] = _section(section, values)
        except _Wrong as wrong:
            where = f"[{section}] {wrong.key}".strip()
            raise SettingsError(wrong.problem, path=path, line=_line_of(text, section, wrong.key), key=where) from None
    for variable, (section, key) in _FROM_ENVIRONMENT.items():
        if value := environ.get(variable):
            attribute = section.removeprefix("sources.")
            try:
                override = _record(SECTIONS[section], {key: value})
            except _Wrong as wrong:
                raise SettingsError(wrong.problem, key=variable) from None
            sections[attribute] = replace(sections.get(attribute, SECTIONS[section]()), **{key: getattr(override, key)})
    targets = {name.removeprefix("targets."): sections.pop(name) for name in list(sections) if name.startswith("targets.")}
    return Settings(**sections, targets=TargetSettings(**targets))


_FROM_ENVIRONMENT = {
    "IMMICH_URL": ("immich", "url"),
    "IMMICH_DB_URL": ("sources.immich_db", "url"),
    "IMMICH_DUMP": ("sources.immich_dump", "file"),
    "FACESETS_ENGINE": ("embed", "engine"),
}


class _Wrong(Exception):
    """What is wrong with a key of a section, or with the section itself."""

    def __init__(self, problem: str, key: str = "") -> None:
        super().__init__(problem)
        self.problem, self.key = problem, key


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Sections by their whole name: what stands under ``sources`` or ``targets`` has one of its own."""
    for section, values in table.items():
        inner = values.items() if section in ("sources", "targets") and isinstance(values, dict) else None
        yield from ((f"{section}.{name}", value) for name, value in inner) if inner else [(section, values)]


def _section(section: str, values: object) -> Any:
    """What a section stands for. Raises _Wrong."""
    known = ["users", *SECTIONS]
    if section not in known:
        raise _Wrong(f"unknown section{_meant(section, known)}")
    if not isinstance(values, dict):
        raise _Wrong("must be a section, not a value")
    return _users(values) if section == "users" else _record(SECTIONS[section], values)


def _record(kind: type, values: Mapping[str, Any]) -> Any:
    """A record of this kind. Raises _Wrong."""
    known, taken = {f.name: f for f in fields(kind)}, {}
    hints = get_type_hints(kind, include_extras=True) if values else {}  # compiles each: most sections say nothing
    for key, value in values.items():
        if key not in known:
            raise _Wrong(f"unknown key{_meant(key, known)}", key)
        try:
            taken[key] = msgspec.convert(value, hints[key])
        except msgspec.ValidationError:
            shown = "" if known[key].metadata.get("secret") else f", not {as_toml(value)}"
            raise _Wrong(f"must be {takes_in_words(hints[key])}{shown}", key) from None
        if check := known[key].metadata.get("check"):
            try:
                taken[key] = check(taken[key])
            except ValueError as err:
                raise _Wrong(str(err), key) from None
    return kind(**taken)


def _users(table: Mapping[str, Any]) -> dict[str, str]:
    """Label -> user id. Raises _Wrong."""
    for label, value in table.items():
        if not LABEL.fullmatch(label):
            raise _Wrong("a label is 1 to 64 of a-z, 0-9, - and _ (it names files)", label)
        if not isinstance(value, str) or not value:
            raise _Wrong("must be the user's id, as text", label)
    return dict(table)


def _meant(name: str, known: Iterable[str]) -> str:
    matches = get_close_matches(name, known, n=1)
    return f"; did you mean {matches[0]}?" if matches else f"; there are: {', '.join(sorted(known))}"


def _line_of(text: str, section: str, key: str) -> int | None:
    """The line (from 1) of a key in a section, as well as a line-wise look can tell."""
    inside = found = None
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[\s*([^\]\s]+)\s*\]", line):
            inside = head[1] if head[1] in SECTIONS else head[1].split(".")[0]
            found = found or (number if inside == section else None)
        elif inside == section and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
            return number
        elif inside is None and re.match(rf"\s*{re.escape(section)}\s*(\.\s*[\"']?{re.escape(key)}[\"']?\s*)?=", line):
            return number  # section.key = value, or section = { key = value }
    return found


def put(path: Path, section: str, values: Mapping[str, Any]) -> None:
    """Give keys of a section other values, in the file as it is: comments and all else stay. Raises SettingsError, and then nothing is
    written.

    A key's line is replaced, or put below the one that shows its default, or at the end of the section, which is added where it is not.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    for key, value in values.items():
        begin = next((n for n, line in enumerate(lines) if re.match(rf"\s*\[\s*{re.escape(section)}\s*\]", line)), None)
        if begin is None:
            lines += ["", f"[{section}]"]
            begin = len(lines) - 1
        end = next((n for n in range(begin + 1, len(lines)) if lines[n].lstrip().startswith("[")), len(lines))
        inside = range(begin + 1, end)
        ours = [n for n in inside if re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", lines[n])]
        shown = [n for n in inside if re.match(rf"\s*#\s*{re.escape(key)}\s*=", lines[n])]
        line = f"{key} = {as_toml(value)}"
        if ours:
            lines[ours[0]] = line
        else:
            lines.insert(shown[0] + 1 if shown else begin + 1, line)
    text = "\n".join(lines) + "\n"
    fresh = path.with_name(f".{path.name}.new")
    try:
        replace_file(fresh, text.encode("utf-8"))
        load(fresh, {})
        replace_file(path, text.encode("utf-8"), keep_mode=True)
    except OSError as err:
        raise disk_error(err, path) from err
    finally:
        fresh.unlink(missing_ok=True)


def import_users(path: Path) -> dict[str, str]:
    """Users from a JSON file of the form ``{"label": "user id", ...}``. Raises SettingsError."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise SettingsError(f"cannot be read: {err}", path=path) from err
    if not isinstance(table, dict):
        raise SettingsError('must be an object: {"label": "user id", ...}', path=path)
    try:
        return _users(table)
    except _Wrong as wrong:
        raise SettingsError(wrong.problem, path=path, key=wrong.key) from None


def labels(settings: Settings, workspace: Path, environ: Mapping[str, str] = os.environ) -> set[str]:
    """Everybody who has an entry in the settings, a key or a login of their own."""
    filed, named = secrets.labels(workspace, environ)
    by_variable = {re.sub(r"[^a-z0-9]", "_", label): label for label in settings.users}
    found = {*settings.users, *filed, *(by_variable.get(name, name) for name in named)}
    return {label for label in found if LABEL.fullmatch(label)}

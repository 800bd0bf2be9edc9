"""facesets.toml and the environment, read into one typed, frozen Settings. Every default and its reason lives here.

Touches: the settings file, the key file and ``os.environ``; nothing else. Keys are never part of Settings' ``repr``.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

from .errors import SettingsError, UsageError

SETTINGS_FILE = "facesets.toml"
KEY_FILE = "api-keys.toml"
SESSION_FILE = "sessions.toml"
LABEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

_EXCLUDED = (
    "**/thumbs/**",  # Immich's own thumbnails and previews, indexed as photos by an external library
    "**/encoded-video/**",
    "**/@eaDir/**",  # Synology's thumbnails
    "**/.thumbnails/**",
    "**/.@__thumb/**",  # QNAP's
    "**/#recycle/**",
    "**/.Trash*/**",
    "**/.stversions/**",
    "**/__MACOSX/**",
    "**/._*",  # macOS resource forks
)


def _doc(default: Any, doc: str) -> Any:
    """A field with its default and the sentence that the settings file and the reference print beside it."""
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata={"doc": doc})
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True, slots=True)
class ImmichSettings:
    """Where the server is and how it is spoken to."""

    url: str = _doc("", "Address of your Immich server, e.g. https://photos.example.org (IMMICH_URL wins over this).")
    timeout: float = _doc(30.0, "Seconds without a byte before a request counts as failed (and is tried again).")
    attempts: int = _doc(5, "How often one request is tried before its item is left for the next run.")
    ca_file: str = _doc("", "A PEM file with your own certificate authority; empty: the system's.")
    connections: int = _doc(32, "Requests at a time at most; fewer are sent where the server's answers slow down.")
    bandwidth: float = _doc(0.0, "Megabytes a second to take at most, all downloads together; 0: no limit.")
    archived: bool = _doc(False, "Take archived photos too.")
    stacked: bool = _doc(False, "Take all photos of a stack, not only the one on top (of a burst, or of a RAW file and its JPEG).")
    partners: bool = _doc(False, "Take photos that partners show in your timeline too; those of a user here stay that user's own.")


@dataclass(frozen=True, slots=True)
class ImmichDbSettings:
    """Immich's Postgres, read only, where it can be reached: everything is listed in one query, with boxes. Needs facesets[db]."""

    url: str = _doc(
        "",
        "Its address, e.g. postgresql://reader@localhost/immich (IMMICH_DB_URL wins over this); leave the password to PGPASSWORD or "
        "~/.pgpass. Empty: everything is asked through the API.",
    )


@dataclass(frozen=True, slots=True)
class PathSettings:
    """Where things lie."""

    facesets: str = _doc("facesets", "The folder of sets: relative to the workspace, or an existing folder anywhere.")
    map: Mapping[str, str] = _doc({}, 'For embedding on another machine: our path prefix = its, e.g. "/mnt/x/" = "X:\\\\".')


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Embedding caches of other runs."""

    read: tuple[str, ...] = _doc((), "v2 .npz caches whose photos count as had already: nothing in them is downloaded for embedding.")


@dataclass(frozen=True, slots=True)
class StageSettings:
    """Which photos, and their bytes."""

    min_face_short: int = _doc(90, "Short side in original pixels that at least one face must have; smaller ones blur when enlarged.")
    workers: int = _doc(8, "Downloads at a time; more rarely helps and a home server feels it.")
    page_size: int = _doc(1000, "Assets a listing page; Immich allows 1 to 1000, and 1000 is by far the quickest.")
    verify_duplicates: bool = _doc(
        False, "Download photos of external libraries that look like copies, instead of trusting size, look and samples of bytes."
    )
    keep_originals: bool = _doc(
        True, "Keep downloaded originals; false: each is removed once its faces are embedded, and crops and vectors stay."
    )
    exclude: tuple[str, ...] = _doc(_EXCLUDED, "Paths never staged (globs over the original path), counted as excluded_path.")


@dataclass(frozen=True, slots=True)
class EmbedSettings:
    """Faces and vectors."""

    pack: str = _doc(
        "auto",
        "Model pack: auto, open, buffalo_l (or another InsightFace pack), immich-ml, immich-db (the vectors that Immich has made), or "
        "a folder of .onnx files.",
    )
    immich_ml: tuple[str, ...] = _doc(
        (), "For pack immich-ml: addresses of Immich machine-learning services that share the work, e.g. http://192.168.1.5:3003."
    )
    workers: int = _doc(0, "Photos decoded and embedded at a time; 0: one for each core, up to six: below 1.5 GB of memory.")
    engine: str = _doc("auto", "What runs the networks: auto, cpu, or another of facesets bench providers (FACESETS_ENGINE wins).")
    known_boxes: bool = _doc(True, "Look around the source's own face boxes first, and at the whole photo where that fails.")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Another machine that embeds."""

    command: str = _doc(
        "",
        "What embeds instead of this process: {queue} is the file to read, {out} the cache to write ({worker_queue}, {worker_out}: "
        "as the worker sees them, through [paths] map), e.g. \"embed.sh {queue} {out}\". Its cache is taken in.",
    )


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Who is who. Distances are the pack's own where they are negative."""

    classic: bool = _doc(False, "Average linkage alone, without healing fragments (the reference's way).")
    match: float = _doc(-1.0, "A face this near to an existing set's centroid is that set's; -1: the pack's own distance.")
    cluster: float = _doc(-1.0, "Average linkage joins groups below this distance; -1: the pack's own.")
    consolidate: float = _doc(-1.0, "Groups whose centroids are this near are one person; 0 never; -1: the pack's own.")
    outlier: float = _doc(-1.0, "Members farther than this from their new set's centroid are dropped; -1: the pack's own.")
    near_duplicate: float = _doc(-1.0, "Faces of a group this near are one exposure (burst, copy); -1: the pack's own.")


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a group must have to become a set, and a face to be in one."""

    min_faces: int = _doc(5, "Faces a set needs; fewer tell little about a person, and trainers want 5 to 10 at least.")
    min_photos: int = _doc(4, "Distinct photos a set needs, bursts and copies counted once: one exposure is no person.")
    min_face_short: float = _doc(90.0, "Short side of a face in original pixels; 0 switches the gate off.")
    min_det_score: float = _doc(0.6, "How sure the detector must be; below are profiles, backs of heads and patterns.")
    min_sharpness: float = _doc(0.0, "Scale-normalised sharpness a face needs; 0 switches the gate off.")


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Sets on disk."""

    size: int = _doc(512, "Width and height of the aligned crops in pixels; 512 suits roop-unleashed and most trainers.")
    margin: float = _doc(0.5, "Room around the aligned face, as a share of its size, half of it on each side: detectors need it.")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a workspace. Keys are not in here: see :func:`api_key`."""

    immich: ImmichSettings = field(default_factory=ImmichSettings)
    users: Mapping[str, str] = field(default_factory=dict)
    immich_db: ImmichDbSettings = field(default_factory=ImmichDbSettings)
    paths: PathSettings = field(default_factory=PathSettings)
    caches: CacheSettings = field(default_factory=CacheSettings)
    stage: StageSettings = field(default_factory=StageSettings)
    embed: EmbedSettings = field(default_factory=EmbedSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    gates: GateSettings = field(default_factory=GateSettings)
    export: ExportSettings = field(default_factory=ExportSettings)


SECTIONS: Mapping[str, type] = {
    "immich": ImmichSettings,
    "sources.immich_db": ImmichDbSettings,
    "paths": PathSettings,
    "caches": CacheSettings,
    "stage": StageSettings,
    "embed": EmbedSettings,
    "worker": WorkerSettings,
    "cluster": ClusterSettings,
    "gates": GateSettings,
    "export": ExportSettings,
}


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in ``path``, overridden by the environment. Raises SettingsError with file, line and key."""
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        line = re.search(r"line (\d+)", str(err))
        raise SettingsError(f"not TOML: {err}", path=path, line=int(line[1]) if line else None) from err
    except (OSError, UnicodeDecodeError) as err:
        raise SettingsError(f"cannot be read: {err}", path=path) from err

    def fail(problem: str, section: str, key: str = "") -> SettingsError:
        return SettingsError(problem, path=path, line=_line_of(text, section, key), key=f"[{section}] {key}".strip())

    sections: dict[str, Any] = {}
    for section, values in _flat(table):
        if section not in SECTIONS and section != "users":
            raise fail(f"unknown section; there are: users, {', '.join(SECTIONS)}", section)
        if not isinstance(values, dict):
            raise fail("must be a section, not a value", section)
        if section == "users":
            sections["users"] = {label: _user(label, value, fail) for label, value in values.items()}
            continue
        kind = SECTIONS[section]
        hints, known = get_type_hints(kind), {f.name for f in fields(kind)}
        taken = {}
        for key, value in values.items():
            if key not in known:
                raise fail(f"unknown key; [{section}] has: {', '.join(sorted(known))}", section, key)
            taken[key] = _typed(value, hints[key], lambda problem, k=key, s=section: fail(problem, s, k))
        sections[section.removeprefix("sources.")] = kind(**taken)
    if url := environ.get("IMMICH_URL"):
        sections["immich"] = _replaced(sections.get("immich", ImmichSettings()), url=url)
    if url := environ.get("IMMICH_DB_URL"):
        sections["immich_db"] = ImmichDbSettings(url)
    if engine := environ.get("FACESETS_ENGINE"):
        sections["embed"] = _replaced(sections.get("embed", EmbedSettings()), engine=engine)
    return Settings(**sections)


def _flat(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Sections by their whole name: what stands under ``sources`` has one of its own."""
    for section, values in table.items():
        inner = values.items() if section == "sources" and isinstance(values, dict) else None
        yield from ((f"sources.{name}", value) for name, value in inner) if inner else [(section, values)]


def _replaced(record: Any, **changes: Any) -> Any:
    return type(record)(**{f.name: getattr(record, f.name) for f in fields(record)} | changes)


def _user(label: str, value: object, fail: Any) -> str:
    if not LABEL.fullmatch(label):
        raise fail("a label is 1 to 64 of a-z, 0-9, - and _ (it names files)", "users", label)
    if not isinstance(value, str) or not value:
        raise fail("must be the user's id, as text", "users", label)
    return value


def _typed(value: object, kind: Any, fail: Any) -> Any:
    if isinstance(kind, UnionType):
        kind = next(k for k in get_args(kind) if k is not type(None))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if kind in (bool, int, float, str):
        if type(value) is not kind:
            raise fail(f"must be {_KINDS[kind]}, not {value!r}")
        if kind in (int, float) and isinstance(value, int | float) and value < 0 and value != -1.0:
            raise fail(f"must not be negative, is {value!r}")
        return value
    if getattr(kind, "__origin__", None) is tuple:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise fail("must be a list of texts")
        return tuple(value)
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise fail("must be a table of texts")
    return dict(value)


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _line_of(text: str, section: str, key: str) -> int | None:
    """The line (from 1) of a key in a section, as well as a line-wise look can tell."""
    inside = found = None
    for number, line in enumerate(text.splitlines(), 1):
        if head := re.match(r"\s*\[\s*([^\]\s]+)\s*\]", line):
            inside = head[1] if head[1] in SECTIONS else head[1].split(".")[0]
            found = found or (number if inside == section else None)
        elif inside == section and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
            return number
    return found


def documented(section: str) -> list[tuple[str, str, str]]:
    """``(key, default as TOML, sentence)`` of each key of a section; the template and the reference are made of it."""
    record = SECTIONS[section]()
    return [(f.name, _toml(getattr(record, f.name)), _sentence(f)) for f in fields(record)]


def _sentence(of: Field[Any]) -> str:
    return str(of.metadata["doc"])


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(json.dumps(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items()) + " }" if value else "{}"
    return json.dumps(value) if isinstance(value, str) else str(value)


def template(*, url: str = "", users: Mapping[str, str] | None = None) -> str:
    """A facesets.toml with every setting, its default and its reason; only what differs from the default is uncommented."""
    lines = [
        "# Settings of this facesets workspace. A line with a leading # shows the default.",
        "# Keys are not in here: set IMMICH_API_KEY (or IMMICH_API_KEY_<LABEL> for several people),",
        f"# or put them into {KEY_FILE} beside this file, readable by you alone (chmod 600): label = \"key\".",
        "",
        "[users]  # label = user id in Immich; a label used for the first time is bound to its key's owner",
        *(f"{label} = {json.dumps(user_id)}" for label, user_id in (users or {}).items()),
    ]
    for section, kind in SECTIONS.items():
        lines += ["", f"[{section}]  # {(kind.__doc__ or '').strip()}"]
        for key, default, sentence in documented(section):
            lines += [f"# {sentence}"]
            lines += [f"url = {json.dumps(url)}" if (section, key) == ("immich", "url") and url else f"# {key} = {default}"]
    return "\n".join(lines) + "\n"


def import_users(path: Path) -> dict[str, str]:
    """Users from a JSON file of the form ``{"label": "user id", ...}``. Raises SettingsError."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        raise SettingsError(f"cannot be read: {err}", path=path) from err
    if not isinstance(table, dict):
        raise SettingsError('must be an object: {"label": "user id", ...}', path=path)

    def fail(problem: str, _section: str, key: str) -> SettingsError:
        return SettingsError(problem, path=path, key=key)

    return {str(label): _user(str(label), value, fail) for label, value in table.items()}


def api_key(label: str, workspace: Path, environ: Mapping[str, str] = os.environ) -> str:
    """The API key for a user label: IMMICH_API_KEY_<LABEL>, the key file, IMMICH_API_KEY. Raises UsageError where there is none."""
    own = "IMMICH_API_KEY_" + re.sub(r"[^A-Z0-9]", "_", label.upper())
    if key := environ.get(own, "").strip():
        return key
    path = workspace / KEY_FILE
    if path.exists():
        keys = _key_file(path)
        if filed := keys.get(label) or keys.get("default"):
            return filed
    if key := environ.get("IMMICH_API_KEY", "").strip():
        return key
    raise UsageError(
        f"no API key for user {label!r}. Make one in Immich (Account settings > API keys), then: export {own}=... "
        f'(or IMMICH_API_KEY), or put  {label} = "..."  into {path} (chmod 600).'
    )


def labels(settings: Settings, workspace: Path, environ: Mapping[str, str] = os.environ) -> set[str]:
    """Everybody who has an entry in the settings, a key or a login of their own."""
    files = [_key_file(path) for name in (KEY_FILE, SESSION_FILE) if (path := workspace / name).exists()]
    named = [name.removeprefix("IMMICH_API_KEY_").lower() for name in environ if name.startswith("IMMICH_API_KEY_")]
    by_variable = {re.sub(r"[^a-z0-9]", "_", label): label for label in settings.users}
    filed = (label for keys in files for label in keys if label != "default")
    found = {*settings.users, *filed, *(by_variable.get(name, name) for name in named)}
    return {label for label in found if LABEL.fullmatch(label)}


def session_token(label: str, workspace: Path) -> str | None:
    """The token of a user's login; None where nobody has logged in."""
    path = workspace / SESSION_FILE
    return _key_file(path).get(label) or None if path.exists() else None


def session_file(label: str, token: str | None, workspace: Path) -> bytes:
    """The session file with this user's token set, or taken out; whoever writes it keeps it private."""
    path = workspace / SESSION_FILE
    tokens = (_key_file(path) if path.exists() else {}) | {label: token or ""}
    head = "# Tokens of logins, made by: facesets login. Each opens that person's whole library: keep them as you keep a password.\n"
    return (head + "".join(f"{name} = {json.dumps(one)}\n" for name, one in sorted(tokens.items()) if one)).encode()


def _key_file(path: Path) -> dict[str, str]:
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise SettingsError(f"other users of this machine can read your keys: chmod 600 {path}", path=path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as err:
        # the parser's message may quote the line, and the line may be a key
        raise SettingsError('not readable as TOML; lines are  label = "key"', path=path) from err if isinstance(err, OSError) else None
    if bad := [label for label, key in table.items() if not isinstance(key, str)]:
        raise SettingsError("must be text", path=path, key=str(bad[0]))
    return {label: key.strip() for label, key in table.items()}

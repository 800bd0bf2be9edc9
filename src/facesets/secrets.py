"""Keys, sessions and passwords: where they come from, who may read their files, and that they show up nowhere.

Touches the key file, the session file and ``os.environ``. Whatever is read here is known to :func:`scrub`, which guards logs, errors
and JSON.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from facesets.errors import SettingsError, UsageError, redact
from facesets.files import disk_error, has_modes, is_private, read_file, replace_file
from facesets.wording import printable

KEY_FILE = "api-keys.toml"
SESSION_FILE = "sessions.toml"
_KEY, _HEAD = "IMMICH_API_KEY", "IMMICH_API_KEY_"
_SHORTEST = 4  # replacing a shorter secret would garble every text
_IN_ENVIRONMENT = re.compile(r"IMMICH_API_KEY(_.*)?|PGPASSWORD|FRIGATE_TOKEN|COMPREFACE_API_KEY|DOUBLETAKE_TOKEN")
_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s@]+(?=@)", re.IGNORECASE)
_IN_CONNINFO = re.compile(r"(\bpassword\s*=\s*)('(?:\\.|[^'\\])*'|[^\s&'\"]+)", re.IGNORECASE)
_known: set[str] = set()


def remember(secret: str) -> str:
    """``secret``, which :func:`scrub` removes from now on."""
    if len(secret) >= _SHORTEST:
        _known.add(secret)
    return secret


def scrub(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """``text`` without any secret that is known, in the environment, or stands in it as the password of an address."""
    held = {value.strip() for name, value in environ.items() if _IN_ENVIRONMENT.fullmatch(name) and len(value.strip()) >= _SHORTEST}
    return _IN_CONNINFO.sub(r"\1***", _IN_URL.sub(r"\1***", redact(text, *sorted(held | _known, key=len, reverse=True))))


class ScrubbingFormatter(logging.Formatter):
    """A log line without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        """As logging's own, then scrubbed: a traceback may carry a secret too, and a name what would steer a terminal."""
        return printable(scrub(super().format(record)), keep="\n\t")


def api_key(label: str, workspace: Path, environ: Mapping[str, str] = os.environ) -> str:
    """The API key of a user label: IMMICH_API_KEY_<LABEL>, the key file, IMMICH_API_KEY. Raises UsageError where there is none."""
    own = _HEAD + re.sub(r"[^A-Z0-9]", "_", label.upper())
    if key := environ.get(own, "").strip():
        return remember(key)
    path = workspace / KEY_FILE
    if path.exists():
        keys = _read(path, f"set {own} (or {_KEY}) in the environment instead")
        if filed := keys.get(label) or keys.get("default"):
            return filed
    if key := environ.get(_KEY, "").strip():
        return remember(key)
    raise UsageError(
        f"no API key for user {label!r}. Make one in Immich (Account settings > API keys), then: export {own}=... "
        f'(or {_KEY}), or put  {label} = "..."  into {path} (chmod 600).'
    )


def labels(workspace: Path, environ: Mapping[str, str] = os.environ) -> tuple[set[str], set[str]]:
    """Who has a secret of their own: by the key file and the session file, and by variables, whose names hold no - and no capitals."""
    files = [_read(path, f"set {_HEAD}<NAME> in the environment instead") for path in _files(workspace) if path.exists()]
    filed = {label for keys in files for label in keys if label != "default"}
    return filed, {name.removeprefix(_HEAD).lower() for name in environ if name.startswith(_HEAD)}


def session_token(label: str, workspace: Path) -> str | None:
    """The token of a user's login; None where nobody has logged in."""
    return _sessions(workspace).get(label) or None


def keep_session(label: str, token: str | None, workspace: Path) -> Path:
    """Write the user's token into the session file, or take it out, and return the file. Raises FacesetsError."""
    path = workspace / SESSION_FILE
    tokens = _sessions(workspace) | {label: remember(token or "")}
    head = "# Tokens of logins, made by: facesets login. Each opens that person's whole library: keep them as you keep a password.\n"
    try:
        if token is not None and not has_modes(workspace):
            raise SettingsError(f"{_NO_MODES}, so the login is not kept. {_USE_KEYS}", path=path)
        replace_file(path, (head + "".join(f"{name} = {json.dumps(one)}\n" for name, one in sorted(tokens.items()) if one)).encode())
    except OSError as err:
        raise disk_error(err, path) from err
    return path


_NO_MODES = "this file system keeps no permissions (chmod does nothing on it), so others could read what lies here"
_USE_KEYS = f"Use API keys from the environment ({_KEY}, or {_HEAD}<NAME>), or a workspace on a disk with permissions"


def _files(workspace: Path) -> tuple[Path, Path]:
    return workspace / KEY_FILE, workspace / SESSION_FILE


def _sessions(workspace: Path) -> dict[str, str]:
    path = workspace / SESSION_FILE
    return _read(path, _USE_KEYS) if path.exists() else {}


def _read(path: Path, otherwise: str) -> dict[str, str]:
    """Label -> secret. ``otherwise``: what to do where the file system cannot keep it private."""
    try:
        if not is_private(path):
            raise SettingsError(_lax(path, otherwise), path=path)
        table = tomllib.loads(read_file(path).decode())
    except OSError as err:
        raise disk_error(err, path) from err
    except (UnicodeDecodeError, RecursionError, tomllib.TOMLDecodeError):
        # the parser's message may quote the line, and the line may be a key
        raise SettingsError('not readable as TOML; lines are  label = "key"', path=path) from None
    if bad := [label for label, key in table.items() if not isinstance(key, str)]:
        raise SettingsError("must be text", path=path, key=str(bad[0]))
    return {label: remember(key.strip()) for label, key in table.items()}


def _lax(path: Path, otherwise: str) -> str:
    try:
        if not has_modes(path.parent):
            return f"{_NO_MODES}. Remove the file, and {otherwise[0].lower()}{otherwise[1:]}"
    except OSError:  # a read-only folder cannot be probed, and chmod would fail there as well
        return f"other users of this machine can read your keys, and its folder is read-only. Remove the file, and {otherwise}"
    return f"other users of this machine can read your keys: chmod 600 {path}"


def database_problem(url: str) -> str:
    """What is wrong with the address of a database, without a word of it: any part may be the password's. Empty where nothing is.

    The driver's own message would quote what it took for the port or for an option. The password is known to :func:`scrub` then.
    """
    if not re.match(r"postgres(ql)?://", url):
        pairs = re.findall(r"\s*(\w+)\s*=\s*('(?:\\.|[^'\\])*'|(?:\\.|[^\s'\\])*)", url)
        whole = re.fullmatch(r"(\s*\w+\s*=\s*('(\\.|[^'\\])*'|(\\.|[^\s'\\])*)(?=\s|$))*\s*", url)
        for name, value in pairs:
            if name.lower() == "password":
                remember(value.strip("'"))
        return "" if whole else "must be postgresql://USER@HOST/DATABASE (a password goes into PGPASSWORD or ~/.pgpass)"
    authority, rest = re.fullmatch(r"([^/?#]*)(.*)", url.partition("://")[2], re.DOTALL).groups()  # type: ignore[union-attr]
    login, _, hosts = authority.rpartition("@")
    if password := login.partition(":")[2]:
        remember(password)
        remember(unquote(password))
    quoted = "its password holds a character that an address cannot: write @ as %40, : as %3A, / as %2F, ? as %3F, # as %23, % as %25"
    if "@" in login or "@" in rest or re.search(r"%(?![0-9A-Fa-f]{2})", url) or login.count(":") > 1:
        return f"{quoted}; or leave it out and set PGPASSWORD"
    if not all(re.fullmatch(r"(\[[0-9A-Fa-f:.%]*\]|[^:\[\]\s]*)(:[0-9]{0,5})?", host) for host in hosts.split(",")):
        return "its host or port cannot be read: postgresql://USER@HOST:5432/DATABASE"
    return ""

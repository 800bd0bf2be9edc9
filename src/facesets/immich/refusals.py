"""Immich room: what it means when no good answer comes: a status, or other bytes than promised. Pure but for an error's body."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ..connections import Url
from ..errors import BadAnswer, MissingPermission, NotFound, NotImmich, ServerError, ServerFailed, Unreachable, WrongKey, redact
from .answer import Answer

_WORTH_RETRYING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Redirected(NotImmich):
    """The server sends us to another origin (or a POST elsewhere), where the key does not go. ``target`` says where."""

    def __init__(self, message: str, target: Url) -> None:
        super().__init__(message)
        self.target = target


class Garbled(Unreachable):
    """Bytes came that are not the promised ones; trying again may help, but not often."""


class Failed(ServerFailed):
    """An answer that says: not now, or not before ``asked`` seconds."""

    def __init__(self, message: str, status: int, asked: float) -> None:
        super().__init__(message, status)
        self.asked = asked


def errors_of(response: Answer, shown: str, key: str) -> ServerError:
    """The error for an answer that is no success: WrongKey, MissingPermission, NotFound, NotImmich, BadAnswer, Unreachable."""
    status, where = response.status, shown + path_of(response)
    said = redact(_message(response.read()), key)
    if status >= 500 or status in _WORTH_RETRYING:
        return Failed(f"{where}: the server failed ({status}{': ' + said if said else ''})", status, _retry_after(response))
    if not said and "json" not in response.kind:
        return NotImmich(f"{where} is not an Immich API: it answered {status} without JSON")
    if status == 401:
        return WrongKey(f"{shown} does not accept the API key ({said}). Make one in Immich: Account settings > API keys.")
    if status == 403:
        missing = re.search(r"Missing required permission: ([\w.]+)", said)
        return MissingPermission(missing[1]) if missing else ServerError(f"{where}: forbidden ({said})")
    if status == 404 or (status == 400 and response.method == "GET"):
        return NotFound(f"{where}: {said}")
    return BadAnswer(f"{where}: refused ({status}: {said})")


def _message(data: bytes) -> str:
    """What an error body says: its ``message``, a text or a list of texts, and on 3.x the ``errors`` of a validation."""
    try:
        body = json.loads(data)
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    message = body.get("message", "")
    text = "; ".join(map(str, message)) if isinstance(message, list) else str(message)
    if body.get("errors"):
        text += f" {json.dumps(body['errors'])}"
    return text.encode("utf-8", "replace").decode()[:300]


def _retry_after(response: Answer) -> float:
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return 0.0
    if value.isdigit():
        return float(value)
    moment = read_date(value)
    return 0.0 if moment is None else max(0.0, (moment - datetime.now(UTC)).total_seconds())


def read_date(value: str) -> datetime | None:
    """An HTTP date."""
    try:
        return parsedate_to_datetime(value).astimezone(UTC)
    except (ValueError, TypeError):
        return None


def path_of(response: Answer) -> str:
    """The path below the API, without its query."""
    return (response.url.path or "").rpartition("/api")[2]

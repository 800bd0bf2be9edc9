"""Embedding room: the queue file, work that any machine can do. Reads and writes the one file it is given.

A header line ``{"schema": "facesets.queue/1", "user", "path_map"}``, then one entry a line. Lines are only ever appended. A last
line that a crash cut off is recognised (no newline, no JSON) and dropped; anything else that is wrong is errors.CorruptFile.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from facesets.embedding.files import replace_file
from facesets.errors import CorruptFile
from facesets.records import Box

QUEUE_SCHEMA: Final = "facesets.queue/1"


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A photo to embed. ``worker_path`` is ``path`` as the embedding machine sees it; ``boxes`` are known faces, in original pixels."""

    asset_id: str
    path: str
    worker_path: str = ""
    sha256: str = ""
    taken_at: str | None = None
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue file's content, entries in the order they were appended."""

    user: str
    path_map: Mapping[str, str] = field(default_factory=dict)
    entries: tuple[QueueEntry, ...] = ()


def append_queue(path: Path, user: str, entries: Iterable[QueueEntry], *, path_map: Mapping[str, str] | None = None) -> int:
    """Append ``entries`` to the queue of ``user`` at ``path``, made where it is not there; returns how many.

    Raises errors.CorruptFile where ``path`` is another user's queue or none of ours.
    """
    lines = [_line(asdict(entry)) for entry in entries]
    if not path.exists():
        replace_file(path, _line({"schema": QUEUE_SCHEMA, "user": user, "path_map": dict(path_map or {})}).encode())
    have = read_queue(path)
    if have.user != user:
        raise CorruptFile(path, f"is the queue of {have.user!r}, not of {user!r}")
    lead = _mend(path)
    with path.open("ab") as file:
        file.write((lead + "".join(lines)).encode())
        file.flush()
        os.fsync(file.fileno())
    return len(lines)


def read_queue(path: Path) -> Queue:
    """The queue at ``path``. Raises errors.CorruptFile where it cannot be trusted."""
    try:
        *whole, tail = path.read_bytes().split(b"\n")
        lines = [line.decode() for line in whole]
    except UnicodeDecodeError as error:
        raise CorruptFile(path, f"is not UTF-8 text: {error}") from error
    except OSError as error:
        raise CorruptFile(path, f"cannot be read: {error.strerror}") from error
    last = tail.decode(errors="replace")
    if _object(last) is not None:  # whole, but somebody's editor took the last newline away
        lines.append(last)
    header = _object(lines[0]) if lines else None
    if header is None:
        raise CorruptFile(path, "has no header line; it is not a queue of facesets")
    if header.get("schema") != QUEUE_SCHEMA:
        raise CorruptFile(path, f"has the schema {header.get('schema')!r}; this version reads {QUEUE_SCHEMA}")
    user, path_map = header.get("user"), header.get("path_map") or {}
    if not isinstance(user, str) or not isinstance(path_map, dict):
        raise CorruptFile(path, "line 1: user must be a string and path_map an object")
    entries = tuple(_entry(path, number, line) for number, line in enumerate(lines[1:], 2) if line.strip())
    return Queue(user, {str(ours): str(theirs) for ours, theirs in path_map.items()}, entries)


def _mend(path: Path) -> str:
    """Cut a torn last line off; returns what must stand before the next line."""
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if _object(data[end:].decode(errors="replace")) is not None:
        return "\n"
    if end < len(data):
        with path.open("r+b") as file:
            file.truncate(end)
    return ""


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n"


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _entry(path: Path, number: int, line: str) -> QueueEntry:
    value = _object(line)
    if value is None:
        raise CorruptFile(path, f"line {number} is not a JSON object")
    texts = {key: value.get(key) or "" for key in ("asset_id", "path", "worker_path", "sha256")}
    taken_at = value.get("taken_at")
    if not all(isinstance(text, str) for text in (*texts.values(), taken_at or "")) or not texts["path"]:
        raise CorruptFile(path, f"line {number}: asset_id, path, worker_path, sha256 and taken_at must be strings, path not empty")
    try:
        boxes = tuple((float(x1), float(y1), float(x2), float(y2)) for x1, y1, x2, y2 in value.get("boxes") or ())
    except (TypeError, ValueError) as error:
        raise CorruptFile(path, f"line {number}: boxes must be [[x1, y1, x2, y2], ...]: {error}") from error
    return QueueEntry(**texts, taken_at=taken_at, boxes=boxes)

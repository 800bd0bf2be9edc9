"""The queue file, work that any machine can do. Reads and writes the one file it is given.

A header line ``{"schema": "facesets.queue/1", "user", "path_map"}``, then one entry a line. Lines are only ever appended. A last
line that a crash cut off is recognised (no newline, no JSON) and dropped; anything else that is wrong is errors.CorruptFile.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from facesets.errors import CorruptFile
from facesets.files import read_file, replace_file
from facesets.records import Box

QUEUE_SCHEMA: Final = "facesets.queue/1"
_TAIL: Final = 1 << 16  # bytes read at a time from the end


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A photo to embed. ``worker_path`` is ``path`` as the embedding machine sees it; ``boxes`` are known faces, in original pixels.

    ``people`` are those of them that the source has as somebody's: they are measured also where no detector sees a face.
    """

    asset_id: str
    path: str
    worker_path: str = ""
    sha256: str = ""
    taken_at: str | None = None
    boxes: tuple[Box, ...] = ()
    people: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue file's content, entries in the order they were appended."""

    user: str
    path_map: Mapping[str, str] = field(default_factory=dict)
    entries: tuple[QueueEntry, ...] = ()


def append_queue(path: Path, user: str, entries: Iterable[QueueEntry], *, path_map: Mapping[str, str] | None = None) -> None:
    """Append ``entries`` to the queue of ``user`` at ``path``, made where it is not there. Of what is there only both ends are read.

    Raises errors.CorruptFile where ``path`` is another user's queue or none of ours.
    """
    lines = "".join(_line(asdict(entry)) for entry in entries)
    if not path.exists():
        header = _line({"schema": QUEUE_SCHEMA, "user": user, "path_map": dict(path_map or {})})
        replace_file(path, (header + lines).encode())
        return
    with path.open("r+b") as file:
        _check_header(path, file.readline(), user)
        file.seek(_end_of_whole_lines(file))
        file.truncate()
        file.write(lines.encode())
        file.flush()
        os.fsync(file.fileno())


def read_queue(path: Path) -> Queue:
    """The queue at ``path``. Raises errors.CorruptFile where it cannot be trusted."""
    try:
        *whole, tail = read_file(path).split(b"\n")
        lines = [line.decode() for line in whole]
    except UnicodeDecodeError as error:
        raise CorruptFile(path, f"is not UTF-8 text: {error}") from error
    except OSError as error:
        raise CorruptFile(path, f"cannot be read: {error.strerror}") from error
    last = tail.decode(errors="replace")
    if _object(last) is not None:  # whole, but somebody's editor took the last newline away
        lines.append(last)
    user, path_map = _header(path, lines[0] if lines else "")
    entries = tuple(_entry(path, number, line) for number, line in enumerate(lines[1:], 2) if line.strip())
    return Queue(user, path_map, entries)


def _header(path: Path, line: str) -> tuple[str, dict[str, str]]:
    header = _object(line)
    if header is None:
        raise CorruptFile(path, "has no header line; it is not a queue of facesets")
    if header.get("schema") != QUEUE_SCHEMA:
        raise CorruptFile(path, f"has the schema {header.get('schema')!r}; this version reads {QUEUE_SCHEMA}")
    user, path_map = header.get("user"), header.get("path_map") or {}
    if not isinstance(user, str) or not isinstance(path_map, dict):
        raise CorruptFile(path, "line 1: user must be a string and path_map an object")
    return user, {str(ours): str(theirs) for ours, theirs in path_map.items()}


def _check_header(path: Path, line: bytes, user: str) -> None:
    try:
        have, _ = _header(path, line.decode())
    except UnicodeDecodeError as error:
        raise CorruptFile(path, f"is not UTF-8 text: {error}") from error
    if have != user:
        raise CorruptFile(path, f"is the queue of {have!r}, not of {user!r}")


def _end_of_whole_lines(file: IO[bytes]) -> int:
    """Where the next line is to begin: a torn last line is written over, a whole one without its newline gets it."""
    end = file.seek(0, os.SEEK_END)
    start, tail = end, b""
    while start and b"\n" not in tail:
        start = max(0, start - _TAIL)
        file.seek(start)
        tail = file.read(end - start)
    torn = tail[tail.rfind(b"\n") + 1 :]
    if not torn:
        return end
    if _object(torn.decode(errors="replace")) is None:
        return end - len(torn)
    file.seek(end)
    file.write(b"\n")
    return end + 1


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n"


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
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
    boxes, people = (_boxes(path, number, name, value.get(name)) for name in ("boxes", "people"))
    return QueueEntry(**texts, taken_at=taken_at, boxes=boxes, people=people)


def _boxes(path: Path, number: int, name: str, value: Any) -> tuple[Box, ...]:
    try:
        return tuple((float(x1), float(y1), float(x2), float(y2)) for x1, y1, x2, y2 in value or ())
    except (TypeError, ValueError) as error:
        raise CorruptFile(path, f"line {number}: {name} must be [[x1, y1, x2, y2], ...]: {error}") from error

"""What the keys of every --json answer mean: one word for one thing, as docs/reference/json.md says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

_SET = re.compile(r"faceset_[0-9]+")
# words that once stood for these things, and what is said instead
_OTHER_WORDS = {
    "faceset": "set", "facesets": "sets", "set_name": "set", "number": "person", "folders": "sets_to_revise", "owner": "owner_id",
    "asset": "asset_id", "photo": "asset_id", "face": "face_id", "label": "user", "staged": "original",
    "immich_person": "immich_person_id", "person_id": "person", "said": "sentences", "free_bytes": "bytes_free",
    "held_bytes": "bytes_held",
}  # fmt: skip


def _is_set(value: object) -> bool:
    return isinstance(value, str) and _SET.fullmatch(value) is not None


def _is_number(value: object) -> bool:
    return type(value) is int


def _is_utc(value: object) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).utcoffset() == timedelta()


def _is_wall_clock(value: object) -> bool:
    """As the photo has it: a day, or a day and a time."""
    return isinstance(value, str) and datetime.fromisoformat(value).year > 0


# key -> what it may hold; None is always allowed where something is not known
_RULES: dict[str, Callable[[object], bool]] = {
    "set": lambda value: isinstance(value, str) and _SET.match(value) is not None,
    "other_set": _is_set, "to_set": _is_set, "into_set": _is_set, "new_set": _is_set,
    "person": _is_number, "merged_into": _is_number, "decision": _is_number, "undoes": _is_number, "undone_by": _is_number,
    "name": lambda value: isinstance(value, str) and not _is_set(value),
    "user": lambda value: isinstance(value, str),
    "taken_at": _is_wall_clock,
    "exit_code": _is_number, "error": lambda value: isinstance(value, str) and bool(value),
}  # fmt: skip
MEANT = {*_RULES, *_OTHER_WORDS.values(), "sets", "people", "faces", "bytes", "at"}


def check_keys(document: Any) -> Any:
    """Fail where an answer calls one of these things otherwise, or a key holds something else; returns the answer."""
    wrong = [f"{path} = {value!r}" for path, value in _wrong(document, "")]
    assert not wrong, wrong
    return document


def _wrong(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for n, each in enumerate(value):
            yield from _wrong(each, f"{path}[{n}]")
    elif isinstance(value, dict):
        for key, inner in value.items():
            where = f"{path}.{key}"
            counts = path.endswith(("_by_reason", "bytes_on_disk")) or (key == "staged" and _is_number(inner))
            if key in _OTHER_WORDS and not counts:
                yield f"{where}, which is to be {_OTHER_WORDS[key]}", inner
            elif not _holds(key, inner):
                yield where, inner
            yield from _wrong(inner, where)


def _holds(key: str, value: Any) -> bool:
    if value is None or isinstance(value, dict):
        return True
    if key == "at" or (key.endswith("_at") and key != "taken_at"):
        return _is_utc(value)
    if key == "bytes" or (key.startswith("bytes_") and key != "bytes_per_second"):
        return _is_number(value)
    if key.startswith("sets_") or key == "sets":
        return _is_number(value) or (isinstance(value, list) and all(isinstance(each, dict) or _is_set(each) for each in value))
    rule = _RULES.get(key)
    return rule is None or rule(value)

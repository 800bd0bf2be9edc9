"""What differs between Immich's majors, as values, and how each words a refusal. Pure.

Recorded of 2.7.2 and 3.1.0; another version number is announced as asked and otherwise speaks its major's dialect (see also
``cursors``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NO_CACHE = {"Cache-Control": "none"}
_STATUS_NAMES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error"}
_UUID_PATTERN = "/^([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-4[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12})$/"
_COLOUR_PATTERN = "/^#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{4}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})$/"


@dataclass(frozen=True)
class Dialect:
    """One major's ways. ``version`` is what the server says it is."""

    version: str
    modern: bool  # 3.x
    default_visibilities: frozenset[str]  # what a search without `visibility` shows
    ties_lost: bool  # paging orders by fileCreatedAt alone, so rows of one instant get lost and doubled

    @property
    def faces_in_search(self) -> bool:
        """``withPeople`` brings boxes and ``unassignedFaces``."""
        return not self.modern

    @property
    def has_cluster_groups(self) -> bool:
        """3.2 and later: several users' photos may be clustered together, and each has the people of the others."""
        return self.parts >= (3, 2)

    @property
    def parts(self) -> tuple[int, int, int]:
        """Major, minor, patch."""
        numbers = [int(n) for n in re.findall(r"\d+", self.version)[:3]]
        major, minor, patch = [*numbers, 0, 0, 0][:3]
        return major, minor, patch

    def error_body(self, problem: Problem, correlation: str) -> dict[str, Any]:
        """A refusal as this major words it."""
        if self.modern:
            body: dict[str, Any] = {"message": "Validation failed" if problem.invalid else problem.message}
            if problem.invalid:
                body["errors"] = [_zod(one) for one in problem.invalid]
            return body
        message: object = [text for one in problem.invalid for text in _class_validator(one)] if problem.invalid else problem.message
        body = {"message": message}
        if not problem.bare:
            body["error"] = _STATUS_NAMES.get(problem.status, "Error")
        return {**body, "statusCode": problem.status, "correlationId": correlation}


@dataclass(frozen=True)
class Invalid:
    """One field of a request that does not validate.

    ``kind``: uuid, missing, max, min, enum, type, each, past (a date), day, colour, coordinate, integer, empty, unset.
    """

    field: str
    kind: str
    limit: int = 0
    values: Sequence[str] = ()
    expected: str = ""
    received: str = ""


class Problem(Exception):
    """A refusal on its way to the client. ``bare`` leaves out 2.x's ``error`` name, as file routes do."""

    def __init__(
        self, status: int, message: str = "", *invalid: Invalid, bare: bool = False, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.invalid, self.bare = status, message, invalid, bare
        self.headers = dict(headers or {})  # of 2.x; 3.x sends its refusals plain


def invalid(field: str, kind: str, **more: Any) -> Problem:
    """400 for one field."""
    return Problem(400, "", Invalid(field, kind, **more))


def no_access(permission: str, *, headers: Mapping[str, str] | None = None) -> Problem:
    """400 for what is unknown, somebody else's or locked: Immich does not tell which."""
    return Problem(400, f"Not found or no {permission} access", headers=headers)


def _class_validator(one: Invalid) -> list[str]:
    listed = f"must be one of the following values: {', '.join(one.values)}"
    texts = {
        "uuid": ["must be a UUID"],
        "missing": ["must be a UUID", "should not be empty", "must be a string"],
        "max": [f"must not be greater than {one.limit}"],
        "min": [f"must not be less than {one.limit}"],
        "enum": [listed],
        "each": [listed],
        "colour": ["must be a hexadecimal color"],
        "coordinate": ["must be a number conforming to the specified constraints"],
        "empty": ["should not be empty"],
        "unset": ["must be a UUID", "must be a string"],
    }
    if one.kind in ("past", "day"):  # of a nested object the whole message is put behind the path
        parent = one.field.rpartition(".")[0]
        said = ["birthDate must be a string in the format yyyy-MM-dd"] if one.kind == "day" else []
        said += ["Birth date cannot be in the future"] if one.received != "date-time" else []
        return [f"{parent}.{text}" if parent else text for text in said]
    subject = f"each value in {one.field}" if one.kind == "each" else one.field
    return [f"{subject} {text}" for text in texts.get(one.kind, [f"must be a {one.expected}"])]


def _zod(one: Invalid) -> dict[str, Any]:
    match one.kind:
        case "uuid":
            text: dict[str, Any] = {"origin": "string", "code": "invalid_format", "format": "uuid", "pattern": _UUID_PATTERN}
            message = "Invalid UUID"
        case "missing":
            text = {"expected": "string", "code": "invalid_type"}
            message = f"Invalid input: expected string, received {one.received or 'undefined'}"
        case "max":
            text = {"origin": "number", "code": "too_big", "maximum": one.limit, "inclusive": True}
            message = f"Too big: expected number to be <={one.limit}"
        case "min":
            text = {"origin": "number", "code": "too_small", "minimum": one.limit, "inclusive": True}
            message = f"Too small: expected number to be >={one.limit}"
        case "enum" | "each":
            text = {"code": "invalid_value", "values": list(one.values)}
            message = "Invalid option: expected one of " + "|".join(f'"{v}"' for v in one.values)
        case "past" | "day":
            text, message = {"code": "custom"}, "Birth date cannot be in the future"
        case "colour":
            text = {"origin": "string", "code": "invalid_format", "format": "regex", "pattern": _COLOUR_PATTERN}
            message = f"Invalid string: must match pattern {_COLOUR_PATTERN}"
        case "integer":
            text = {"expected": "int", "format": "safeint", "code": "invalid_type"}
            message = "Invalid input: expected int, received number"
        case _:
            text = {"expected": one.expected, "code": "invalid_type"}
            message = f"Invalid input: expected {one.expected}, received {one.received}"
    path = [int(part) if part.isdecimal() else part for part in one.field.split(".") if part]
    return {**text, "path": path, "message": message}


def dialect_for(version: str) -> Dialect:
    """The dialect that a server of this version speaks; anything below 3 speaks 2.x's."""
    major = int(found.group()) if (found := re.search(r"\d+", version)) else 2
    modern = major >= 3
    shown = {"timeline", "archive", "hidden"} if modern else {"timeline"}
    return Dialect(version=version, modern=modern, default_visibilities=frozenset(shown), ties_lost=not modern)

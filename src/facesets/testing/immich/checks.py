"""What the body of a write may say about a person or a face, in each major's words. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from facesets.testing.immich.dialects import Dialect, Invalid, Problem
from facesets.testing.immich.ids import UUID4
from facesets.testing.immich.records import Person

INT32 = 1 << 31
_DAY = re.compile(r"^\d{4}-\d{2}-\d{2}$")
_COLOUR = re.compile(r"^#?([0-9A-Fa-f]{3}|[0-9A-Fa-f]{4}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})$")
_KINDS = {type(None): "null", bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
_NUMBERS = ("imageWidth", "imageHeight", "x", "y", "width", "height")


@dataclass(frozen=True)
class PersonChange:
    """What a request says about a person: only the fields that it names."""

    fields: dict[str, Any]
    featured_asset: str | None = None

    def apply(self, person: Person) -> None:
        """Set them."""
        for name, value in self.fields.items():
            setattr(person, name, value)


def kind_of(value: object) -> str:
    """A JSON value's type, as Immich 3 names it."""
    return _KINDS.get(type(value), "object")


def person_change(body: dict[str, Any], dialect: Dialect, *, verb: str, at: str = "") -> PersonChange:
    """Read a person's fields. Raises 400 for what does not validate, 500 for what 3.x stumbles over (an empty birth date)."""
    wrong: list[Invalid] = []
    fields: dict[str, Any] = {}
    if "name" in body:
        fields["name"] = body["name"]
        if not isinstance(body["name"], str):
            wrong.append(Invalid(f"{at}name", "type", expected="string", received=kind_of(body["name"])))
    if "birthDate" in body:
        fields["birth_date"] = _birth_date(body["birthDate"], dialect, f"{at}birthDate", wrong)
    if "color" in body:
        fields["color"] = _colour(body["color"], dialect, f"{at}color", wrong)
    for wire, name in (("isHidden", "is_hidden"), ("isFavorite", "is_favorite")):
        if wire in body:
            fields[name] = body[wire] is True
    featured = body.get("featureFaceAssetId")
    if "featureFaceAssetId" in body and featured is None:
        wrong.append(Invalid(f"{at}featureFaceAssetId", "unset", expected="string", received="null"))
    elif featured is not None and not UUID4.match(str(featured)):
        wrong.append(Invalid(f"{at}featureFaceAssetId", "uuid"))
    if wrong:
        raise Problem(400, "", *wrong)
    if dialect.modern and body.get("birthDate") == "":
        raise Problem(500, f"Failed to {verb} person")
    return PersonChange(fields, str(featured) if featured else None)


def _birth_date(value: object, dialect: Dialect, field: str, wrong: list[Invalid]) -> str | None:
    if value is None or value == "":
        return None
    text = str(value)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        wrong.append(Invalid(field, "day"))
        return None
    if not dialect.modern and not _DAY.match(text):
        wrong.append(Invalid(field, "day", received="date-time"))
    elif moment.replace(tzinfo=moment.tzinfo or UTC) > datetime.now(UTC):
        wrong.append(Invalid(field, "past"))
    return text[:10]


def _colour(value: object, dialect: Dialect, field: str, wrong: list[Invalid]) -> str | None:
    if value is None or (value == "" and not dialect.modern):
        return None
    if not _COLOUR.match(str(value)):
        wrong.append(Invalid(field, "colour"))
    return f"#{str(value).removeprefix('#')}"


def face_body(body: dict[str, Any], dialect: Dialect) -> dict[str, float]:
    """The numbers of a new face. Raises 400 where ids or numbers do not validate; 3.x takes whole numbers only."""
    wrong = [bad for field in ("assetId", "personId") if (bad := uuid_problem(body, field))]
    for name in _NUMBERS:
        value = body.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            received = kind_of(value) if name in body else "undefined"
            wrong.append(Invalid(name, "type" if dialect.modern else "coordinate", expected="number", received=received))
        elif dialect.modern and value != int(value):
            wrong.append(Invalid(name, "integer"))
    if wrong:
        raise Problem(400, "", *wrong)
    return {name: body[name] for name in _NUMBERS}


def uuid_problem(body: dict[str, Any], field: str) -> Invalid | None:
    """What is wrong with an id in a body: not there, null, or none."""
    if body.get(field) is None:
        return Invalid(field, "missing", received="null" if field in body else "undefined")
    return None if UUID4.match(str(body[field])) else Invalid(field, "uuid")

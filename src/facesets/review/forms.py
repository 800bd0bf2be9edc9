"""What a page sends: a form of text fields, each with as many values as there are, within bounds. Pure but for the request's bytes."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.requests import Request

from facesets.errors import UsageError

_LARGEST = 4 << 20  # bytes: 100,000 faces at once
_FIELDS = 200_000


class Form:
    """Fields of a form or a query."""

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        self._fields: dict[str, list[str]] = {}
        for name, value in fields:
            self._fields.setdefault(name, []).append(value)

    def one(self, name: str, default: str = "") -> str:
        """The field's value; the first where there are several."""
        return self._fields.get(name, [default])[0]

    def all(self, name: str) -> list[str]:
        """The field's values, each once, without empty ones; several may stand in one, with commas between."""
        return list(dict.fromkeys(part for value in self._fields.get(name, ()) for part in value.split(",") if part))

    def number(self, name: str, default: int, *, most: int = 1 << 31) -> int:
        """The field as a number from 0 to ``most``; what is none counts as the default."""
        text = self.one(name)
        return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 12 else default


async def read_form(request: Request) -> Form:
    """The body of a POST. Raises UsageError where it is too large or no text."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise UsageError("that is more than a page of facesets review ever sends; nothing was changed")
    try:
        text = body.decode()
        return Form(parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=_FIELDS))
    except ValueError as err:
        raise UsageError("what was sent is not a form; nothing was changed") from err


def query(request: Request) -> Form:
    """The query of an address."""
    return Form(request.query_params.multi_items())

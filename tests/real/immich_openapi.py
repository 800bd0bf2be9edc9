"""Checks answers against Immich's own API documents (OpenAPI 3.0, read as JSON Schema)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema

Json = Any


class Document:
    """One version's API document."""

    def __init__(self, path: Path) -> None:
        raw = json.loads(path.read_text())
        self.schemas = {name: _plain(schema) for name, schema in raw["components"]["schemas"].items()}
        self._routes = [
            (re.compile("^/api" + re.sub(r"\{\w+\}", "[^/]+", route) + "$"), route, methods) for route, methods in raw["paths"].items()
        ]

    def problems(self, method: str, target: str, status: int, body: Json) -> list[str]:
        """In what a JSON answer departs from the document; nothing where the document says nothing of it."""
        schema = self._schema(method, urlsplit(target).path, status)
        if schema is None:
            return []
        checker = jsonschema.Draft202012Validator({**schema, "components": {"schemas": self.schemas}})
        return sorted({_where(e) for e in checker.iter_errors(body)})

    def knows(self, method: str, target: str) -> bool:
        """True where the document has the route."""
        return any(p.match(urlsplit(target).path) and method.lower() in m for p, _, m in self._routes)

    def _schema(self, method: str, path: str, status: int) -> Json:
        plain_first = sorted(self._routes, key=lambda r: r[1].count("{"))
        for pattern, _, methods in plain_first:
            if pattern.match(path) and method.lower() in methods:
                answers = methods[method.lower()]["responses"].get(str(status), {})
                schema = answers.get("content", {}).get("application/json", {}).get("schema")
                return _plain(schema) if schema else None
        return None


def _plain(schema: Json) -> Json:
    """OpenAPI 3.0's ``nullable`` in JSON Schema's words."""
    if isinstance(schema, list):
        return [_plain(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    made = {k: _plain(v) for k, v in schema.items() if k not in ("nullable", "format", "example", "default")}
    return {"anyOf": [made, {"type": "null"}]} if schema.get("nullable") else made


def _where(error: jsonschema.ValidationError) -> str:
    """The error without the values in it, so that it can be compared between two answers."""
    path = "/".join("[]" if isinstance(p, int) else str(p) for p in error.absolute_path)
    said = error.message if error.validator in ("required", "additionalProperties") else f"{error.validator}"
    return f"{path}: {said}"

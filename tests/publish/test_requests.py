"""What a publish sends is what Immich's own API documents have: routes, fields, permissions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from facesets import publish
from facesets.immich import Client

from .home import Home

Sent = tuple[str, str, dict[str, str], Any]


@pytest.mark.parametrize("version", ["2.7.2", "3.1.0"])
def test_every_request_is_one_that_the_api_document_has_and_the_key_is_asked_for(
    home: Home, version: str, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Sent] = []
    exchange = Client.exchange

    def noted(self: Client, method: str, path: str, consume: Any, **more: Any) -> Any:
        sent.append((method, path, dict(more.get("params") or {}), more.get("body")))
        return exchange(self, method, path, consume, **more)

    monkeypatch.setattr(Client, "exchange", noted)
    home.asset(10, 4).faces.clear()
    everything = ("--names", "--faces", "--albums", "--add-faces", "--tags", "--yes-write-beside-originals")
    home.apply(*everything)
    home("name", "Berta", "Berta Maria")
    home.apply(*everything)
    assert [home("undo").code for _ in range(3)] == [0, 0, 0]
    document = json.loads((shared / "immich" / f"openapi-{version}.json").read_text())
    used = {permission for request in sent if (permission := _checked(document, *request))}
    named = publish.needed(("names", "faces", "albums", "add_faces", "tags"), undo=True)
    assert used - {"asset.edit.get"} <= set(named)
    assert set(named) == used
    assert len({(method, re.sub(r"[0-9a-f-]{36}", "{id}", path)) for method, path, _, _ in sent}) > 20


def _checked(document: Any, method: str, path: str, params: dict[str, str], body: Any) -> str | None:
    """The permission that a request needs; fails where the document does not know it, a field of it, or that it is asked for so."""
    routes = sorted(document["paths"].items(), key=lambda item: item[0].count("{"))
    found = next(
        m[method.lower()] for route, m in routes if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route), path) and method.lower() in m
    )
    known = {p["name"] for p in found.get("parameters", []) if p["in"] == "query"}
    assert params.keys() <= known, (method, path)
    wanted = found.get("requestBody")
    assert (body is None) == (wanted is None), (method, path)
    if wanted is not None:
        schema = {**wanted["content"]["application/json"]["schema"], "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(body)
        fields = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
        assert body.keys() <= fields.keys(), (method, path)
    permission = found.get("x-immich-permission")
    return None if permission is None else str(permission)

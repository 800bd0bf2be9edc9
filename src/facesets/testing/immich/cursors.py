"""The second way to search, of 3.2 on: a ``filter`` of operators and a ``cursor``. Pure.

Made after the types that 3.2.2 publishes (there is no recording of one), and only as far as ``filter`` says what a flat field says too.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from facesets.testing.immich.dialects import Problem

SINCE = (3, 2)
_FLAT = {
    **{(name, "eq"): name for name in ("id", "type", "visibility", "libraryId", "isFavorite", "isOffline", "checksum")},
    **{(f"{what}At", "gte"): f"{what}After" for what in ("taken", "created", "updated", "trashed")},
    **{(f"{what}At", "lte"): f"{what}Before" for what in ("taken", "created", "updated", "trashed")},
}


def flat(body: dict[str, Any]) -> dict[str, Any]:
    """The same search in flat fields and a page's number. Raises Problem 400 for what these cannot say."""
    made = {name: value for name, value in body.items() if name not in ("filter", "cursor")}
    for name, tests in dict(body.get("filter") or {}).items():
        for operator, value in tests.items():
            if (name, operator) not in _FLAT:
                raise Problem(400, f"the testing Immich knows no filter {name}.{operator}")
            made[_FLAT[name, operator]] = value
    if body.get("cursor") is not None:
        made["page"] = _page(str(body["cursor"]))
    return made


def cursor(page: int) -> str:
    """What leads to the page of this number."""
    return base64.urlsafe_b64encode(f"page {page}".encode()).decode()


def _page(text: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(text).decode().removeprefix("page "))
    except (ValueError, binascii.Error):
        raise Problem(400, "Invalid cursor") from None

"""Sources room: which face recognition model Immich is set to use."""

from __future__ import annotations

import re
from dataclasses import dataclass

from facesets.errors import BadAnswer

DEFAULT_MODEL = "buffalo_l"  # Immich's own default
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")


@dataclass(frozen=True, slots=True)
class Configured:
    """Which model Immich is set to use; ``seen``: it said so, or said nothing, which means its default. Else that is a guess."""

    model: str
    seen: bool

    @classmethod
    def read(cls, model: str | None) -> Configured:
        """As Immich's settings have it, where only what differs from the defaults stands. Raises BadAnswer."""
        if model is not None and not _MODEL.fullmatch(model):
            raise BadAnswer(f"Immich's settings: the face recognition model is called {model[:80]!r}, which is no name")
        return cls(DEFAULT_MODEL if model is None else model, seen=True)

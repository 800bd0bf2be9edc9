"""Immich room: the face boxes of one asset, where the listing does not carry them."""

from __future__ import annotations

from facesets.immich import wire
from facesets.immich.transport import Client
from facesets.records import FaceBox


def boxes(client: Client, asset_id: str) -> tuple[FaceBox, ...]:
    """The visible faces of an asset. Raises MissingPermission (``face.read``), NotFound, Unreachable, BadAnswer.

    Of an edited asset the server gives them in the edited picture's frame.
    """
    return wire.faces(client.get("/faces", {"id": asset_id}), f"faces of {asset_id}")

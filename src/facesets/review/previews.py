"""Immich's own previews of photos whose originals are not here: asked for when somebody looks, and kept in no file.

Somebody waits for it, so it is asked for once; where Immich does not answer, it is not asked again for a while.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Final

from facesets.errors import FacesetsError, Unreachable
from facesets.immich import Client, originals
from facesets.progress import Silent
from facesets.sources import connect_user
from facesets.workspace import Workspace

_PATIENCE: Final = 10.0  # seconds without a byte
_AGAIN: Final = 20.0  # seconds after which a server that did not answer is asked again


class Previews:
    """One connection a user, opened when first needed. May be called from several threads."""

    def __init__(self, workspace: Workspace) -> None:
        own = workspace.settings.immich
        hasty = replace(own, timeout=min(own.timeout, _PATIENCE), attempts=1)
        self._workspace = replace(workspace, settings=replace(workspace.settings, immich=hasty))
        self._clients: dict[str, Client] = {}
        self._away: Unreachable | None = None
        self._away_since = 0.0
        self._lock = threading.Lock()

    def get(self, label: str, asset_id: str) -> bytes:
        """The preview's bytes, as the server made them. Raises FacesetsError where it cannot be had."""
        if not self._workspace.settings.immich.url:
            raise FacesetsError("its original is not here, and no Immich is set up: IMMICH_URL")
        try:
            return originals.preview(self._client(label), asset_id)
        except Unreachable as err:
            self._away, self._away_since = err, time.monotonic()
            raise

    def _client(self, label: str) -> Client:
        with self._lock:
            if self._away is not None and time.monotonic() - self._away_since < _AGAIN:
                raise FacesetsError(str(self._away))
            if label not in self._clients:
                self._clients[label] = connect_user(self._workspace, label, Silent())[0]
            return self._clients[label]

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()

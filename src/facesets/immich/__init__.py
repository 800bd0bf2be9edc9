"""The Immich room: its HTTP API and nothing else. Touches the network; knows no registry, no workspace, no files but downloads.

The door: ``connect(url, key)`` gives a Client; ``server``, ``listing``, ``faces`` and ``originals`` speak through it.
"""

from __future__ import annotations

from .server import Person, Server, connect
from .transport import Client, Traffic

__all__ = ["Client", "Person", "Server", "Traffic", "connect"]

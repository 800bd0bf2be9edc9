"""Immich room: the connections: whose certificates are trusted, and how to end all that is under way at once. Touches the network."""

from __future__ import annotations

import functools
import socket
import ssl
import threading
import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import httpx

from ..errors import SettingsError


class Sockets:
    """The sockets of one client, so that who waits for them can be woken. ``stopped`` is set once that has been done."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self._open, self._lock = weakref.WeakSet[socket.socket](), threading.Lock()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """For httpx's extension ``trace``: remember each socket as it is opened."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            opened = info["return_value"].get_extra_info("socket")
            if opened is None:
                return
            with self._lock:
                self._open.add(opened)
            if self.stopped.is_set():
                _shut(opened)

    def stop(self) -> None:
        """End them all, and every one to come."""
        self.stopped.set()
        with self._lock:
            waiting = list(self._open)
        for opened in waiting:
            _shut(opened)


@functools.cache  # reading the authorities costs more than a listing's request, and a run makes several clients
def trust(ca_file: str) -> ssl.SSLContext:
    """The authorities in ``ca_file``, else those of the system. Raises SettingsError."""
    if not ca_file:
        context = httpx.create_ssl_context()  # what SSL_CERT_FILE names, else Mozilla's list
        context.load_default_certs()  # and what this machine trusts
        return context
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as err:
        raise SettingsError(f"no certificate authority can be read from {ca_file!r}: {err}", key="[immich] ca_file") from err


def _shut(opened: socket.socket) -> None:
    with suppress(OSError):  # closed already
        opened.shutdown(socket.SHUT_RDWR)

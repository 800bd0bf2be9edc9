"""Serving: a socket on the address that was asked for, the link that opens a session, and what is written when it ends."""

from __future__ import annotations

import errno
import signal
import socket
import threading
from collections.abc import Callable

from facesets.changes import write_revisions
from facesets.errors import FacesetsError, UsageError, WorkspaceInUse
from facesets.photos import DecoderPool
from facesets.progress import Progress
from facesets.registry import changes
from facesets.review.options import DEFAULT_PORT, Options
from facesets.workspace import Workspace

try:
    import uvicorn

    from facesets.review.app import application
except ImportError as err:
    raise UsageError("the web app is served with Starlette and uvicorn: pip install 'facesets[review]'") from err


def serve(workspace: Workspace, options: Options, progress: Progress, started: Callable[[str], None]) -> None:
    """See :func:`facesets.review.serve`."""
    listening = bound(options)
    before = signal.getsignal(signal.SIGTERM)
    if is_ours := threading.current_thread() is threading.main_thread() and before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # the stop of a service manager is as good as Ctrl-C
    try:
        options = options.at(listening.getsockname()[1])
        server = uvicorn_server(workspace, options)
        started(options.link)
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # this is how it ends
    finally:
        listening.close()
        if is_ours:
            signal.signal(signal.SIGTERM, before)
    _write(workspace, progress)


def uvicorn_server(workspace: Workspace, options: Options) -> uvicorn.Server:
    """The server as it is to be: it logs no address, since one holds the token, and says nothing of itself."""
    config = uvicorn.Config(
        application(workspace, options), log_config=None, access_log=False, server_header=False, proxy_headers=False,
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    return uvicorn.Server(config)


def _write(workspace: Workspace, progress: Progress) -> None:
    """Folders follow what was decided; where another command is at work, they do later."""
    try:
        with workspace.registry_to_read() as registry:
            if not changes.planned(registry, "act"):
                return
            with workspace.lock(), DecoderPool() as decoders:
                write_revisions(workspace, registry, progress, decoders)
    except WorkspaceInUse:
        progress.note("what you decided is kept; the folders of sets follow with the next facesets write or run")


def bound(options: Options) -> socket.socket:
    """A socket that listens; where the usual port is taken and none was asked for, any other. Raises UsageError, FacesetsError."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    for port in (options.port, 0) if options.port == DEFAULT_PORT else (options.port,):
        # where asyncio sees TCP, the body of an answer goes at once, not only after the browser's late word that its head is there
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((options.host.strip("[]"), port))
            listening.listen(128)  # a browser may come before the app is ready, and waits then
        except OSError as err:
            listening.close()
            if err.errno == errno.EADDRINUSE and port == DEFAULT_PORT:
                continue
            if err.errno == errno.EADDRINUSE:
                raise UsageError(f"port {port} is taken by another program; choose another one with --port") from err
            raise FacesetsError(f"cannot listen at {options.host}:{port}: {err.strerror or err}") from err
        listening.set_inheritable(False)
        return listening
    raise AssertionError(options)

"""A key goes to the API's own origin and nowhere else, and nothing goes out twice or in clear that must not."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from contextlib import suppress

import pytest
import trustme

from facesets.connections import Connections, HTTPError, address
from facesets.errors import NotImmich, Unreachable
from facesets.immich import Client, connect, session
from facesets.testing import ImmichServer, Library, User, faults, immich_server
from facesets.testing.immich.transport import Request, Response

LOGIN = "POST /api/auth/login"


def test_a_well_known_file_does_not_send_the_key_to_another_origin(library: Library) -> None:
    with immich_server(library) as other:

        def well_known(request: Request) -> Response:
            if request.path == "/.well-known/immich":
                body = json.dumps({"api": {"endpoint": other.url + "/api"}}).encode()
                return Response(200, {"Content-Type": "application/json"}, body)
            return Response(404, {"Content-Type": "text/plain"}, b"nothing here")

        trouble = faults.Faults().add(faults.Fault("elsewhere", answer=well_known), "*")
        with immich_server(library, faults=trouble) as server, pytest.raises(NotImmich, match="not sent to another one") as caught:
            connect(server.url, "key-0123456789")
        assert other.url in str(caught.value)
        assert not other.requests


def test_a_well_known_file_may_name_another_path_of_the_same_origin(library: Library, anna: User) -> None:
    def moved(request: Request) -> Response | None:
        if request.path == "/photos/api/server/version":
            return Response(404, {"Content-Type": "text/plain"}, b"nothing here")
        return None

    trouble = faults.Faults().add(faults.Fault("moved", answer=moved), "*")
    with immich_server(library, faults=trouble) as server:
        client, _ = connect(server.url + "/photos", server.key_for(anna))
        client.close()
    assert client.shown == server.url + "/api"


@pytest.mark.parametrize("fault", [faults.status(503), faults.dropped(), faults.truncated()], ids=lambda fault: fault.name)
def test_a_post_that_does_something_is_sent_once(
    server: ImmichServer, client: Client, pauses: list[float], fault: faults.Fault
) -> None:
    server.faults.add(fault, LOGIN)
    with pytest.raises(Unreachable):
        session.login(client, "anna@example.test", "wrong")
    assert (server.count(LOGIN), pauses) == (1, [])


def test_a_search_is_tried_again(server: ImmichServer, client: Client) -> None:
    server.faults.add(faults.status(503), "POST /api/search/metadata", times=2)
    client.search("/search/metadata", {})
    assert server.count("POST /api/search/metadata") == 3


def test_a_connection_that_is_ended_under_way_sends_nothing_in_clear() -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    came = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as door, authority.cert_pem.tempfile() as ca_file:
        asked = threading.Event()

        def serve() -> None:
            raw, _ = door.accept()
            with context.wrap_socket(raw, server_side=True, do_handshake_on_connect=True) as connection:
                connection.recv(1000)
                asked.set()
                done.wait(10)
                came.extend(raw_rest(connection))

        done, thread = threading.Event(), threading.Thread(target=serve)
        thread.start()
        connections = Watched(1, 10.0, ca_file)
        waiter = threading.Thread(target=lambda: _ask(connections, door.getsockname()[1]))
        waiter.start()
        assert asked.wait(10)
        connections.stop()
        assert connections.seen[0]._sslobj is not None  # type: ignore[attr-defined]  # what another thread still sends is encrypted, or fails
        with pytest.raises(OSError, match=r".+"):
            connections.seen[0].sendall(b"in clear")
        done.set()
        waiter.join(10)
        thread.join(10)
    assert b"in clear" not in bytes(came)


class Watched(Connections):
    """Keeps the sockets that it opened."""

    def __init__(self, most: int, timeout: float, ca_file: str) -> None:
        super().__init__(most, timeout, ca_file)
        self.seen: list[socket.socket] = []

    def _opened(self, opened: socket.socket) -> None:
        super()._opened(opened)
        self.seen.append(opened)


def raw_rest(connection: ssl.SSLSocket) -> bytes:
    """What came below TLS after it ended."""
    with socket.socket(fileno=connection.detach()) as plain:
        plain.settimeout(5)
        return plain.recv(1000)


def _ask(connections: Connections, port: int) -> None:
    with suppress(HTTPError):  # it is ended from outside
        connections.send("GET", address(f"https://127.0.0.1:{port}/"), {})

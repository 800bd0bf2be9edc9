"""TLS with an authority of one's own, and proxies: real handshakes and a real proxy, on loopback."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from facesets.errors import SettingsError, Unreachable
from facesets.immich import Client, connect
from facesets.immich import server as api
from facesets.testing import ImmichServer, Library, User, immich_server

Handler = Callable[[socket.socket], None]


@contextmanager
def listening(handle: Handler) -> Iterator[int]:
    """A port whose every connection is given to ``handle`` in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def accept() -> None:
            while True:
                try:
                    connection, _ = door.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        def serve(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                handle(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)
        thread.join()


def relay(client: socket.socket, first: bytes, url: str) -> None:
    """Carry bytes both ways between a connection and the server at ``url`` until one side ends."""
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as behind:
        behind.sendall(first)

        def back() -> None:
            with suppress(OSError):
                while data := behind.recv(65536):
                    client.sendall(data)
                client.shutdown(socket.SHUT_RDWR)

        thread = threading.Thread(target=back, daemon=True)
        thread.start()
        with suppress(OSError):
            while data := client.recv(65536):
                behind.sendall(data)
        thread.join(5)


def head_of(connection: socket.socket) -> bytes:
    """All up to the empty line, and what came with it."""
    head = b""
    while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
        head += data
    return head


def saying(answer: bytes) -> Handler:
    """Answers the first request of a connection so, and ends it."""

    def handle(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(answer)

    return handle


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(server: ImmichServer, authority: trustme.CA) -> Iterator[str]:
    """The server behind TLS, with a certificate of the authority, as behind a home's reverse proxy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            relay(wrapped, b"", server.url)

    with listening(handle) as port:
        yield f"https://127.0.0.1:{port}"


def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
    secure: str, server: ImmichServer, anna: User, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client, _ = connect(secure, server.key_for(anna), ca_file=str(tmp_path / "ca.pem"))
    with client:
        assert api.whoami(client).name == "anna"
    assert client.shown.startswith("https://")


def test_an_unknown_authority_is_refused_at_once_and_the_remedy_named(secure: str, server: ImmichServer, anna: User) -> None:
    slept: list[float] = []
    with pytest.raises(Unreachable, match="ca_file"):
        connect(secure, server.key_for(anna), sleep=slept.append)
    assert slept == []
    assert not server.log


def test_another_authoritys_certificate_is_refused(secure: str, server: ImmichServer, anna: User, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with pytest.raises(Unreachable, match="not trusted"):
        connect(secure, server.key_for(anna), ca_file=str(tmp_path / "other.pem"))


def test_a_name_that_is_not_the_certificates_is_refused(
    server: ImmichServer, anna: User, authority: trustme.CA, tmp_path: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("photos.example.org").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            relay(wrapped, b"", server.url)

    with listening(handle) as port, pytest.raises(Unreachable, match="not trusted"):
        connect(f"https://127.0.0.1:{port}", server.key_for(anna), ca_file=str(tmp_path / "ca.pem"))


def test_what_speaks_no_http_and_what_speaks_no_tls_is_said_in_words(pauses: list[float]) -> None:
    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"SSH-2.0-OpenSSH_9.6\x1b\r\n")

    with listening(handle) as port:
        with pytest.raises(Unreachable, match=r"does not speak HTTP.*SSH-2\.0-OpenSSH_9\.6\\x1b"):
            connect(f"http://127.0.0.1:{port}", "key", sleep=pauses.append)
        pauses.clear()
        with pytest.raises(Unreachable, match="http:// and not https://"):
            connect(f"https://127.0.0.1:{port}", "key", sleep=pauses.append)
        assert not pauses


PACKED = gzip.compress(BODY := json.dumps({"major": 3, "minor": 1, "patch": 0}).encode())
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNK = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
        HEAD + b"Connection: close\r\n\r\n" + BODY,
        HEAD + CHUNK % (len(BODY), BODY) + b"0\r\n\r\n",
        HEAD + b"Content-Encoding: gzip\r\n" + CHUNK % (len(PACKED), PACKED) + b"0\r\n\r\n",
        HEAD.replace(b"1.1", b"1.0") + b"\r\n" + BODY,
        b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
    ],
    ids=["length", "until closed", "chunked", "chunked and packed", "HTTP/1.0", "continued"],
)
def test_a_whole_answer_is_read_in_every_form_that_http_has(answer: bytes) -> None:
    with listening(saying(answer)) as port:
        client, version = connect(f"http://127.0.0.1:{port}", "key")
        client.close()
    assert str(version) == "3.1.0"


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(BODY) + 9, BODY),
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(PACKED), PACKED[:-4]),
        HEAD + CHUNK % (len(BODY), BODY),
        HEAD + CHUNK % (len(BODY) + 9, BODY),
        HEAD + b"Content-Encoding: gzip\r\n" + CHUNK % (len(PACKED), PACKED),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nno number\r\n" + BODY,
    ],
    ids=["length", "packed", "last chunk", "within a chunk", "packed chunks", "no chunk"],
)
def test_half_an_answer_is_none_even_where_it_could_be_read(answer: bytes, pauses: list[float]) -> None:
    with listening(saying(answer)) as port, pytest.raises(Unreachable, match="broke off in the middle"):
        connect(f"http://127.0.0.1:{port}", "key", sleep=pauses.append)
    assert len(pauses) == 1


def test_a_file_without_certificates_is_a_matter_of_settings(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(SettingsError, match="ca_file"):
        Client("https://127.0.0.1:1/api", "", ca_file=str(tmp_path / "ca.pem"))


def test_requests_go_through_the_proxy_of_the_environment(library: Library, anna: User, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def handle(connection: socket.socket) -> None:
        line, _, rest = head_of(connection).partition(b"\r\n")
        method, target, version = line.split()
        asked.append(target.decode())
        path = target.split(b"/", 3)[3]
        relay(connection, b"%b /%b %b\r\nConnection: close\r\n%b" % (method, path, version, rest), server.url)

    with immich_server(library) as server, listening(handle) as port:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        client, _ = connect(server.url, server.key_for(anna))
        with client:
            assert api.whoami(client).name == "anna"
        assert [target.removeprefix(server.url) for target in asked] == ["/api/server/version", "/api/users/me"]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        client, _ = connect(server.url, server.key_for(anna))
        with client:
            assert api.whoami(client).name == "anna"
        assert len(asked) == 2


def test_tls_goes_through_the_proxy_unread_and_the_proxy_gets_its_password(
    secure: str, server: ImmichServer, anna: User, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads: list[str] = []

    def handle(connection: socket.socket) -> None:
        heads.append(head_of(connection).decode())
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        relay(connection, b"", secure)

    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with listening(handle) as port:
        monkeypatch.setenv("https_proxy", f"http://me:geheim@127.0.0.1:{port}")
        client, _ = connect(secure, server.key_for(anna), ca_file=str(tmp_path / "ca.pem"))
        with client:
            assert api.whoami(client).name == "anna"
    assert all(head.startswith("CONNECT 127.0.0.1:") and "Basic bWU6Z2VoZWlt" in head for head in heads)
    assert server.key_for(anna) not in "".join(heads)
    assert heads


@pytest.mark.parametrize("proxy", ["socks5://me:geheim@127.0.0.1:1080", "http://me:geheim@127.0.0.1:port"])
def test_a_proxy_that_cannot_be_used_is_a_matter_of_settings(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(SettingsError, match=r"no_proxy=127\.0\.0\.1") as caught:
        connect("http://127.0.0.1:1", "key")
    assert "geheim" not in f"{caught.value!r}{caught.value.__cause__!r}"


def test_a_password_in_the_address_opens_the_door_before_the_server(server: ImmichServer, anna: User) -> None:
    heads: list[str] = []

    def handle(connection: socket.socket) -> None:
        head = head_of(connection)
        heads.append(head.decode())
        relay(connection, head, server.url)

    with listening(handle) as port:
        client, _ = connect(f"http://me:ge%40heim@127.0.0.1:{port}", server.key_for(anna))
        with client:
            assert api.whoami(client).name == "anna"
        assert "ge" not in client.shown
    assert heads
    assert all("authorization: Basic bWU6Z2VAaGVpbQ==" in head and "ge%40heim" not in head for head in heads)

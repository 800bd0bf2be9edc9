from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from facesets.errors import NotImmich, SettingsError, TooOld, Unreachable
from facesets.immich import connect
from facesets.testing import ImmichServer, Library, faults, immich_server
from facesets.testing.immich.transport import Request, Response

KEY = "a-key-that-must-not-be-seen"


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """A web server that is not Immich, and all that it was told."""
    told: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.append(f"{self.path}\n{self.headers}")
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *args: object) -> None: ...

    web = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}", told
    web.shutdown()
    thread.join()
    web.server_close()


@pytest.mark.parametrize("form", ["", "/", "/api", "/api/", "/photos", "/photos/some-id?at=1#x"])
def test_every_way_to_write_the_address_finds_the_api(server: ImmichServer, form: str) -> None:
    client, version = connect(server.url + form, KEY)
    with client:
        assert str(client.api) == server.url + "/api"
    assert (version.major, version.minor, version.patch) == server.dialect.parts


def test_the_well_known_file_is_asked_where_the_usual_place_does_not_answer(library: Library) -> None:
    trouble = faults.Faults().script("GET /api/server/version", [faults.html()])
    with immich_server(library, faults=trouble) as server, connect(server.url, KEY)[0] as client:
        assert str(client.api) == server.url + "/api"
        assert server.count("GET /.well-known/immich") == 1


def test_a_server_that_is_not_immich_is_named_and_never_sees_the_key(elsewhere: tuple[str, list[str]]) -> None:
    url, told = elsewhere
    with pytest.raises(NotImmich) as caught:
        connect(url, KEY)
    assert url in str(caught.value)
    assert "IMMICH_URL" in str(caught.value)
    assert caught.value.exit_code == 2
    assert told
    assert KEY not in "".join(told)


def test_nobody_there_is_said_at_once() -> None:
    pauses: list[float] = []
    with pytest.raises(Unreachable, match="does not answer"):
        connect("http://127.0.0.1:1", KEY, sleep=pauses.append)
    assert len(pauses) == 1


@pytest.mark.parametrize("url", ["", "photos.example.org", "ftp://photos.example.org", "http://", "http://:2283", "https:///x"])
def test_what_is_no_address_is_a_matter_of_settings(url: str) -> None:
    with pytest.raises(SettingsError, match="url"):
        connect(url, KEY)


def test_a_redirect_to_another_host_is_refused_and_named(library: Library, elsewhere: tuple[str, list[str]]) -> None:
    url, told = elsewhere
    trouble = faults.Faults().add(faults.redirect(url + "/api/server/version"), "*")
    with immich_server(library, faults=trouble) as server, pytest.raises(NotImmich, match=url):
        connect(server.url, KEY)
    assert not told


def test_a_password_in_the_address_is_not_repeated(elsewhere: tuple[str, list[str]]) -> None:
    url, _ = elsewhere
    with pytest.raises(NotImmich) as caught:
        connect(url.replace("://", "://me:geheim@"), KEY)
    assert "geheim" not in str(caught.value)


def test_a_certificate_authority_that_cannot_be_read_names_the_setting() -> None:
    with pytest.raises(SettingsError, match="ca_file"):
        connect("https://127.0.0.1:1", KEY, ca_file="/nowhere/ca.pem")


def announcing(answer: object, *, route: str = "/api/server/version") -> faults.Faults:
    """Trouble of a server that says ``answer`` of its version at ``route``, and 404 at the other place."""

    def told(request: Request) -> Response:
        known = request.path == route
        body = answer if known else {"message": f"Cannot GET {request.path}", "error": "Not Found", "statusCode": 404}
        return Response(200 if known else 404, {"Content-Type": "application/json; charset=utf-8"}, json.dumps(body).encode())

    announces = faults.Fault("announces", answer=told)
    return faults.Faults().add(announces, "*", containing="version")


@pytest.mark.parametrize("route", ["/api/server/version", "/api/server-info/version"])
def test_a_server_of_before_our_time_is_named_with_what_is_spoken(library: Library, route: str) -> None:
    with immich_server(library, faults=announcing({"major": 1, "minor": 90, "patch": 2}, route=route)) as server:
        with pytest.raises(TooOld, match=r"Immich 1\.90\.2.*too old.*2\.x and 3\.x") as caught:
            connect(server.url, KEY)
        assert server.faults.counts["announces"]
    assert caught.value.exit_code == 2


NONSENSE = [{"major": "two", "minor": 0, "patch": 0}, {"major": -1, "minor": 0, "patch": 0}, {}, [2, 7, 2], "2.7.2", None]


@pytest.mark.parametrize("answer", NONSENSE)
def test_a_version_that_is_none_means_that_this_is_not_immich(library: Library, answer: object) -> None:
    with immich_server(library, faults=announcing(answer)) as server, pytest.raises(NotImmich, match="server version"):
        connect(server.url, KEY)


def test_a_newer_server_is_let_through_and_told_apart(library: Library) -> None:
    told = []
    for version in ("2.7.2", "3.9.1", "4.2.0"):
        with immich_server(library, version) as server:
            client, found = connect(server.url, KEY)
            client.close()
            told.append(found.is_newer)
    assert told == [False, False, True]

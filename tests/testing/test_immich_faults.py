"""Every way in which the testing server can misbehave, seen with a plain client, and counted."""

from __future__ import annotations

import hashlib
import http.client
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from facesets.testing import Fault, Faults, ImmichServer, faults, immich_server
from facesets.testing.immich.transport import Request, Response
from tests.testing.conftest import Family, jpeg

ORIGINAL = "GET /api/assets/{id}/original"
LISTING = "POST /api/search/metadata"


@pytest.fixture
def served(family: Family) -> Iterator[tuple[ImmichServer, httpx.Client]]:
    with (
        immich_server(family.library, keep_alive=0.3) as server,
        httpx.Client(base_url=server.url, headers={"x-api-key": server.key_for(family.anna)}, timeout=2) as client,
    ):
        yield server, client


Served = tuple[ImmichServer, httpx.Client]


def fetch(client: httpx.Client, family: Family) -> httpx.Response:
    return client.get(f"/api/assets/{family.photos[0].id}/original")


@pytest.mark.parametrize("code", [500, 502, 503])
def test_an_error_status_comes_once_and_heals(code: int, served: Served, family: Family) -> None:
    server, client = served
    server.faults.add(faults.status(code), ORIGINAL, containing=family.photos[0].id, times=1)
    assert client.get(f"/api/assets/{family.photos[1].id}/original").status_code == 200
    assert fetch(client, family).status_code == code
    assert fetch(client, family).status_code == 200
    assert server.faults.counts == {f"status {code}": 1}


def test_too_many_requests_says_when_to_come_back(served: Served, family: Family) -> None:
    server, client = served
    server.faults.script(ORIGINAL, [faults.too_many_requests(2), None, faults.too_many_requests("Wed, 01 Jan 2031 00:00:00 GMT")])
    answers = [fetch(client, family) for _ in range(4)]
    assert [a.status_code for a in answers] == [429, 200, 429, 200]
    assert answers[0].headers["retry-after"] == "2"
    assert answers[2].headers["retry-after"].startswith("Wed")
    assert server.faults.counts["too many requests"] == 2


def test_latency_is_fixed_or_drawn_the_same_every_time(served: Served, family: Family) -> None:
    server, client = served
    server.faults.add(faults.slow(0.05), "GET /api/server/ping")
    client.get("/api/server/ping")
    assert server.faults.counts == {"slow": 1}
    drawn = faults.slow(0.0, 10.0)
    assert drawn.deliver is not None

    def delays(seed: int) -> list[float]:
        rules = Faults(seed).add(drawn)
        found = []
        for n in (1, 2, 1):
            strike = rules.strike("GET /api/server/ping", Request("GET", f"/api/server/ping?{n}", {}, b""))
            assert strike is not None
            found.append(strike.spoil(Response())[1].delay)
        return found

    assert delays(3) == delays(3)
    assert len(set(delays(3))) == 3
    assert delays(3) != delays(4)


BROKEN: list[tuple[Fault, type[Exception]]] = [
    (faults.dropped(), httpx.RemoteProtocolError),
    (faults.dropped(reset=True), httpx.ReadError),
    (faults.truncated(0.5), httpx.RemoteProtocolError),
    (faults.truncated(0.5, reset=True), httpx.ReadError),
    (faults.stalled(1.0, after=100), httpx.ReadTimeout),
    (faults.wrong_length(+100), httpx.RemoteProtocolError),
    (faults.bad_gzip(), httpx.DecodingError),
]


@pytest.mark.parametrize(("fault", "error"), BROKEN, ids=lambda v: getattr(v, "name", getattr(v, "__name__", "")))
def test_a_broken_answer_is_noticed_by_any_client(fault: Fault, error: type[Exception], served: Served, family: Family) -> None:
    server, client = served
    client.timeout = httpx.Timeout(0.4)
    server.faults.add(fault, ORIGINAL, times=1)
    with pytest.raises(error):
        fetch(client, family)
    assert server.faults.counts == {fault.name: 1}
    assert fetch(client, family).status_code == 200


SUBTLE: list[tuple[Fault, Callable[[bytes, bytes], bool]]] = [
    (faults.cut_clean(0.5), lambda whole, got: whole.startswith(got) and len(got) == len(whole) // 2),
    (faults.padded(b"!!"), lambda whole, got: got == whole + b"!!"),
    (faults.wrong_length(-10), lambda whole, got: got == whole[:-10]),
    (faults.swapped(jpeg(20, 20)), lambda whole, got: got == jpeg(20, 20)),
    (faults.overlong(), lambda whole, got: got == whole),
]


@pytest.mark.parametrize(("fault", "holds"), SUBTLE, ids=lambda v: getattr(v, "name", ""))
def test_other_bytes_than_the_files_come_as_if_nothing_were(
    fault: Fault, holds: Callable[[bytes, bytes], bool], served: Served, family: Family
) -> None:
    server, client = served
    whole = fetch(client, family).content
    assert hashlib.sha1(whole).digest() == family.photos[0].sha1
    server.faults.add(fault, ORIGINAL, times=1)
    spoiled = fetch(client, family)
    assert spoiled.status_code == 200
    assert holds(whole, spoiled.content)
    assert server.faults.counts == {fault.name: 1}
    with httpx.Client(base_url=server.url, headers=client.headers) as fresh:
        assert fetch(fresh, family).content == whole


def test_a_page_of_html_comes_instead_of_json(served: Served) -> None:
    server, client = served
    server.faults.add(faults.html(), LISTING, times=1)
    answer = client.post("/api/search/metadata", json={})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert server.faults.counts["html"] == 1


def test_a_redirect_leads_to_another_host(served: Served, family: Family) -> None:
    server, client = served
    server.faults.add(faults.redirect("http://photos.invalid/steal"), ORIGINAL)
    answer = fetch(client, family)
    assert (answer.status_code, answer.headers["location"]) == (302, "http://photos.invalid/steal")
    assert server.faults.counts["redirect"] == 1


def test_json_holds_what_no_client_expects(served: Served, family: Family) -> None:
    server, client = served

    def item(fault: Fault) -> dict[str, object]:
        server.faults.clear()
        server.faults.add(fault, LISTING)
        body = client.post("/api/search/metadata", json={"withPeople": True, "id": family.photos[0].id}).json()
        made: dict[str, object] = body["assets"]["items"][0]
        return made

    assert "fieldFromTheFuture" in item(faults.unknown_fields())
    assert item(faults.unknown_values())["visibility"] == "value-from-the-future"
    assert item(faults.null_people())["people"] is None
    zero = item(faults.zero_sized())
    assert (zero["width"], zero["people"][0]["faces"][0]["imageWidth"]) == (0, 0)  # type: ignore[index]
    assert item(faults.foreign_owner())["ownerId"] != family.anna.id
    assert set(server.faults.counts.values()) == {1}
    assert len(server.faults.counts) == 5


def test_an_idle_connection_is_closed_and_a_whole_answer_may_be_the_last(served: Served) -> None:
    server, client = served
    client.get("/api/server/ping")
    deadline = time.monotonic() + 60
    while not server.faults.counts["idle closed"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert server.faults.counts["idle closed"] == 1
    server.faults.add(faults.closed_after(), times=1)
    plain = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=5)
    plain.request("GET", "/api/server/ping")
    answer = plain.getresponse()
    assert (answer.headers["connection"], answer.read()) == ("keep-alive", b'{"res":"pong"}')
    assert plain.sock.recv(1) == b""
    plain.close()
    assert server.faults.counts["closed after"] == 1


@pytest.mark.slow
def test_a_server_restarts_under_a_request_and_comes_back(served: Served) -> None:
    server, client = served
    server.faults.add(faults.restarting(3), "GET /api/server/ping", times=1)
    with pytest.raises(httpx.TransportError):
        client.get("/api/server/ping")
    with pytest.raises(httpx.ConnectError):
        client.get("/api/server/version")
    deadline = time.monotonic() + 60
    status = 0
    while status != 200 and time.monotonic() < deadline:
        try:
            status = client.get("/api/server/version").status_code
        except httpx.TransportError:
            time.sleep(0.05)
    assert status == 200
    assert server.faults.counts == {"restarting": 1}


def test_the_library_changes_between_two_pages(served: Served, family: Family) -> None:
    server, client = served
    newest = family.photos[-1]

    def remove() -> None:
        family.library.assets.pop(newest.id, None)

    server.faults.add(faults.hook("photo deleted", remove), LISTING, skip=1, times=1)
    first = client.post("/api/search/metadata", json={"size": 3, "page": 1}).json()["assets"]["items"]
    second = client.post("/api/search/metadata", json={"size": 3, "page": 2}).json()["assets"]["items"]
    assert len({i["id"] for i in first + second}) == 5  # one moved up over the edge unseen
    assert server.faults.counts == {"photo deleted": 1}


def test_a_share_of_requests_is_hit_the_same_ones_every_time(family: Family) -> None:
    def hit(seed: int) -> list[int]:
        rules = Faults(seed).add(faults.status(503), ORIGINAL, rate=0.4)
        with immich_server(family.library, faults=rules) as server, httpx.Client(base_url=server.url) as client:
            client.headers["x-api-key"] = server.key_for(family.anna)
            return [client.get(f"/api/assets/{p.id}/original").status_code for p in family.photos for _ in range(3)]

    assert hit(1) == hit(1)
    assert hit(1) != hit(2)
    assert 2 <= hit(1).count(503) <= 14


def test_rules_reach_only_the_routes_they_name(served: Served, family: Family) -> None:
    server, client = served
    server.faults.add(faults.status(500), "GET /api/assets/*")
    assert client.get("/api/users/me").status_code == 200
    assert fetch(client, family).status_code == 500
    assert client.get(f"/api/assets/{family.photos[0].id}").status_code == 500
    server.faults.clear()
    assert fetch(client, family).status_code == 200
    assert server.faults.counts["status 500"] == 2

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from facesets.errors import BadAnswer, MissingPermission, NotFound, NotImmich, ServerError, Unreachable, WrongKey
from facesets.immich import Client
from facesets.immich import server as api
from facesets.testing import Fault, ImmichServer, Library, User, faults, immich_server

ME = "GET /api/users/me"


@pytest.mark.parametrize(
    "fault",
    [faults.status(502), faults.status(503), faults.dropped(), faults.dropped(reset=True), faults.truncated(), faults.bad_gzip()],
    ids=lambda fault: fault.name,
)
def test_what_passes_is_tried_again(server: ImmichServer, client: Client, pauses: list[float], fault: Fault) -> None:
    server.faults.add(fault, ME, times=2)
    assert api.whoami(client).name == "anna"
    assert client.traffic.retries == 2
    assert 0 < pauses[0] <= 0.5
    assert 0.5 <= pauses[1] <= 1.0


def test_what_stays_is_given_up_after_the_set_number_of_attempts(server: ImmichServer, client: Client, pauses: list[float]) -> None:
    server.faults.add(faults.status(503), ME)
    with pytest.raises(Unreachable, match="503"):
        api.whoami(client)
    assert server.count(ME) == 5
    assert len(pauses) == 4


def test_a_plain_500_is_tried_only_once_more(server: ImmichServer, client: Client) -> None:
    server.faults.add(faults.status(500), ME)
    with pytest.raises(Unreachable):
        api.whoami(client)
    assert server.count(ME) == 2


def test_what_another_failure_cost_is_not_held_against_a_500(server: ImmichServer, client: Client) -> None:
    server.faults.script(ME, [faults.dropped(), faults.dropped(), faults.status(500)])
    assert api.whoami(client).name == "anna"
    server.faults.script(ME, [faults.status(500), faults.dropped(), faults.status(500)])
    with pytest.raises(Unreachable):
        api.whoami(client)


def test_retry_after_is_honoured(server: ImmichServer, client: Client, pauses: list[float]) -> None:
    server.faults.script(ME, [faults.too_many_requests(7), faults.too_many_requests("Wed, 01 Jan 2020 00:00:00 GMT"), None])
    api.whoami(client)
    assert pauses[0] == 7
    assert pauses[1] <= 1


@pytest.mark.parametrize("asked", ["1000000000", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_a_server_that_asks_for_years_is_given_minutes_and_whoever_watches_is_told(
    server: ImmichServer, client: Client, pauses: list[float], caplog: pytest.LogCaptureFixture, asked: str
) -> None:
    server.faults.script(ME, [faults.too_many_requests(asked), None])
    api.whoami(client)
    assert pauses == [300]
    (record,) = (record for record in caplog.records if "waiting 300 s" in record.message)
    assert getattr(record, "told", False)


def test_a_wrong_key_is_said_once_and_not_repeated(server: ImmichServer, client_of: Callable[[str], Client]) -> None:
    key = "wrong-key-0123456789"
    with pytest.raises(WrongKey) as caught:
        api.whoami(client_of(key))
    assert caught.value.exit_code == 2
    assert key not in str(caught.value)
    assert server.count(ME) == 1


def test_a_missing_permission_is_named(library: Library, anna: User, client_of: Callable[[str], Client]) -> None:
    client = client_of(library.key(anna, ["asset.read"]).secret)
    with pytest.raises(MissingPermission, match=r"user\.read") as caught:
        api.whoami(client)
    assert caught.value.permission == "user.read"
    assert api.missing(api.permissions(client)) == ("asset.download", "face.read", "user.read")
    assert api.missing(frozenset(["all"])) == ()


def test_what_the_server_does_not_know_is_not_found(client: Client) -> None:
    unknown = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
    for path in (f"/assets/{unknown}", f"/assets/{unknown}/original", "/assets/abc", "/nowhere"):
        with pytest.raises(NotFound):
            client.get(path)


def test_a_query_the_server_refuses_says_why(client: Client) -> None:
    with pytest.raises(BadAnswer, match="order"):
        client.search("/search/metadata", {"order": "up"})


def test_a_login_page_is_not_immich(server: ImmichServer, client: Client) -> None:
    server.faults.add(faults.html(), ME)
    with pytest.raises(NotImmich, match="text/html"):
        api.whoami(client)


def test_the_key_follows_no_redirect_to_another_host(library: Library, server: ImmichServer, client: Client) -> None:
    with immich_server(library) as other:
        server.faults.add(faults.redirect(other.url + "/api/users/me"), ME)
        with pytest.raises(NotImmich, match="your key is not sent there"):
            api.whoami(client)
        assert not other.requests


def test_a_redirect_within_the_server_is_followed(server: ImmichServer, client: Client) -> None:
    server.faults.add(faults.redirect("/api/users/me"), "GET /api/server/about")
    assert client.get("/server/about")["name"] == "anna"


def test_a_redirect_to_no_address_is_a_bad_answer(server: ImmichServer, client: Client) -> None:
    server.faults.add(faults.redirect("http://[nowhere"), ME)
    with pytest.raises(BadAnswer, match="invalid redirect target"):
        api.whoami(client)


def test_endless_redirects_end(server: ImmichServer, client: Client) -> None:
    server.faults.add(faults.redirect("/api/users/me"), ME)
    with pytest.raises(BadAnswer, match="too many redirects"):
        api.whoami(client)


def test_no_key_in_errors_or_logs(server: ImmichServer, anna: User, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    key = server.key_for(anna)
    told = []
    with caplog.at_level(logging.DEBUG):
        for fault in (faults.status(503), faults.html(), faults.dropped(), faults.redirect("http://127.0.0.1:1/")):
            server.faults.clear()
            server.faults.add(fault, ME)
            with pytest.raises(ServerError) as caught:
                api.whoami(client)
            told += [repr(caught.value), repr(caught.value.__cause__)]
    assert caplog.text
    assert key not in caplog.text + "".join(told)
    assert all(key not in exchange.target for exchange in server.log)


def test_threads_share_one_client_and_every_request_counts(server: ImmichServer, client: Client) -> None:
    before = client.traffic
    with ThreadPoolExecutor(16) as pool:
        names = set(pool.map(lambda _: api.whoami(client).name, range(200)))
    after = client.traffic
    assert names == {"anna"}
    assert after.requests - before.requests == 200 == server.count(ME)
    assert after.bytes > before.bytes


def test_a_connection_that_idled_too_long_is_no_error(library: Library, anna: User) -> None:
    with immich_server(library, keep_alive=0.05) as running, Client(running.url + "/api", running.key_for(anna)) as client:
        for _ in range(3):
            api.whoami(client)
            time.sleep(0.1)


def test_answers_that_nobody_reads_to_their_end_take_no_connection_with_them(server: ImmichServer, anna: User) -> None:
    with Client(server.url + "/api", server.key_for(anna), connections=2, sleep=lambda _: None) as client:
        for _ in range(5):
            assert client.exchange("GET", "/users/me", lambda answer: answer.status) == 200
        server.faults.add(faults.truncated(), ME, times=5)
        assert client.exchange("GET", "/users/me", lambda answer: answer.status) == 200
        assert api.whoami(client).name == "anna"


def test_a_key_that_no_header_can_carry_is_no_key(server: ImmichServer) -> None:
    for key in ("schlüssel\u2026", "two\nlines"):
        with Client(server.url + "/api", key) as client, pytest.raises(WrongKey) as caught:
            api.whoami(client)
        assert key not in str(caught.value)

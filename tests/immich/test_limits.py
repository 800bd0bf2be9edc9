"""Politeness: fewer requests where answers slow down, nobody hammers a server that is down, bytes come no faster than asked."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from facesets.errors import Unreachable
from facesets.immich import Client, faces, originals
from facesets.immich import server as api
from facesets.immich.limits import AdaptiveLimiter, BandwidthLimiter, CircuitBreaker
from facesets.testing import ImmichServer, Library, User, faults, immich_server

from .photos import BIG, photo

ME, PING, FACES = "GET /api/users/me", "GET /api/server/ping", "GET /api/faces"


def answers(pace: AdaptiveLimiter, seconds: float, count: int = 200) -> float:
    for _ in range(count):
        pace.answered("faces", seconds)
    return pace.limit


def test_requests_grow_while_latency_stays_and_shrink_when_it_climbs() -> None:
    pace = AdaptiveLimiter(32, start=4)
    assert answers(pace, 0.02, 3) == 4
    assert answers(pace, 0.02) == 32
    assert answers(pace, 0.06) == 32  # not worse than 2.5 times, and a little
    assert answers(pace, 0.5) < 8
    low = pace.limit
    assert low < answers(pace, 0.02, 60) < 32
    pace.back_off()
    assert pace.limit <= 16


def test_latency_alone_never_asks_for_fewer_than_a_few_and_refusals_do() -> None:
    pace = AdaptiveLimiter(32)
    answers(pace, 0.02)
    assert answers(pace, 5.0, 500) == 4
    pace.back_off()
    pace.back_off()
    assert pace.limit == 1
    assert answers(pace, 5.0, 500) == 1


def test_one_request_is_always_let_through() -> None:
    pace = AdaptiveLimiter(32)
    for _ in range(100):
        pace.back_off()
    with pace.slot():
        assert pace.limit == 1


def test_the_client_asks_less_at_a_time_where_the_server_slows_down(library: Library, anna: User) -> None:
    asset = library.photo(anna, photo(1), faces=[BIG])
    with immich_server(library, "3.1.0") as server, Client(server.url + "/api", server.key_for(anna)) as client:
        pool = ThreadPoolExecutor(32)
        list(pool.map(lambda _: faces.boxes(client, asset.id), range(200)))
        quick = client.at_a_time
        server.faults.add(faults.slow(0.3), FACES)
        list(pool.map(lambda _: faces.boxes(client, asset.id), range(100)))
        pool.shutdown()
    assert client.at_a_time < quick


def test_a_server_that_is_down_is_left_alone(library: Library, anna: User) -> None:
    rests: list[float] = []
    with immich_server(library) as server, Client(server.url + "/api", server.key_for(anna), sleep=rests.append) as client:
        server.faults.add(faults.status(503))
        with ThreadPoolExecutor(8) as pool:
            done = [pool.submit(api.whoami, client) for _ in range(40)]
            assert all(isinstance(one.exception(), Unreachable) for one in done)
        assert server.count(ME) <= 12 + 8  # those under way when the twelfth failed
        assert server.count(PING) == 6
        assert rests.count(30.0) == 1


def test_after_an_outage_all_go_on(library: Library, anna: User) -> None:
    with immich_server(library) as server, Client(server.url + "/api", server.key_for(anna), sleep=lambda _: None) as client:
        server.faults.add(faults.status(503), ME, times=40)
        server.faults.add(faults.status(503), PING, times=3)
        with ThreadPoolExecutor(8) as pool:
            names = [one.name for one in pool.map(lambda _: _patient(client), range(16))]
        assert names == ["anna"] * 16


def _patient(client: Client) -> api.Person:
    while True:
        try:
            return api.whoami(client)
        except Unreachable as err:
            if "sign of life" in str(err):
                raise


def test_a_server_that_lives_is_not_given_up_for_what_it_cannot_give(library: Library, anna: User) -> None:
    with immich_server(library) as server, Client(server.url + "/api", server.key_for(anna), sleep=lambda _: None) as client:
        server.faults.add(faults.dropped(), FACES)
        for number in range(10):
            with pytest.raises(Unreachable, match="does not answer"):
                faces.boxes(client, f"00000000-0000-4000-8000-{number:012}")
        assert api.whoami(client).name == "anna"


def test_only_one_looks_while_the_others_wait() -> None:
    looks, gate = [], threading.Event()

    def there() -> bool:
        looks.append(threading.get_ident())
        return gate.wait(5)

    breaker = CircuitBreaker(there, lambda _: None)
    for _ in range(12):
        breaker.failed()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(breaker.pass_through) for _ in range(8)]
        time.sleep(0.1)
        assert not any(one.done() for one in waiting)
        gate.set()
        assert [one.exception() for one in waiting] == [None] * 8
    assert len(looks) == 1


def test_bytes_come_no_faster_than_asked() -> None:
    now = [0.0]
    meter = BandwidthLimiter(1000.0, lambda seconds: now.__setitem__(0, now[0] + seconds), lambda: now[0])
    for _ in range(100):
        meter.take(100)
    assert 9.7 <= now[0] <= 10.0


def test_a_download_keeps_to_the_limit(library: Library, anna: User, server: ImmichServer, tmp_path: Path) -> None:
    asset = library.photo(anna, photo(1) + bytes(1_000_000))
    slept: list[float] = []
    with Client(server.url + "/api", server.key_for(anna), bandwidth=0.02, sleep=slept.append) as client:
        originals.download(client, asset.id, tmp_path / "a.jpg")
    assert max(slept) > 25  # a megabyte takes fifty seconds then, less what a busy computer took by itself

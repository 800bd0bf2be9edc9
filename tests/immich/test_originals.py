from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from pathlib import Path

import pytest

from facesets.errors import NotFound, NotImmich, Unreachable
from facesets.immich import Client, originals
from facesets.testing import Asset, Fault, ImmichServer, Library, User, faults
from facesets.testing.immich.transport import Request, Response

from .photos import photo

ORIGINAL = "GET /api/assets/{id}/original"


@pytest.fixture
def stored(library: Library, anna: User) -> Asset:
    return library.photo(anna, photo(1, 1200, 900))


def test_an_original_arrives_whole_and_private(stored: Asset, client: Client, tmp_path: Path) -> None:
    target = tmp_path / "ab" / "x.jpg"
    done = originals.download(client, stored.id, target, sha1=stored.sha1.hex(), size=stored.size)
    assert target.read_bytes() == stored.read()
    assert (done.sha256, done.size) == (hashlib.sha256(stored.read()).hexdigest(), stored.size)
    assert target.stat().st_mode & 0o077 == 0
    assert [path.name for path in target.parent.iterdir()] == ["x.jpg"]


@pytest.mark.parametrize(
    "fault",
    [
        faults.truncated(),
        faults.truncated(0.9, reset=True),
        faults.cut_clean(),
        faults.swapped(b"other"),
        faults.wrong_length(5),
        faults.status(503),
    ],
    ids=lambda fault: fault.name,
)
@pytest.mark.parametrize("known", ["sha1", "size"])
def test_a_broken_transfer_heals_or_leaves_nothing(
    stored: Asset, server: ImmichServer, client: Client, tmp_path: Path, fault: Fault, known: str
) -> None:
    target = tmp_path / "x.jpg"
    facts = {"sha1": stored.sha1.hex()} if known == "sha1" else {"size": stored.size}
    server.faults.add(fault, ORIGINAL, times=1)
    originals.download(client, stored.id, target, **facts)
    assert target.read_bytes() == stored.read()
    target.unlink()
    if known == "sha1":
        server.faults.clear()
        server.faults.add(fault, ORIGINAL)
        with pytest.raises(Unreachable):
            originals.download(client, stored.id, target, sha1=stored.sha1.hex())
        assert list(tmp_path.iterdir()) == []


def test_a_file_that_changed_since_the_server_read_it_is_taken_at_the_second_look(
    stored: Asset, server: ImmichServer, client: Client, tmp_path: Path
) -> None:
    originals.download(client, stored.id, tmp_path / "x.jpg", size=stored.size + 1)
    assert server.count(ORIGINAL) == 2


def test_an_original_the_server_refuses_is_not_found(library: Library, client: Client, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        originals.download(client, "3fa85f64-5717-4562-b3fc-2c963f66afa6", tmp_path / "x.jpg")
    assert list(tmp_path.iterdir()) == []


def test_a_web_page_is_never_taken_for_a_photo(stored: Asset, server: ImmichServer, client: Client, tmp_path: Path) -> None:
    server.faults.add(faults.html(), ORIGINAL)
    with pytest.raises(NotImmich):
        originals.download(client, stored.id, tmp_path / "x.jpg")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def large(library: Library, anna: User) -> Asset:
    return library.photo(anna, photo(1) + random.Random(1).randbytes(1 << 20))


def statuses(server: ImmichServer) -> list[int]:
    return [exchange.status for exchange in server.log if exchange.route == ORIGINAL]


@pytest.mark.parametrize("known", [True, False])
def test_an_interrupted_download_is_taken_up_where_it_stopped(
    large: Asset, server: ImmichServer, client: Client, tmp_path: Path, known: bool
) -> None:
    server.faults.add(faults.truncated(0.6), ORIGINAL, times=1)
    before = client.traffic.bytes
    done = originals.download(client, large.id, tmp_path / "x.jpg", sha1=large.sha1.hex() if known else None, size=large.size)
    assert (tmp_path / "x.jpg").read_bytes() == large.read()
    assert done.sha256 == hashlib.sha256(large.read()).hexdigest()
    assert statuses(server) == [200, 206]
    assert done.resumed > large.size / 2
    assert client.traffic.bytes - before < large.size * 1.1
    assert [path.name for path in tmp_path.iterdir()] == ["x.jpg"]


@pytest.mark.parametrize("known", [True, False])
def test_the_next_run_takes_it_up_too(large: Asset, server: ImmichServer, client: Client, tmp_path: Path, known: bool) -> None:
    target, sha1 = tmp_path / "x.jpg", large.sha1.hex() if known else None
    client.attempts = 1
    server.faults.add(faults.truncated(0.5), ORIGINAL)
    with pytest.raises(Unreachable):
        originals.download(client, large.id, target, sha1=sha1, size=large.size)
    assert not target.exists()
    assert {path.name for path in tmp_path.iterdir()} == {".x.jpg.part", ".x.jpg.part.json"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.iterdir())
    server.faults.clear()
    done = originals.download(client, large.id, target, sha1=sha1, size=large.size)
    assert target.read_bytes() == large.read()
    assert (statuses(server), done.resumed > large.size / 3) == ([200, 206], True)


def test_another_version_of_the_file_is_begun_anew(
    library: Library, large: Asset, server: ImmichServer, client: Client, tmp_path: Path
) -> None:
    client.attempts = 1
    server.faults.add(faults.truncated(0.5), ORIGINAL, times=1)
    with pytest.raises(Unreachable):
        originals.download(client, large.id, tmp_path / "x.jpg")
    large.data = photo(2) + random.Random(2).randbytes(1 << 17)  # shorter than what is here already
    large.file_modified_at = library.now()
    done = originals.download(client, large.id, tmp_path / "x.jpg")
    assert (tmp_path / "x.jpg").read_bytes() == large.read()
    assert (statuses(server), done.resumed) == ([200, 200], 0)


@pytest.mark.parametrize("known", [True, False])
def test_a_version_that_grew_meanwhile_is_fetched_whole(
    library: Library, large: Asset, server: ImmichServer, client: Client, tmp_path: Path, known: bool
) -> None:
    server.faults.add(faults.truncated(0.5), ORIGINAL, times=1)
    attempts, client.attempts = client.attempts, 1
    with pytest.raises(Unreachable):
        originals.download(client, large.id, tmp_path / "x.jpg")
    client.attempts = attempts
    large.data = photo(2) + random.Random(2).randbytes(1 << 21)
    large.file_modified_at = library.now()
    sha1 = hashlib.sha1(large.read()).hexdigest() if known else None
    done = originals.download(client, large.id, tmp_path / "x.jpg", sha1=sha1)
    assert (tmp_path / "x.jpg").read_bytes() == large.read()
    assert (statuses(server)[-1], done.resumed) == (200, 0)


def test_a_proxy_that_refuses_the_range_is_asked_for_the_whole(
    large: Asset, server: ImmichServer, client: Client, tmp_path: Path
) -> None:
    server.faults.add(faults.truncated(0.5), ORIGINAL, times=1)
    server.faults.add(faults.Fault("416", answer=not_satisfiable), ORIGINAL)
    originals.download(client, large.id, tmp_path / "x.jpg", sha1=large.sha1.hex())
    assert (tmp_path / "x.jpg").read_bytes() == large.read()
    assert statuses(server) == [200, 416, 200]


def not_satisfiable(request: Request) -> Response | None:
    return Response(416, {"Content-Range": "bytes */100"}) if "range" in request.headers else None


def test_a_damaged_beginning_is_found_out_and_fetched_anew(large: Asset, server: ImmichServer, client: Client, tmp_path: Path) -> None:
    client.attempts = 2
    server.faults.add(faults.truncated(0.5), ORIGINAL, times=2)
    with pytest.raises(Unreachable):
        originals.download(client, large.id, tmp_path / "x.jpg", sha1=large.sha1.hex())
    part = tmp_path / ".x.jpg.part"
    part.write_bytes(bytes(part.stat().st_size))
    originals.download(client, large.id, tmp_path / "x.jpg", sha1=large.sha1.hex())
    assert (tmp_path / "x.jpg").read_bytes() == large.read()


def test_bytes_that_may_not_have_reached_the_disk_are_not_built_upon_unchecked(
    large: Asset, server: ImmichServer, client: Client, tmp_path: Path
) -> None:
    etag = client.exchange("GET", f"/assets/{large.id}/original", lambda response: response.headers["etag"])
    (tmp_path / ".x.jpg.part").write_bytes(bytes(large.size // 2))
    (tmp_path / ".x.jpg.part.json").write_text(json.dumps({"etag": etag, "total": large.size, "synced": 0}))
    originals.download(client, large.id, tmp_path / "x.jpg", size=large.size)
    assert (tmp_path / "x.jpg").read_bytes() == large.read()


@pytest.mark.parametrize("facts", [b"", b"{}", b"[]", b'{"etag": 1, "total": "x", "synced": null}', b"\xff"])
def test_unusable_facts_about_a_part_cost_only_the_part(large: Asset, client: Client, tmp_path: Path, facts: bytes) -> None:
    (tmp_path / ".x.jpg.part").write_bytes(b"x" * 100_000)
    (tmp_path / ".x.jpg.part.json").write_bytes(facts)
    originals.download(client, large.id, tmp_path / "x.jpg")
    assert (tmp_path / "x.jpg").read_bytes() == large.read()
    assert [path.name for path in tmp_path.iterdir()] == ["x.jpg"]


def test_samples_are_parts_of_the_file_and_tell_its_length(large: Asset, server: ImmichServer, client: Client) -> None:
    data = large.read()
    assert originals.sample(client, large.id, 0, 100) == (data[:100], len(data))
    assert originals.sample(client, large.id, len(data) - 100, 100) == (data[-100:], len(data))
    assert statuses(server) == [206, 206]


@pytest.mark.parametrize("fault", [faults.stalled(30, after=1000), faults.slow(30), faults.status(503)], ids=lambda fault: fault.name)
def test_stopping_does_not_wait_for_what_is_under_way(
    large: Asset, server: ImmichServer, anna: User, tmp_path: Path, fault: Fault
) -> None:
    server.faults.add(fault, ORIGINAL)
    told: list[Exception] = []
    with Client(server.url + "/api", server.key_for(anna), attempts=50) as client:

        def fetch() -> None:
            try:
                originals.download(client, large.id, tmp_path / "x.jpg")
            except Unreachable as err:
                told.append(err)

        thread = threading.Thread(target=fetch)
        thread.start()
        while not server.count(ORIGINAL):
            time.sleep(0.01)
        time.sleep(0.1)
        begun = time.monotonic()
        client.stop()
        thread.join(10)
    assert time.monotonic() - begun < 2
    assert len(told) == 1

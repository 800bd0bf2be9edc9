from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from facesets.errors import Unreachable
from facesets.immich import Client
from facesets.records import Reason
from facesets.registry import assets
from facesets.sources.source import SAMPLE
from facesets.testing import Asset, ExternalLibrary, ImmichServer, Library, User, faults
from tests.immich.photos import BIG, photo

from .home import Home
from .test_killed import SCRIPT

ORIGINAL = "GET /api/assets/{id}/original"
SIZE = 400_000
TAKEN = ("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z", "2022-01-01T00:00:00Z")


def heavy(number: int, *, but: int | None = None) -> bytes:
    """A photo too big to be fetched rather than compared; ``but``: with another byte there."""
    data = bytearray(photo(number) + random.Random(number).randbytes(SIZE))
    if but is not None:
        data[but] ^= 255
    return bytes(data)


@pytest.fixture
def disk(library: Library, anna: User) -> ExternalLibrary:
    return library.external(anna)


Shelve = Callable[..., Asset]


@pytest.fixture
def shelve(library: Library, anna: User, disk: ExternalLibrary) -> Shelve:
    """Put a photo into the external library; all have one look, as copies do."""

    def put(data: bytes, taken: int, *, thumbhash: str = "bG9vaw==") -> Asset:
        name = f"{len(library.assets)}.jpg"
        return library.photo(anna, data, library=disk, file_name=name, faces=[BIG], taken_at=TAKEN[taken], thumbhash=thumbhash)

    return put


def asked(server: ImmichServer) -> list[int]:
    return sorted(exchange.status for exchange in server.log if exchange.route == ORIGINAL)


def test_a_copy_in_an_external_library_is_known_by_samples_and_reported(
    library: Library, anna: User, server: ImmichServer, home: Home, shelve: Shelve
) -> None:
    upload = library.photo(anna, heavy(1), faces=[BIG], taken_at=TAKEN[0], thumbhash="bG9vaw==")
    copy = shelve(heavy(1), 1)
    counters = home.stage(server, anna)
    assert home.reasons() == {upload.id: Reason.STAGED, copy.id: Reason.PROBABLE_DUP}
    assert asked(server) == [200, 206, 206, 206]
    assert (counters.downloads, counters.as_dict()["skipped_probable_duplicate"]) == (1, 1)
    assert counters.bytes_saved == copy.size - 3 * SAMPLE
    (row,) = (row for row in home.rows() if row.asset.asset_id == copy.id)
    assert upload.id in str(row.detail)
    home.stage(server, anna)
    assert len(asked(server)) == 4


def test_copies_that_come_at_once_wait_for_the_first(server: ImmichServer, anna: User, home: Home, shelve: Shelve) -> None:
    first, *others = [shelve(heavy(1), taken) for taken in (0, 1, 2)]
    server.faults.add(faults.slow(0.05), ORIGINAL)
    home.stage(server, anna)
    assert home.reasons() == {first.id: Reason.STAGED} | dict.fromkeys((a.id for a in others), Reason.PROBABLE_DUP)
    assert asked(server) == [200] + [206] * 6


@pytest.mark.parametrize(("but", "samples"), [(100, 1), (SIZE // 2 + 400, 2), (-1, 3)])
def test_a_difference_in_any_sample_makes_it_another_photo(
    server: ImmichServer, anna: User, home: Home, shelve: Shelve, but: int, samples: int
) -> None:
    both = [shelve(heavy(1), 0), shelve(heavy(1, but=but), 1)]
    home.stage(server, anna)
    assert home.reasons() == dict.fromkeys((asset.id for asset in both), Reason.STAGED)
    assert asked(server) == [200, 200] + [206] * samples


def test_size_and_look_rule_out_before_any_byte(server: ImmichServer, anna: User, home: Home, shelve: Shelve) -> None:
    shelve(heavy(1), 0)
    shelve(heavy(2) + b"longer", 1)
    same = shelve(heavy(1), 2, thumbhash="b3RoZXI=")
    home.stage(server, anna)
    assert asked(server) == [200, 200, 200]
    assert home.reasons()[same.id] is Reason.DUP_STAGED


def test_verification_downloads_what_looks_like_a_copy(server: ImmichServer, anna: User, home: Home, shelve: Shelve) -> None:
    one, two, differs = shelve(heavy(1), 0), shelve(heavy(1), 1), shelve(heavy(1, but=100_000), 2)
    home.stage(server, anna)
    assert home.counts() == {Reason.STAGED: 1, Reason.PROBABLE_DUP: 2}
    settings = home.workspace.settings
    strict = replace(settings, stage=replace(settings.stage, verify_duplicates=True))
    home.workspace = replace(home.workspace, settings=strict)
    home.stage(server, anna)
    assert home.reasons() == {one.id: Reason.STAGED, two.id: Reason.DUP_STAGED, differs.id: Reason.STAGED}
    home.workspace = replace(home.workspace, settings=settings)
    server.log.clear()
    home.stage(server, anna)
    assert asked(server) == []


def test_where_no_parts_can_be_had_the_whole_is_fetched(server: ImmichServer, anna: User, home: Home, shelve: Shelve) -> None:
    one, two = shelve(heavy(1), 0), shelve(heavy(1), 1)
    whole = faults.Fault("no parts", change=lambda answer, _: replace(answer, status=200) if answer.status == 206 else answer)
    server.faults.add(whole, ORIGINAL)
    home.stage(server, anna)
    assert home.reasons() == {one.id: Reason.STAGED, two.id: Reason.DUP_STAGED}


def test_a_download_that_broke_off_is_fetched_whole_by_the_next_staging(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    asset = library.photo(anna, heavy(1), faces=[BIG])
    server.faults.add(faults.truncated(0.8), ORIGINAL)
    home.stage(server, anna, attempts=1)
    assert home.reasons() == {asset.id: Reason.DOWNLOAD_ERROR}
    assert home.files() == {}
    server.faults.clear()
    counters = home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.STAGED}
    assert asked(server) == [200, 200]
    assert counters.bytes_downloaded == asset.size
    assert list(home.files().values()) == [asset.read()]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_what_a_killed_download_left_is_removed(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = library.photo(anna, heavy(1), faces=[BIG])
    server.faults.add(faults.stalled(60, after=SIZE * 3 // 4), ORIGINAL, times=1)
    environment = {**os.environ, "KEY": server.key_for(anna)}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(home.workspace.root), server.url], env=environment)
    while not any(path.stat().st_size > SIZE / 2 for path in home.workspace.root.glob("photos/anna/*/.*.part")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    asset.deleted_at = asset.created_at  # nobody wants it any more
    home.stage(server, anna)
    assert home.files() == {}


def test_a_server_that_is_down_costs_no_file_its_patience(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    asset = library.photo(anna, photo(1), faces=[BIG])
    for fault in (faults.status(503), faults.dropped(), faults.status(500), faults.status(502), faults.status(500)):
        server.faults.clear()
        server.faults.add(fault, ORIGINAL)
        home.stage(server, anna, attempts=1)
        assert home.reasons() == {asset.id: Reason.DOWNLOAD_ERROR}


def test_many_missing_files_in_a_row_do_not_look_like_a_server_that_is_gone(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    for number in range(40):
        asset = library.photo(anna, photo(number), faces=[BIG])
        if number < 39:
            server.faults.add(faults.status(500), ORIGINAL, containing=asset.id)
    home.stage(server, anna)
    assert home.counts() == {Reason.DOWNLOAD_ERROR: 39, Reason.STAGED: 1}


def test_a_vanished_file_that_embedding_failed_on_is_brought_again(
    library: Library, anna: User, server: ImmichServer, home: Home
) -> None:
    asset = library.photo(anna, photo(1), faces=[BIG])
    home.stage(server, anna)
    (row,) = home.rows()
    with home.workspace.registry() as registry, registry.transaction():
        assets.settle(registry, row.id, Reason.EMBED_ERROR, "cannot be read here")
    assert row.path is not None
    (home.workspace.root / row.path).unlink()
    home.stage(server, anna)
    assert home.reasons() == {asset.id: Reason.STAGED}
    assert len(home.files()) == 1


def test_stopping_does_not_wait_for_downloads_and_their_retries(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    for number in range(20):
        library.photo(anna, photo(number), faces=[BIG])
    begun, release = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        release.wait(600)

    server.faults.add(faults.hook("held", hold), ORIGINAL)
    command = [sys.executable, "-m", "facesets", "-C", str(home.workspace.root), "stage", "--user", "anna"]
    environment = os.environ | {"IMMICH_URL": server.url, "IMMICH_API_KEY": server.key_for(anna)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as stager:
        assert begun.wait(60)
        stager.send_signal(signal.SIGINT)
        assert "run the same command again" in stager.communicate(timeout=60)[1]  # no original has been answered yet
    assert stager.returncode == 130
    assert not server.count(ORIGINAL)
    server.faults.clear()
    release.set()
    home.stage(server, anna)
    assert home.counts() == {Reason.STAGED: 20}


def test_a_client_that_was_stopped_asks_nothing_more(server: ImmichServer, anna: User) -> None:
    with Client(server.url + "/api", server.key_for(anna)) as client:
        client.stop()
        with pytest.raises(Unreachable, match="stopped"):
            client.get("/users/me")
    assert not server.requests

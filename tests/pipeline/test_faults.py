"""Every way in which the testing Immich can misbehave, met by whole runs in both dialects.

A run survives with the same sets, byte for byte, or ends with its exit code and one clear line; and once the server is well again
the same command ends where an undisturbed run ends. Every test sees in the server's own count that the fault happened.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from facesets import pipeline
from facesets.immich import transport
from facesets.progress import Silent
from facesets.testing import Asset, Fault, Faults, ImmichServer, Library, User, immich_server
from facesets.testing import faults as fault
from facesets.workspace import Workspace

from .world import Answer, CommandLine, add_photos, boxes, jpeg, put, tree

VERSION, ME = "GET /api/server/version", "GET /api/users/me"
BUCKETS, BUCKET, STATISTICS = "GET /api/timeline/buckets", "GET /api/timeline/bucket", "GET /api/assets/statistics"
SEARCH, FACES, ORIGINAL = "POST /api/search/metadata", "GET /api/faces", "GET /api/assets/{id}/original"
ROUTES = (VERSION, ME, BUCKETS, BUCKET, STATISTICS, SEARCH, FACES, ORIGINAL)
MEMBERS = 3  # photos of each of two people: as many as a set needs here


def people() -> Library:
    """Two people in three photos each, one of these in an external library, and a stranger seen once."""
    library = Library()
    anna = library.user("anna")
    add_photos(library, anna, [1], MEMBERS)
    add_photos(library, anna, [2], MEMBERS - 1)
    data, disk = jpeg([2], 2222), library.external(anna)
    library.photo(anna, data=data, file_name="disk.jpg", taken_at="2021-05-05T12:00:00Z", faces=boxes([2]), library=disk)
    add_photos(library, anna, [9], 1)
    return library


def small(workspace: Path, pack: Path) -> None:
    """Settings that make a run of these photos quick."""
    for line in (f'pack = "{pack}"', f"min_faces = {MEMBERS}", f"min_photos = {MEMBERS}", "size = 48", "page_size = 4", "timeout = 10.0"):
        put(workspace, line)


@pytest.fixture(scope="module")
def undisturbed(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The sets of a run that nothing disturbs."""
    root = tmp_path_factory.mktemp("undisturbed") / "w"
    Workspace.init(root)
    small(root, pack)
    with immich_server(people()) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMMICH_URL", server.url)
        patch.setenv("IMMICH_API_KEY", server.key_for("anna"))
        pipeline.run(Workspace.open(root), ["anna"], progress=Silent())
    sets = tree(root / "facesets")
    assert {path.split("/")[0] for path in sets} == {"faceset_001", "faceset_002", "manifest.json"}
    return sets


@pytest.fixture(params=["2.7.2", "3.1.0"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def library() -> Library:
    return people()


@pytest.fixture
def anna(library: Library) -> User:
    return next(iter(library.users.values()))


@pytest.fixture
def victim(library: Library) -> Asset:
    """A photo that a set cannot do without."""
    return next(iter(library.assets.values()))


@pytest.fixture
def server(library: Library, version: str, faults: Faults) -> Iterator[ImmichServer]:
    with immich_server(library, version, faults=faults) as running:
        yield running


@pytest.fixture
def cli(cli: CommandLine, pack: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setattr(transport, "_FIRST_PAUSE", 0.02)
    template = (cli.workspace / "facesets.toml").read_text()
    (cli.workspace / "facesets.toml").write_text(template.replace(f'pack = "{pack}"', '# pack = "auto"'))
    small(cli.workspace, pack)
    return cli


class Outcome:
    """What runs come to, held to what is true of every run."""

    def __init__(self, cli: CommandLine, server: ImmichServer, undisturbed: dict[str, str]) -> None:
        self.cli, self.server, self.undisturbed = cli, server, undisturbed

    def run(self, code: int, *struck: str) -> Answer:
        """A run that ends with ``code``, and that each of these faults struck."""
        answer = self.cli("run", "--user", "anna", "--json")
        assert answer.code == code, answer.err
        for name in struck:
            assert self.server.faults.counts[name], name
        assert self.server.key_for("anna") not in answer.out + answer.err
        if code in (0, 3):
            summary = answer.json
            assert summary["listed"] + summary["assets_by_reason"].get("gone", 0) == sum(summary["assets_by_state"].values())
        return answer

    def survives(self, *struck: str) -> Answer:
        """A run that ends as if undisturbed."""
        answer = self.run(0, *struck)
        assert self.sets == self.undisturbed
        return answer

    def ends(self, code: int, *struck: str, says: str) -> Answer:
        """A run that ends with ``code`` and one line that says so, writes no set, and heals."""
        answer = self.run(code, *struck)
        assert says in answer.line
        assert len(answer.line) < 600
        assert self.sets == {}
        self.heals()
        return answer

    def heals(self) -> None:
        """The same command, once the server is well again."""
        self.server.faults.clear()
        self.survives()

    @property
    def sets(self) -> dict[str, str]:
        return tree(self.cli.workspace / "facesets")


@pytest.fixture
def outcome(cli: CommandLine, server: ImmichServer, undisturbed: dict[str, str]) -> Outcome:
    return Outcome(cli, server, undisturbed)


def named(value: object) -> str | None:
    return value.name if isinstance(value, Fault) else None


PASSING = [
    fault.status(500),
    fault.status(502),
    fault.status(503),
    fault.dropped(),
    fault.dropped(reset=True),
    fault.truncated(0.5),
    fault.truncated(0.5, reset=True),
    fault.wrong_length(+100),
    fault.overlong(),
    fault.bad_gzip(),
    fault.closed_after(),
    fault.slow(0.05),
]


@pytest.mark.parametrize("passing", PASSING, ids=named)
def test_what_fails_once_on_every_route_changes_nothing(passing: Fault, outcome: Outcome, faults: Faults) -> None:
    for route in ROUTES:
        faults.add(passing, route, times=1)
    outcome.survives()
    asked = sum(bool(outcome.server.count(route)) for route in ROUTES)
    assert faults.counts[passing.name] == asked >= len(ROUTES) - 1  # on 2.x nobody asks for faces


def test_latency_that_is_drawn_changes_nothing(outcome: Outcome, faults: Faults) -> None:
    faults.add(fault.slow(0.0, 0.05))
    outcome.survives("slow")


def test_a_server_that_asks_for_patience_gets_it(outcome: Outcome, faults: Faults, victim: Asset) -> None:
    faults.add(fault.too_many_requests(1), SEARCH, times=1).add(fault.too_many_requests(1), ORIGINAL, containing=victim.id, times=1)
    began = time.monotonic()
    outcome.survives()
    assert faults.counts["too many requests"] == 2
    assert time.monotonic() - began >= 2


def test_an_answer_that_stalls_is_given_up_and_asked_for_again(outcome: Outcome, faults: Faults, victim: Asset) -> None:
    outcome.cli.set("attempts = 4")
    path = outcome.cli.workspace / "facesets.toml"
    path.write_text(path.read_text().replace("timeout = 10.0", "timeout = 1.0"))
    faults.add(fault.stalled(30), SEARCH, times=1).add(fault.stalled(30, after=5000), ORIGINAL, containing=victim.id, times=1)
    began = time.monotonic()
    outcome.survives()
    assert faults.counts["stalled"] == 2
    assert 2 <= time.monotonic() - began < 30


@pytest.mark.parametrize("route", [BUCKET, SEARCH, ORIGINAL])
def test_a_restart_under_a_request_is_waited_for(route: str, outcome: Outcome, faults: Faults) -> None:
    faults.add(fault.restarting(0.1), route, times=1)
    outcome.survives("restarting")


def test_connections_that_end_in_idleness_are_made_anew(
    library: Library, version: str, cli: CommandLine, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Faults().add(fault.slow(0.3), BUCKET, times=1)
    with immich_server(library, version, faults=slow, keep_alive=0.1) as impatient:
        monkeypatch.setenv("IMMICH_URL", impatient.url)
        Outcome(cli, impatient, undisturbed).survives("slow", "idle closed")


FALSE_BYTES = [
    fault.truncated(0.7),
    fault.cut_clean(0.5),
    fault.padded(),
    fault.overlong(),
    fault.wrong_length(+100),
    fault.wrong_length(-10),
    fault.swapped(jpeg([3], 1)),
    fault.bad_gzip(),
]


@pytest.mark.parametrize("false", FALSE_BYTES, ids=named)
def test_bytes_that_are_not_the_photos_are_fetched_again(false: Fault, outcome: Outcome, library: Library, faults: Faults) -> None:
    for asset_id in library.assets:  # the external one too, of which only the size is known
        faults.add(false, ORIGINAL, containing=asset_id, times=1)
    outcome.survives()
    assert faults.counts[false.name] == len(library.assets)


HELPLESS = [
    (fault.status(500), "500"),
    (fault.status(503), "503"),
    (fault.too_many_requests(0), "429"),
    (fault.dropped(), "does not answer"),
    (fault.truncated(0.5), "does not answer"),
    (fault.cut_clean(0.5), "SHA-1"),
    (fault.padded(), "SHA-1"),
    (fault.swapped(jpeg([3], 1)), "SHA-1"),
    (fault.wrong_length(+100), "does not answer"),
    (fault.wrong_length(-10), "SHA-1"),
    (fault.bad_gzip(), "does not answer"),
    (fault.html(), "a web page came instead"),
]


@pytest.mark.parametrize(("helpless", "why"), HELPLESS, ids=named)
def test_a_photo_that_does_not_come_stops_the_run_before_the_plan(
    helpless: Fault, why: str, outcome: Outcome, faults: Faults, victim: Asset
) -> None:
    outcome.cli.set("attempts = 2")
    faults.add(helpless, ORIGINAL, containing=victim.id)
    answer = outcome.run(3, helpless.name)
    assert (answer.json["retryable"], answer.json["sets_new"]) == (1, [])
    assert "1 photos failed in a way that may heal" in answer.line
    told = outcome.cli("explain", victim.id)
    assert why in told.out, told.out
    outcome.heals()


@pytest.mark.parametrize("helpless", [fault.status(503), fault.dropped(), fault.html(), fault.cut_clean(0.5), fault.bad_gzip()], ids=named)
def test_faces_that_cannot_be_asked_stop_the_run_before_the_plan(
    helpless: Fault, outcome: Outcome, version: str, faults: Faults, victim: Asset
) -> None:
    outcome.cli.set("attempts = 2")
    faults.add(helpless, FACES, containing=victim.id)
    if version == "2.7.2":
        faults.add(fault.null_people(), SEARCH)  # so that 2.x is asked for faces at all
    assert outcome.run(3, helpless.name).json["assets_by_reason"]["faces_error"] == 1
    outcome.heals()


DEAF = [
    (fault.status(500), 1, "the server failed (500"),
    (fault.status(502), 1, "the server failed (502"),
    (fault.status(503), 1, "the server failed (503"),
    (fault.too_many_requests(0), 1, "the server failed (429"),
    (fault.dropped(), 1, "does not answer"),
    (fault.truncated(0.5), 1, "does not answer"),
    (fault.wrong_length(+100), 1, "does not answer"),
    (fault.bad_gzip(), 1, "does not answer"),
    (fault.cut_clean(0.5), 1, "not JSON, though it says so"),
    (fault.html(), 2, "it sent text/html instead of JSON"),
]


@pytest.mark.parametrize(("deaf", "code", "says"), DEAF, ids=named)
def test_a_library_that_cannot_be_listed_ends_the_run(deaf: Fault, code: int, says: str, outcome: Outcome, faults: Faults) -> None:
    outcome.cli.set("attempts = 2")
    faults.add(deaf, SEARCH)
    outcome.ends(code, deaf.name, says=says)


@pytest.mark.parametrize("route", [ME, BUCKETS, BUCKET])
@pytest.mark.parametrize(("deaf", "code", "says"), [DEAF[2], DEAF[-1]], ids=named)
def test_what_a_listing_begins_with_ends_the_run_too(
    route: str, deaf: Fault, code: int, says: str, outcome: Outcome, faults: Faults
) -> None:
    outcome.cli.set("attempts = 2")
    faults.add(deaf, route)
    outcome.ends(code, deaf.name, says=says)


def test_a_server_that_fails_at_everything_is_given_up_at_the_door(outcome: Outcome, faults: Faults) -> None:
    outcome.cli.set("attempts = 2")
    faults.add(fault.dropped())
    outcome.ends(1, "dropped", says="does not answer")


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Another host (another port is another origin), and every request that came to it."""
    told: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.append(f"{self.path}\n{self.headers}")
            self.send_error(404)

        do_POST = do_GET  # noqa: N815 - the base class's way to name verbs

        def log_message(self, *args: object) -> None: ...

    web = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}", told
    web.shutdown()
    thread.join()
    web.server_close()


@pytest.mark.parametrize("route", [ME, BUCKET, SEARCH])
def test_a_redirect_to_another_host_is_refused_and_the_key_stays(
    route: str, outcome: Outcome, faults: Faults, elsewhere: tuple[str, list[str]]
) -> None:
    url, told = elsewhere
    faults.add(fault.redirect(url + "/api/steal"), route)
    answer = outcome.ends(2, "redirect", says="your key is not sent there")
    assert url in answer.err
    assert told == []


def test_originals_that_are_redirected_to_another_host_are_not_fetched_there(
    outcome: Outcome, faults: Faults, victim: Asset, elsewhere: tuple[str, list[str]]
) -> None:
    url, told = elsewhere
    faults.add(fault.redirect(url + "/cdn/photo.jpg"), ORIGINAL, containing=victim.id)
    assert outcome.run(3, "redirect").json["retryable"] == 1
    assert url in outcome.cli("explain", victim.id).out
    assert told == []
    outcome.heals()


@pytest.mark.parametrize("odd", [fault.unknown_fields(), fault.null_people(), fault.zero_sized()], ids=named)
def test_json_that_holds_more_less_or_nothing_changes_nothing(odd: Fault, outcome: Outcome, faults: Faults) -> None:
    faults.add(odd)
    outcome.survives(odd.name)


def test_faces_of_an_unknown_kind_are_faces(outcome: Outcome, version: str, faults: Faults) -> None:
    faults.add(fault.unknown_values(), FACES)
    if version == "2.7.2":
        faults.add(fault.null_people(), SEARCH)
    outcome.survives("unknown values")


def test_assets_of_an_unknown_kind_are_left_aside_and_found_again(outcome: Outcome, faults: Faults) -> None:
    faults.add(fault.unknown_values(), SEARCH)
    answer = outcome.run(0, "unknown values")
    assert answer.json["assets_by_state"] == {"skipped": answer.json["listed"]}
    outcome.heals()


def test_assets_that_are_said_to_be_somebody_elses_are_left_alone_and_found_again(outcome: Outcome, faults: Faults) -> None:
    faults.add(fault.foreign_owner(), SEARCH)
    answer = outcome.run(0, "foreign owner")
    assert answer.json["assets_by_reason"] == {"other_owner": answer.json["listed"]}
    assert outcome.server.count(ORIGINAL) == 0
    assert "contradicts itself" in answer.err
    outcome.heals()


def stranger(library: Library) -> Asset:
    return list(library.assets.values())[-1]


CHANGES: dict[str, Callable[[Library, User], object]] = {
    "deleted": lambda library, _: library.assets.pop(stranger(library).id, None),
    "added": lambda library, anna: add_photos(library, anna, [8], 1),
}


@pytest.mark.parametrize("route", [BUCKET, SEARCH, ORIGINAL])
@pytest.mark.parametrize("change", CHANGES)
def test_a_library_that_changes_while_it_is_read_ends_in_the_same_sets(
    change: str, route: str, outcome: Outcome, library: Library, anna: User, faults: Faults
) -> None:
    faults.add(fault.hook(change, lambda: CHANGES[change](library, anna)), route, times=1)
    outcome.survives(change)
    outcome.heals()
    gone = outcome.cli("list", "assets", "--json").json
    assert len(gone) >= len(library.assets)

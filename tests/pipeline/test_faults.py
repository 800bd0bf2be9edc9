"""Every way in which the testing Immich can misbehave, met by whole runs in both dialects.

A run survives with the same sets, byte for byte, or ends with its exit code and one clear line; and once the server is well again
the same command ends where an undisturbed run ends. Every test sees in the server's own count that the fault happened.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from facesets import pipeline
from facesets.immich import transport
from facesets.progress import Silent
from facesets.testing import Asset, Fault, Faults, ImmichServer, Library, User, immich_server
from facesets.testing import faults as fault
from facesets.testing.immich.routing import json_response
from facesets.testing.immich.transport import Response
from facesets.workspace import Workspace

from .world import Answer, CommandLine, add_photos, boxes, configure, jpeg, put, tree

VERSION, ME = "GET /api/server/version", "GET /api/users/me"
BUCKETS, BUCKET, STATISTICS = "GET /api/timeline/buckets", "GET /api/timeline/bucket", "GET /api/assets/statistics"
SEARCH, FACES, ORIGINAL = "POST /api/search/metadata", "GET /api/faces", "GET /api/assets/{id}/original"
ROUTES = (VERSION, ME, BUCKETS, BUCKET, STATISTICS, SEARCH, FACES, ORIGINAL)
MEMBERS = 3  # photos of each of two people: as many as a set needs here


def people() -> Library:
    """Two people in three photos each, one of these in an external library, and two strangers seen once."""
    library = Library()
    anna = library.user("anna")
    add_photos(library, anna, [1], MEMBERS)
    add_photos(library, anna, [2], MEMBERS - 1)
    data, disk = jpeg([2], 2222), library.external(anna)
    library.photo(anna, data=data, file_name="disk.jpg", taken_at="2021-05-05T12:00:00Z", faces=boxes([2]), library=disk)
    for stranger in (8, 9):
        add_photos(library, anna, [stranger], 1)
    return library


def small(workspace: Path) -> None:
    """Sets of few faces, and pages of few photos."""
    for line in (f"min_faces = {MEMBERS}", f"min_photos = {MEMBERS}", "page_size = 4", "timeout = 10.0"):
        put(workspace, line)


@pytest.fixture(scope="module")
def undisturbed(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The sets of a run that nothing disturbs."""
    root = tmp_path_factory.mktemp("undisturbed") / "w"
    Workspace.init(root)
    configure(root, pack)
    small(root)
    with immich_server(people(), "2.7.2") as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMMICH_URL", server.url)
        patch.setenv("IMMICH_API_KEY", server.key_for("anna"))
        pipeline.run(Workspace.open(root), ["anna"], progress=Silent())
    sets = tree(root / "facesets")
    assert {path.split("/")[0] for path in sets} == {"faceset_001", "faceset_002", "manifest.json"}
    return sets


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
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
def external(library: Library) -> Asset:
    return next(asset for asset in library.assets.values() if asset.library_id)


@pytest.fixture
def server(library: Library, version: str, faults: Faults) -> Iterator[ImmichServer]:
    with immich_server(library, version, faults=faults) as running:
        yield running


@pytest.fixture
def cli(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setattr(transport, "_FIRST_PAUSE", 0.02)
    small(cli.workspace)
    return cli


class Outcome:
    """What runs come to, held to what is true of every run."""

    def __init__(self, cli: CommandLine, server: ImmichServer, undisturbed: dict[str, str]) -> None:
        self.cli, self.server, self.undisturbed = cli, server, undisturbed

    def run(self, code: int, *struck: Fault) -> Answer:
        """A run that ends with ``code``, and that each of these faults struck."""
        before = self.server.faults.counts.copy()
        answer = self.cli("run", "--user", "anna", "--json")
        assert answer.code == code, answer.err + self.cli("list", "assets", "--state", "retry").out
        for one in struck:
            assert self.server.faults.counts[one.name] > before[one.name], one.name
        assert self.server.key_for("anna") not in answer.out + answer.err
        summary = answer.json
        if code == 0 or "listed" in summary:  # a server that went away while it listed leaves no summary
            assert summary["listed"] + summary["assets_by_reason"].get("gone", 0) == sum(summary["assets_by_state"].values())
        return answer

    def survives(self, *struck: Fault) -> Answer:
        """A run that ends as if undisturbed."""
        answer = self.run(0, *struck)
        assert self.sets == self.undisturbed
        return answer

    def ends(self, code: int, *struck: Fault, says: str) -> Answer:
        """A run that ends with ``code`` and one line that says so, and writes no set."""
        answer = self.run(code, *struck)
        assert says in answer.line
        assert len(answer.line) < 500
        assert self.sets == {}
        return answer

    def heals(self) -> Answer:
        """The same command, once the server is well again."""
        self.server.faults.clear()
        return self.survives()

    @property
    def sets(self) -> dict[str, str]:
        return tree(self.cli.workspace / "facesets")


@pytest.fixture
def outcome(cli: CommandLine, server: ImmichServer, undisturbed: dict[str, str]) -> Outcome:
    return Outcome(cli, server, undisturbed)


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


def names(value: object) -> str:
    return " ".join(one.name for one in value) if isinstance(value, tuple) else str(value)


PASSING = [
    (fault.status(500), fault.status(502), fault.status(503), fault.too_many_requests(0)),
    (fault.dropped(), fault.dropped(reset=True), fault.closed_after()),
    (fault.truncated(0.5), fault.truncated(0.5, reset=True), fault.wrong_length(+100)),
    (fault.bad_gzip(), fault.overlong()),
]


@pytest.mark.parametrize("passing", PASSING, ids=names)
def test_what_fails_for_a_while_on_every_route_changes_nothing(passing: tuple[Fault, ...], outcome: Outcome, faults: Faults) -> None:
    faults.add(passing[0], VERSION, times=1)  # the first look is not as patient as what follows
    for route in ROUTES[1:]:
        faults.script(route, passing)
    outcome.survives(*passing)
    asked = [route for route in ROUTES if outcome.server.count(route)]
    assert {*ROUTES} - {*asked} <= {FACES}  # 2.x tells them in its listing
    assert faults.counts == Counter(one.name for one in passing for _ in asked[1:]) + Counter({passing[0].name: 1})


@pytest.mark.parametrize("slow", [fault.slow(0.05), fault.slow(0.0, 0.1)], ids=["fixed", "drawn"])
def test_latency_changes_nothing(slow: Fault, outcome: Outcome, faults: Faults) -> None:
    faults.add(slow)
    outcome.survives(slow)


def test_a_server_that_asks_for_patience_gets_it(outcome: Outcome, faults: Faults, victim: Asset) -> None:
    busy = fault.too_many_requests(1)
    faults.add(busy, SEARCH, times=1).add(busy, ORIGINAL, containing=victim.id, times=1)
    outcome.survives(busy)
    assert faults.counts[busy.name] == 2  # who does not wait is refused no oftener; how long is waited is the client's own test


def test_an_answer_that_stalls_is_given_up_and_asked_for_again(outcome: Outcome, faults: Faults, victim: Asset) -> None:
    settings = outcome.cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace("timeout = 10.0", "timeout = 0.8"))
    stalled = fault.stalled(600, after=5000)
    faults.add(stalled, SEARCH, times=1).add(stalled, ORIGINAL, containing=victim.id, times=1)
    outcome.survives(stalled)
    assert faults.counts[stalled.name] == 2


def test_a_restart_under_a_request_is_waited_for(outcome: Outcome, faults: Faults, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_FIRST_PAUSE", 0.2)  # a busy machine takes its time to open a port again
    restarting = fault.restarting(0.1)
    for route in (BUCKET, SEARCH, ORIGINAL):
        faults.add(restarting, route, times=1)
    outcome.survives(restarting)
    assert faults.counts[restarting.name] == 3


def test_connections_that_end_in_idleness_are_made_anew(
    library: Library, version: str, cli: CommandLine, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Faults().add(fault.slow(0.3), BUCKET, times=1)
    with immich_server(library, version, faults=slow, keep_alive=0.1) as impatient:
        monkeypatch.setenv("IMMICH_URL", impatient.url)
        Outcome(cli, impatient, undisturbed).survives(fault.slow(0.3))
    assert slow.counts["idle closed"]


FALSE_BYTES = [
    (fault.truncated(0.7), "does not answer"),
    (fault.wrong_length(+100), "does not answer"),
    (fault.bad_gzip(), "does not answer"),
    (fault.cut_clean(0.5), "SHA-1"),
    (fault.padded(), "SHA-1"),
    (fault.swapped(jpeg([3], 1)), "SHA-1"),
]


def test_bytes_that_are_not_the_photos_are_fetched_again(outcome: Outcome, library: Library, faults: Faults, external: Asset) -> None:
    sound = (asset for asset in library.assets.values() if asset is not external)
    for false, asset in zip([*(one for one, _ in FALSE_BYTES), fault.wrong_length(-10)], sound, strict=True):
        faults.add(false, ORIGINAL, containing=asset.id, times=1)
    faults.add(shorter := fault.cut_clean(0.7), ORIGINAL, containing=external.id, times=1)  # of which the size alone is known
    outcome.survives(shorter)
    assert faults.counts.total() == len(library.assets)


HELPLESS = [
    (fault.status(500), "500"),
    (fault.status(502), "502"),
    (fault.status(503), "503"),
    (fault.too_many_requests(0), "429"),
    (fault.dropped(), "does not answer"),
    (fault.html(), "a web page came instead"),
    *FALSE_BYTES,
]


def test_photos_that_do_not_come_stop_the_run_before_the_plan(
    outcome: Outcome, library: Library, anna: User, faults: Faults, elsewhere: tuple[str, list[str]]
) -> None:
    url, told = elsewhere
    outcome.cli.set("attempts = 3")
    for stranger in range(30, 30 + len(HELPLESS)):
        add_photos(library, anna, [stranger], 1)
    helpless = [*HELPLESS, (fault.redirect(url + "/cdn/photo.jpg"), url)]
    struck = dict(zip(library.assets, helpless, strict=False))
    for asset_id, (one, _) in struck.items():
        faults.add(one, ORIGINAL, containing=asset_id)
    answer = outcome.ends(3, *(one for one, _ in helpless), says=f"{len(helpless)} photos could not be fetched")
    assert answer.json["assets_by_reason"]["download_error"] == answer.json["retryable"] == len(helpless)
    listed = {row["asset_id"]: row["detail"] for row in outcome.cli("list", "assets", "--state", "retry", "--json").json}
    for asset_id, (one, why) in struck.items():
        assert why in listed[asset_id], one.name
    assert told == []  # neither request nor key went to the other host
    faults.clear()
    victim = next(iter(library.assets))  # alone, since the bytes that nobody waits for meet the next request of that connection
    faults.add(shorter := fault.wrong_length(-10), ORIGINAL, containing=victim)
    assert outcome.ends(3, shorter, says="1 photo could not be fetched").json["downloads"] == len(helpless) - 1
    assert outcome.heals().json["downloads"] == 1


def test_faces_that_cannot_be_asked_stop_the_run_before_the_plan(
    outcome: Outcome, version: str, library: Library, faults: Faults, elsewhere: tuple[str, list[str]]
) -> None:
    url, told = elsewhere
    outcome.cli.set("attempts = 2")
    helpless = [
        fault.status(503), fault.dropped(), fault.html(), fault.cut_clean(0.5), fault.bad_gzip(), fault.redirect(f"{url}/api/faces")
    ]  # fmt: skip
    for asset_id, one in zip(library.assets, helpless, strict=False):
        faults.add(one, FACES, containing=asset_id)
    if version == "2.7.2":
        faults.add(fault.null_people(), SEARCH)  # so that it is asked for faces at all
    answer = outcome.ends(3, *helpless, says=f"{len(helpless)} photos could not be fetched")
    assert answer.json["assets_by_reason"]["faces_error"] == len(helpless)
    assert told == []
    outcome.heals()


DEEP = Response(200, {"Content-Type": "application/json"}, b"[" * 100_000)  # deeper than Python's parser goes
SILENT = [
    (fault.status(500), 1, "the server failed (500"),
    (fault.status(502), 1, "the server failed (502"),
    (fault.status(503), 1, "the server failed (503"),
    (fault.too_many_requests(0), 1, "the server failed (429"),
    (fault.dropped(), 1, "does not answer"),
    (fault.truncated(0.5), 1, "does not answer"),
    (fault.wrong_length(+100), 1, "does not answer"),
    (fault.bad_gzip(), 1, "does not answer"),
    (fault.cut_clean(0.5), 1, "not JSON, though it says so"),
    (fault.html(), 2, "a web page came instead"),
    (Fault("deep", answer=lambda _: DEEP), 1, "not JSON, though it says so"),
]


def test_a_library_that_cannot_be_listed_ends_the_run(outcome: Outcome, faults: Faults) -> None:
    outcome.cli.set("attempts = 2")
    routes = {BUCKETS: SILENT[-2:], BUCKET: SILENT[-2:], SEARCH: SILENT, ME: SILENT[-2:], VERSION: SILENT[2:3], "*": SILENT[2:5]}
    for route, cases in routes.items():
        for silent, code, says in cases:
            faults.clear()
            faults.add(silent, route)
            went_away = route == SEARCH and code == 1 and "not JSON" not in says  # it had answered before
            outcome.ends(3 if went_away else code, silent, says=says)
    assert outcome.server.count(ORIGINAL) == 0
    outcome.heals()


def test_a_redirect_to_another_host_is_refused_and_the_key_stays(
    outcome: Outcome, faults: Faults, elsewhere: tuple[str, list[str]]
) -> None:
    url, told = elsewhere
    for route in (VERSION, ME, BUCKET, SEARCH):
        faults.clear()
        faults.add(away := fault.redirect(url + "/api/steal"), route)
        assert url in outcome.ends(2, away, says="your key is not sent there").line
    assert told == []
    outcome.heals()


@pytest.mark.parametrize("odd", [fault.unknown_fields(), fault.null_people(), fault.zero_sized()], ids=lambda odd: odd.name)
def test_json_that_holds_more_less_or_nothing_changes_nothing(odd: Fault, outcome: Outcome, faults: Faults) -> None:
    faults.add(odd)
    outcome.survives(odd)


def test_faces_of_an_unknown_kind_are_faces(outcome: Outcome, version: str, faults: Faults) -> None:
    faults.add(unknown := fault.unknown_values(), FACES)
    if version == "2.7.2":
        faults.add(fault.null_people(), SEARCH)
    outcome.survives(unknown)


def test_assets_of_an_unknown_kind_are_left_aside_and_found_again(outcome: Outcome, faults: Faults) -> None:
    faults.add(unknown := fault.unknown_values(), SEARCH)
    answer = outcome.run(0, unknown)
    assert answer.json["assets_by_state"] == {"skipped": answer.json["listed"]}
    assert outcome.sets == {}
    outcome.heals()


def test_assets_that_are_said_to_be_somebody_elses_are_left_alone_and_found_again(outcome: Outcome, faults: Faults) -> None:
    faults.add(foreign := fault.foreign_owner(), SEARCH)
    answer = outcome.run(0, foreign)
    assert answer.json["assets_by_reason"] == {"other_owner": answer.json["listed"]}
    assert "contradicts itself" in answer.err
    assert outcome.server.count(ORIGINAL) == 0
    outcome.heals()


def test_a_library_that_changes_while_it_is_read_ends_in_the_same_sets(
    outcome: Outcome, library: Library, anna: User, faults: Faults
) -> None:
    passers_by = [number for number, _ in enumerate((BUCKET, SEARCH, ORIGINAL), 50)]
    for number in passers_by:
        add_photos(library, anna, [number], 1)
    changes = []
    for route, passer_by in zip((BUCKET, SEARCH, ORIGINAL), passers_by, strict=True):
        changes.append(fault.hook(f"changed at {route}", partial(_replace, library, anna, f"p{passer_by}_0.jpg", passer_by + 10)))
        faults.add(changes[-1], route, times=1)
    outcome.survives(*changes)
    outcome.heals()
    states = {row["asset_id"]: row["state"] for row in outcome.cli("list", "assets", "--json").json}
    assert {states.pop(asset_id) for asset_id in library.assets} == {"done"}
    assert {*states.values()} <= {"skipped", "done", "gone"}


def _replace(library: Library, anna: User, name: str, newcomer: int) -> None:
    """Delete the photo of this name, and add one of a person not seen before."""
    library.assets.pop(next(asset.id for asset in library.assets.values() if asset.file_name == name))
    add_photos(library, anna, [newcomer], 1)


@pytest.mark.parametrize("announced", ["1.90.2", "4.2.0", "nonsense"])
def test_another_version_than_those_known_is_told(
    announced: str, cli: CommandLine, library: Library, undisturbed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nonsense = {"message": "Hello", "major": "two"}
    trouble = Faults()
    if announced == "nonsense":
        trouble.add(fault.Fault("nonsense", answer=lambda _: json_response(nonsense)), VERSION)
    with immich_server(library, "2.7.2" if announced == "nonsense" else announced, faults=trouble) as other:
        monkeypatch.setenv("IMMICH_URL", other.url)
        outcome = Outcome(cli, other, undisturbed)
        if announced == "1.90.2":
            outcome.ends(2, says="is Immich 1.90.2, which is too old: facesets speaks with Immich 2.x and 3.x")
        elif announced == "nonsense":
            outcome.ends(2, says="does not answer as Immich: server version: 'major' is str")
            assert trouble.counts["nonsense"]
        else:
            assert "The server is Immich 4.2.0, newer than this facesets knows" in outcome.survives().err
            assert "newer" not in outcome.survives().err  # once

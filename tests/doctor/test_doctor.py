"""What the doctor says of servers, keys and libraries in every dialect, and that it asks for little and changes nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from benchmarks.synthetic import SyntheticLibrary

from facesets import connections
from facesets.doctor import FEATURES
from facesets.doctor.server import clock, tls
from facesets.immich import Client
from facesets.settings import Settings
from facesets.testing import Box, Fault, Faults, ImmichServer, Library, User, faults, immich_server
from tests.immich.photos import BIG, photo
from tests.pipeline.world import CommandLine, tree

READING = [
    *("asset.read", "asset.download", "asset.view", "asset.statistics", "asset.edit.get", "face.read", "person.read", "user.read")
]
ORIGINAL = "GET /api/assets/{id}/original"


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
def anna(library: Library) -> User:
    return library.user("anna")


@pytest.fixture
def trouble() -> Faults:
    return Faults()


@pytest.fixture(params=["2.7.2", "3.1.0", "3.2.2"])
def server(request: pytest.FixtureRequest, library: Library, trouble: Faults) -> Iterator[ImmichServer]:
    with immich_server(library, request.param, faults=trouble) as running:
        yield running


@pytest.fixture
def cli(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server: ImmichServer, anna: User
) -> CommandLine:
    monkeypatch.setenv("IMMICH_URL", server.url)
    monkeypatch.setenv("IMMICH_API_KEY", server.key_for(anna))
    cli = CommandLine(tmp_path / "w", capsys)
    assert cli("init").code == 0
    return cli


def said(document: dict[str, Any], level: str) -> str:
    return "\n".join(f"{one['what']} -> {one['fix']}" for one in document["findings"] if one["level"] == level)


def facts(document: dict[str, Any], name: str) -> Any:
    (found,) = (one["facts"][name] for one in document["findings"] if name in one["facts"])
    return found


def test_a_server_and_key_in_order_are_said_to_be(
    cli: CommandLine, library: Library, anna: User, server: ImmichServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", library.key(anna, READING).secret)
    library.photo(anna, photo(1), faces=[BIG])
    before = tree(cli.workspace)
    answer = cli("doctor", "--json")
    assert answer.code == 0, answer.out
    assert answer.json["ok"]
    fine = said(answer.json, "ok")
    for part in (f"Immich {server.dialect.version}", "'anna'", anna.id, "run and stage: permitted", "clock agrees", "face boxes"):
        assert part in fine
    assert "lacks " not in answer.out
    assert "tick" not in said(answer.json, "note")
    after = tree(cli.workspace)
    assert {path: after[path] for path in before if not path.startswith("registry")} == {
        path: digest for path, digest in before.items() if not path.startswith("registry")
    }


def test_what_a_key_lacks_is_named_with_what_to_tick(
    cli: CommandLine, library: Library, anna: User, server: ImmichServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", library.key(anna, ["asset.read", "user.read"]).secret)
    answer = cli("doctor", "--json")
    assert (answer.code, answer.json["ok"]) == (1, False)
    assert "lacks asset.download, face.read" in said(answer.json, "problem")
    assert "asset.view" in said(answer.json, "note")
    wanted = sorted({*READING} - {"asset.read", "user.read"})
    assert facts(answer.json, "tick") == wanted
    assert f"Account settings > API Keys > edit this key, and tick: {', '.join(wanted)}" in said(answer.json, "note")
    assert facts(answer.json, "least") == sorted(READING)
    assert f"and tick: {', '.join(wanted)}" in cli("doctor", "--no-sample").out


def test_a_key_that_may_do_everything_is_told_how_to_be_less(cli: CommandLine, server: ImmichServer) -> None:
    notes = said(cli("doctor", "--json").json, "note")
    assert "may do everything" in notes
    for permission in READING:
        assert permission in notes


def test_wrong_keys_and_other_peoples_keys_are_problems_of_their_user(
    cli: CommandLine, library: Library, server: ImmichServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = library.user("bob")
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace("[users]", f'[users]\ncarl = "{bob.id}"\n', 1))
    monkeypatch.setenv("IMMICH_API_KEY_DORA", "no key of anybody's")
    answer = cli("doctor", "--user", "carl", "--user", "dora", "--json")
    assert answer.code == 1
    problems = said(answer.json, "problem")
    assert f"belongs to 'anna' ({next(iter(library.users))}), and carl is {bob.id}" in problems
    assert "does not accept the API key" in problems
    assert "no key of anybody's" not in answer.out + answer.err


def test_a_server_that_is_none_or_gone_is_one_problem_with_its_reason(
    cli: CommandLine, server: ImmichServer, trouble: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble.add(faults.html())
    assert "does not answer as Immich" in said(cli("doctor", "--json").json, "problem")
    monkeypatch.setenv("IMMICH_URL", "http://127.0.0.1:9")
    answer = cli("doctor", "--json")
    assert (answer.code, "does not answer" in said(answer.json, "problem")) == (1, True)


def test_without_an_address_it_says_how_to_give_one(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMMICH_URL")
    settings = cli.workspace / "facesets.toml"
    settings.write_text(settings.read_text().replace("url =", "# url ="))
    answer = cli("doctor", "--json")
    assert "IMMICH_URL" in said(answer.json, "note")


@pytest.mark.parametrize(("seconds", "level", "what"), [(5, "ok", "agrees"), (3600, "note", "ahead of"), (-3600, "note", "behind")])
def test_a_clock_that_is_off_is_said(anna: User, server: ImmichServer, seconds: float, level: str, what: str) -> None:
    with Client(server.url + "/api", server.key_for(anna)) as client:
        client.get("/server/ping")
        assert client.server_time is not None
        client.server_time += timedelta(seconds=seconds)
        (found,) = clock(client)
    assert (found.level, what in found.what) == (level, True)
    assert found.facts["skew_s"] == pytest.approx(seconds, abs=3)


@pytest.mark.parametrize(
    ("address", "level", "what"),
    [
        ("https://photos.example.org", "ok", "verified against the system's authorities"),
        ("http://photos.example.org", "note", "readable for everybody in between"),
        ("http://8.8.8.8:2283", "note", "readable for everybody in between"),
        ("http://192.168.1.5:2283", "", ""),  # at home there is nobody in between
        ("http://nas.local:2283", "", ""),
        ("http://immich:2283", "", ""),
    ],
)
def test_how_safely_the_key_travels_is_said(address: str, level: str, what: str) -> None:
    told = tls(connections.address(address), Settings())
    assert [(one.level, what in one.what) for one in told] == ([(level, True)] if level else [])


def test_an_own_authority_is_named(cli: CommandLine, server: ImmichServer) -> None:
    own = replace(Settings().immich, ca_file="/etc/ours.pem")
    (told,) = tls(connections.address("https://nas.local"), replace(Settings(), immich=own))
    assert (told.level, "/etc/ours.pem" in told.what) == ("ok", True)


@pytest.mark.slow
def test_each_feature_says_what_the_key_lacks_for_it(
    cli: CommandLine, library: Library, anna: User, server: ImmichServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for feature in FEATURES:
        asked = () if feature.by_default else ("--for", feature.name)
        for lacking in feature.needs[-2:]:
            others = {name for one in FEATURES for name in one.needs} - {lacking}
            monkeypatch.setenv("IMMICH_API_KEY", library.key(anna, sorted(others)).secret)
            answer = cli("doctor", "--no-sample", "--json", *asked)
            told = {one["facts"]["feature"]: one for one in answer.json["findings"] if "feature" in one["facts"]}
            assert set(told) == {one.name for one in FEATURES if one.by_default} | {feature.name}
            assert told[feature.name]["facts"]["lacks"] == [lacking]
            assert (told[feature.name]["level"] == "problem") == (not feature.by_default or feature.name == "run")
            assert (answer.code == 1) == (lacking in FEATURES[0].needs or not feature.by_default)
            assert facts(answer.json, "tick") == [lacking]


def test_a_dump_from_the_server_is_asked_for_by_the_settings(
    cli: CommandLine, library: Library, anna: User, server: ImmichServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMMICH_API_KEY", library.key(anna, READING).secret)
    monkeypatch.setenv("IMMICH_DUMP", "server")
    assert facts(cli("doctor", "--no-sample", "--json").json, "tick") == ["backup.download", "maintenance"]


def test_whoever_is_no_administrator_is_not_told_that_a_tick_would_get_the_dump(
    cli: CommandLine, library: Library, server: ImmichServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben = library.user("ben")
    for permissions in (["all"], READING):
        monkeypatch.setenv("IMMICH_API_KEY_BEN", library.key(ben, permissions).secret)
        answer = cli("doctor", "--user", "ben", "--no-sample", "--json", "--for", "dump")
        (told,) = (one for one in answer.json["findings"] if one["facts"].get("feature") == "dump")
        assert (answer.code, told["level"], "'ben' is no administrator" in told["what"]) == (1, "problem", True)
        lists = [name for one in answer.json["findings"] for what in ("tick", "least") for name in one["facts"].get(what, ())]
        assert lists.count("maintenance") == lists.count("backup.download") == 0


@pytest.mark.parametrize("version", ["2.7.2", "3.1.0"])
def test_every_permission_that_is_named_is_one_of_immichs(shared: Path, version: str) -> None:
    document = json.loads((shared / "immich" / f"openapi-{version}.json").read_text())
    known = set(document["components"]["schemas"]["Permission"]["enum"])
    assert {name for one in FEATURES for name in one.needs} <= known
    routes = {
        "run": [("/search/metadata", "post"), ("/timeline/buckets", "get"), ("/faces", "get"), ("/assets/{id}/original", "get")],
        "previews": [("/assets/{id}/thumbnail", "get")],
        "edits": [("/assets/{id}/edits", "get")],
        "names": [("/people", "get")],
        "proof": [("/assets/statistics", "get")],
        "dump": [("/admin/database-backups", "get"), ("/admin/database-backups/{filename}", "get")],
        "publish-names": [("/people/{id}", "put"), ("/people/{id}/statistics", "get")],
        "publish-faces": [("/people", "post"), ("/faces/{id}", "put")],
        "publish-new-faces": [("/faces", "post")],
        "publish-albums": [("/albums", "get"), ("/albums", "post"), ("/albums/{id}/assets", "put"), ("/albums/{id}/assets", "delete")],
        "publish-tags": [("/tags", "get"), ("/tags", "put"), ("/tags/assets", "put")],
        "undo-faces": [("/faces/{id}", "put"), ("/faces/{id}", "delete"), ("/people/{id}", "delete")],
        "undo-albums": [("/albums/{id}", "delete")],
        "undo-tags": [("/tags/{id}/assets", "delete"), ("/tags/{id}", "delete")],
    }
    for feature in FEATURES:
        wanted = {document["paths"][path][method]["x-immich-permission"] for path, method in routes[feature.name]}
        assert wanted <= set(feature.needs), feature.name


def test_a_label_that_is_somebody_else_here_is_said_before_a_run(
    cli: CommandLine, library: Library, server: ImmichServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("stage", "--user", "me").code == 0
    monkeypatch.setenv("IMMICH_API_KEY", server.key_for(library.user("bob")))
    answer = cli("doctor", "--no-sample", "--json")
    assert (answer.code, "and me is" in said(answer.json, "problem"), "--new-server" in said(answer.json, "problem")) == (1, True, True)


def test_junk_is_told_as_a_share(cli: CommandLine, library: Library, anna: User, server: ImmichServer) -> None:
    external = library.external(anna)
    for number in range(20):
        junk = number % 4 == 0
        library.photo(anna, photo(number), library=external if junk else None, file_name=f"{'thumbs/' if junk else ''}{number}.jpg")
    document = cli("doctor", "--json").json
    assert (facts(document, "junk_share"), facts(document, "external_share")) == (0.25, 0.25)
    assert "exclusion pattern" in said(document, "note")


@pytest.mark.slow
def test_the_estimate_is_near_what_a_run_then_costs(cli: CommandLine, library: Library, anna: User, server: ImmichServer) -> None:
    for number in range(300):
        faces = [[BIG], [Box(10, 10, 40, 40)], []][number % 3]
        library.photo(anna, photo(number), faces=faces)
    document = cli("doctor", "--json").json
    asked = sum(server.requests.values())
    server.requests.clear()
    assert cli("stage", "--user", "me").code == 0
    really = server.count(ORIGINAL)
    assert facts(document, "assets") == 300
    assert facts(document, "photos") == pytest.approx(really, rel=0.35)
    assert facts(document, "bytes") == pytest.approx(really * len(photo(1)), rel=0.4)
    assert facts(document, "requests") == pytest.approx(sum(server.requests.values()), rel=0.4)
    assert facts(document, "seconds") > 0
    assert asked < 100


@pytest.mark.slow
def test_a_large_library_costs_the_doctor_no_more(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    large = SyntheticLibrary(20_000)
    with immich_server(large, "3.1.0") as other:
        monkeypatch.setenv("IMMICH_URL", other.url)
        monkeypatch.setenv("IMMICH_API_KEY", other.key_for(large.owner))
        document = cli("doctor", "--json").json
        assert facts(document, "assets") == 20_000
        assert facts(document, "photos") == pytest.approx(10_000, rel=0.4)
        assert sum(other.requests.values()) < 100


def test_it_is_told_in_lines_with_a_verdict(cli: CommandLine, server: ImmichServer) -> None:
    answer = cli("doctor", "--no-sample")
    assert answer.code == 0
    assert "Nothing stands in the way of a run" in answer.out
    assert "user me" in answer.out
    assert json.loads(cli("doctor", "--no-sample", "--json").out)["problems"] == 0


def test_a_user_with_a_login_alone_is_no_problem(
    cli: CommandLine, server: ImmichServer, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(anna.password + "\n"))
    assert cli("login", "--user", "anna", "--email", anna.email, "--password-stdin").code == 0
    monkeypatch.delenv("IMMICH_API_KEY")
    answer = cli("doctor", "--json")
    assert answer.code == 0, answer.out
    assert "the login belongs to 'anna'" in said(answer.json, "ok")
    assert "key" not in said(answer.json, "problem")


def test_everybody_with_a_key_of_their_own_is_looked_at_and_nobody_else(
    cli: CommandLine, library: Library, server: ImmichServer, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMMICH_API_KEY")
    monkeypatch.setenv("IMMICH_API_KEY_ANNA", server.key_for(anna))
    monkeypatch.setenv("IMMICH_API_KEY_BOB", server.key_for(library.user("bob")))
    answer = cli("doctor", "--json", "--no-sample")
    assert answer.code == 0, answer.out
    assert {one["part"] for one in answer.json["findings"] if one["part"].startswith("user ")} == {"user anna", "user bob"}


@pytest.mark.slow
@pytest.mark.parametrize("trap", [faults.html(), faults.dropped()], ids=["page", "dropped"])
@pytest.mark.parametrize("route", ["POST /api/search/metadata", "GET /api/timeline/buckets", "GET /api/server/ping", ORIGINAL])
def test_what_a_run_needs_and_does_not_get_is_no_all_clear(
    route: str, trap: Fault, cli: CommandLine, library: Library, anna: User, server: ImmichServer, trouble: Faults
) -> None:
    library.photo(anna, photo(1), faces=[BIG])
    trouble.add(trap, route)
    cli.set("attempts = 1")
    answer = cli("doctor", "--json")
    assert (answer.code, answer.json["ok"]) == (1, False), answer.out
    assert ("a web page came" if trap.name == "html" else "does not answer") in said(answer.json, "problem")
    assert cli("doctor").out.splitlines()[-1] == "1 problem to fix, then look again."

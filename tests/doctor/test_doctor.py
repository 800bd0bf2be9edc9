"""What the doctor says of servers, keys and libraries in every dialect, and that it asks for little and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from facesets import connections
from facesets.doctor.server import NEEDS, clock, tls
from facesets.immich import Client
from facesets.settings import Settings
from facesets.testing import Box, Faults, ImmichServer, Library, SyntheticLibrary, User, faults, immich_server

from ..immich.photos import BIG, photo
from ..pipeline.world import CommandLine, tree

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
    for part in (f"Immich {server.dialect.version}", "'anna'", anna.id, "run and stage: permitted", "clock agrees", "dialect"):
        assert part in fine
    assert "writing back people: lacks person.create" in said(answer.json, "note")
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
    assert "API keys" in said(answer.json, "problem")
    assert "asset.view" in said(answer.json, "note")


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


def test_each_feature_says_what_the_key_lacks_for_it(
    cli: CommandLine, library: Library, anna: User, server: ImmichServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for feature, needs in NEEDS.items():
        for lacking in needs:
            others = {name for names in NEEDS.values() for name in names} - {lacking}
            monkeypatch.setenv("IMMICH_API_KEY", library.key(anna, sorted(others)).secret)
            findings = cli("doctor", "--no-sample", "--json").json["findings"]
            (told,) = (one for one in findings if one["what"].startswith(f"{feature}:"))
            assert (told["facts"]["lacks"], told["level"] == "ok") == ([lacking], False)


def test_junk_is_told_as_a_share(cli: CommandLine, library: Library, anna: User, server: ImmichServer) -> None:
    external = library.external(anna)
    for number in range(20):
        junk = number % 4 == 0
        library.photo(anna, photo(number), library=external if junk else None, file_name=f"{'thumbs/' if junk else ''}{number}.jpg")
    document = cli("doctor", "--json").json
    assert (facts(document, "junk_share"), facts(document, "external_share")) == (0.25, 0.25)
    assert "exclusion pattern" in said(document, "note")


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
    assert "nothing stands in the way of a run" in answer.out
    assert "user me" in answer.out
    assert json.loads(cli("doctor", "--no-sample", "--json").out)["problems"] == 0

"""The testing Immich written to as two real ones were: every recorded write asked again, in the order in which it was done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from facesets.testing import immich_server
from tests.real.immich_contract import Reply
from tests.real.immich_openapi import Document
from tests.real.immich_writes import World

VERSIONS = ("2.7.2", "3.1.0")
EXCUSED: dict[str, str] = json.loads((Path(__file__).parent / "immich_writes_excused.json").read_text())


@pytest.fixture(scope="module", params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def replies(version: str, shared: Path) -> list[Reply]:
    world = World(shared / "immich" / "recorded-write" / version)
    with immich_server(world.library, version) as server:
        return list(world.replay(server))


def test_recorded_writes_come_out_the_same(replies: list[Reply], version: str, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {r.recording.name: r.differences[:5] for r in replies if r.differences and r.recording.name not in EXCUSED}
    reproduced = [r for r in replies if not r.differences]
    exact = [r for r in reproduced if not r.values]
    with capsys.disabled():
        print(
            f"\n{version}: {len(replies)} writes asked again, {len(reproduced)} agree in status, headers, keys and types "
            f"({len(exact)} of them in every value), {len(replies) - len(reproduced) - len(wrong)} excused"
        )
    assert not wrong
    assert len(replies) >= 220


def test_what_is_excused_is_short_and_reasoned(replies: list[Reply]) -> None:
    assert len(EXCUSED) <= 0.02 * len(replies)
    assert all(len(reason) > 20 for reason in EXCUSED.values())
    assert set(EXCUSED) <= {r.recording.name for r in replies}


def test_refusals_say_the_same_words(replies: list[Reply]) -> None:
    refused = [r for r in replies if r.recording.status >= 400 and r.recording.name not in EXCUSED]
    assert [(r.recording.name, r.values) for r in refused if any("correlationId" not in v for v in r.values)] == []
    assert len(refused) > 55


def test_answers_to_writes_keep_to_the_api_document(replies: list[Reply], version: str, shared: Path) -> None:
    document = Document(shared / "immich" / f"openapi-{version}.json")
    checked, wrong = 0, {}
    for reply in replies:
        one = reply.recording
        if reply.response.status_code >= 300 or not isinstance(reply.body, dict | list):
            continue
        checked += 1
        ours = document.problems(one.method, one.path, one.status, reply.body)
        theirs = document.problems(one.method, one.path, one.status, one.answer)  # where both depart, the document is wrong
        if extra := sorted(set(ours) - set(theirs)):
            wrong[one.name] = extra
    assert not wrong
    assert checked > 90

"""Decide in a real browser, what happened, and how far a run is."""

from __future__ import annotations

import http.client
import json
import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from facesets import people as acts
from facesets.progress import ProgressFile, Silent
from facesets.records import Reason
from facesets.registry import Registry, decisions, people, runs, sets
from facesets.review import questions
from facesets.workspace import Workspace
from tests.review.home import Served, decided

ONE, TWO, THREE = "faceset_001", "faceset_002", "faceset_003"
TITLE = "#question h2"


@pytest.fixture
def doubts(registry: Registry) -> list[str]:
    """Two likely faces of the first set, and a second set that looks like the first; ids of the two."""
    keys = [key for _, key, _ in sets.members(registry, TWO)][:2]
    registry.db.execute("UPDATE centroids SET vector = (SELECT vector FROM centroids WHERE person_id = 1) WHERE person_id = 3")
    with registry.transaction():
        for at, key in enumerate(keys):
            sets.remove_member(registry, key)
            people.give(registry, key, 1, Reason.LIKELY, 0.5 + at / 10)
    return keys


def test_a_practised_hand_decides_by_keys_alone_and_takes_back_what_was_wrong(tab: Page, doubts: list[str], registry: Registry) -> None:
    tab.goto("/decide")
    expect(tab.locator(TITLE)).to_have_text("Are these two one person?")
    tab.keyboard.press("n")
    expect(tab.locator(TITLE)).to_have_text(f"Is this {ONE}?")
    expect(tab.locator("#question .why")).to_contain_text("0.50 away")
    tab.keyboard.press("y")
    expect(tab.locator("#question .why")).to_contain_text("0.60 away")
    tab.keyboard.press("n")
    expect(tab.locator("#question [data-done]")).to_be_visible()
    assert decided(registry) == ["distinct", "confirm", "reject"]
    tab.keyboard.press("z")
    expect(tab.locator("#question .why")).to_contain_text("0.60 away")
    assert decided(registry) == ["distinct", "confirm", "reject", "undo"]
    seen = decisions.seen(registry, doubts[1])
    assert seen is not None
    assert seen.person == 1


def test_a_quick_hand_takes_back_one_answer_after_the_other(tab: Page, doubts: list[str], registry: Registry) -> None:
    tab.goto("/decide")
    for shown in ("0.50 away", "0.60 away"):
        tab.keyboard.press("n")
        expect(tab.locator("#question .why")).to_contain_text(shown)
    undone = list[str]()
    tab.on("request", lambda request: undone.append(request.post_data or "") if "/act/undo" in request.url else None)
    tab.evaluate("() => ['z', 'z'].map(key => document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })))")
    expect(tab.locator("#question .why")).to_contain_text("0.50 away")
    tab.keyboard.press("z")
    expect(tab.locator(TITLE)).to_have_text("Are these two one person?")
    assert undone == ["decisions=2", "decisions=1"]
    assert decided(registry) == ["distinct", "reject", "undo", "undo"]


def test_an_answer_that_was_taken_back_is_given_anew_although_the_queue_was_searched_meanwhile(
    tab: Page, doubts: list[str], registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(questions, "_AGAIN", -1.0)
    tab.goto("/decide")
    tab.keyboard.press("n")
    expect(tab.locator("#question .why")).to_contain_text("0.50 away")
    tab.keyboard.press("n")
    expect(tab.locator("#question .why")).to_contain_text("0.60 away")
    tab.wait_for_load_state("networkidle")
    right = int(tab.locator("[data-right]").inner_text())
    tab.keyboard.press("z")
    expect(tab.locator("#question .why")).to_contain_text("0.50 away")
    expect(tab.locator("[data-right]")).to_have_text(str(right - 1))
    tab.get_by_role("button", name="Do it again").click()
    expect(tab.locator("#question .why")).to_contain_text("0.60 away")
    expect(tab.locator("[data-right]")).to_have_text(str(right))
    tab.keyboard.press("z")
    expect(tab.locator("#question .why")).to_contain_text("0.50 away")
    tab.keyboard.press("y")
    expect(tab.locator(".toast").last).to_contain_text("confirmed")
    expect(tab.locator("[data-right]")).to_have_text(str(right))
    assert decided(registry) == ["distinct", "reject", "undo", "undo", "undo", "confirm"]


def test_the_page_is_there_before_a_long_search_has_ended_and_then_asks(
    tab: Page, doubts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    go_on, search = threading.Event(), questions.questions

    def slowly(registry: Registry) -> list[questions.Question]:
        go_on.wait(60)
        return search(registry)

    monkeypatch.setattr(questions, "questions", slowly)
    tab.goto("/decide")
    expect(tab.locator("[data-searching]")).to_be_visible()
    assert Axe().run(tab).violations_count == 0
    other = tab.context.new_page()
    other.goto("/people")
    expect(other.locator(".people [data-id]")).to_have_count(3)
    go_on.set()
    expect(tab.locator(TITLE)).to_have_text("Are these two one person?")
    expect(tab.locator('[data-left="bulk"]')).not_to_have_text("0")
    other.close()


def test_what_is_put_off_comes_last_and_nothing_is_decided_by_looking(tab: Page, doubts: list[str], registry: Registry) -> None:
    tab.goto("/decide")
    first = tab.locator(TITLE).inner_text()
    tab.keyboard.press("s")
    expect(tab.locator(TITLE)).not_to_have_text(first)
    tab.keyboard.press("s")
    expect(tab.locator("#question .why")).to_contain_text("0.60 away")
    tab.keyboard.press("s")
    expect(tab.locator(TITLE)).to_have_text(first)
    assert decided(registry) == []
    assert Axe().run(tab).violations_count == 0


def test_a_whole_group_gets_its_name_in_one_go(tab: Page, registry: Registry) -> None:
    tab.set_viewport_size({"width": 360, "height": 560})
    tab.goto("/decide?lane=bulk")
    expect(tab.locator(TITLE)).to_have_text("Who is this?")
    assert tab.locator("#question ul").evaluate("list => list.scrollHeight > list.clientHeight")
    assert Axe().run(tab).violations_count == 0
    tab.keyboard.type("Zoë")
    tab.keyboard.press("Enter")
    expect(tab.locator("[data-right]")).to_have_text("9")
    assert [person.name for person in people.select(registry)].count("Zoë") == 1
    left = tab.locator('[data-left="bulk"]')
    expect(left).to_have_text("3")
    for _ in range(3):
        tab.locator("#question [data-answer=later]").click()
    assert decided(registry) == ["name"]


def test_a_question_that_was_decided_elsewhere_meanwhile_changes_nothing(review: Served, doubts: list[str], registry: Registry) -> None:
    asked = review.get("/decide/next").text
    key = asked.partition('data-question="')[2].partition('"')[0]
    before = decided(registry)
    answer = _answer(review, {"question": "0" * 16, "answer": "yes"})
    assert answer.status == 404
    assert "meanwhile" in json.loads(answer.body)["error"]
    assert _answer(review, {"question": key, "answer": "perhaps"}).status == 400
    assert decided(registry) == before
    assert _answer(review, {"question": key, "answer": "yes"}).status == 200
    assert decided(registry) == [*before, "merge"]
    again = _answer(review, {"question": key, "answer": "yes"})
    assert again.status == 404, "the second tab's yes to the same question"
    assert decided(registry) == [*before, "merge"]


def test_a_face_that_was_decided_elsewhere_meanwhile_is_said_and_the_next_one_asked(
    tab: Page, workspace: Workspace, doubts: list[str], registry: Registry
) -> None:  # fmt: skip
    tab.goto("/decide")
    tab.keyboard.press("n")
    expect(tab.locator("#question .why")).to_contain_text("0.50 away")
    acts.reject(workspace, registry, [doubts[0]])
    tab.keyboard.press("y")
    expect(tab.locator(".toast.failed")).to_contain_text("1 face had moved meanwhile; nothing was changed")
    expect(tab.locator("#question .why")).to_contain_text("0.60 away")
    right = int(tab.locator("[data-right]").inner_text())
    tab.keyboard.press("y")
    expect(tab.locator("#question [data-done]")).to_be_visible()
    expect(tab.locator("[data-right]")).to_have_text(str(right + 1))
    assert decided(registry) == ["distinct", "reject", "confirm"]


def test_what_another_command_found_is_asked_without_a_decision_here(
    review: Served, workspace: Workspace, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    assert "data-done" in review.get("/decide").text
    key = sets.members(registry, TWO)[0][1]
    with workspace.lock(), registry.transaction():
        sets.remove_member(registry, key)
        people.give(registry, key, 1, Reason.LIKELY, 0.5)
    monkeypatch.setattr(questions, "_AGAIN", -1.0)
    assert "data-done" not in review.get("/decide").text


def _answer(review: Served, values: dict[str, str]):  # type: ignore[no-untyped-def]
    from urllib.parse import urlencode  # noqa: PLC0415

    ours = {"Cookie": review.cookie, "Origin": f"http://{review.host}", "Sec-Fetch-Site": "same-origin", "X-Facesets": "1"}
    return review.ask("POST", "/decide/answer", urlencode(values).encode(), ours)


def test_every_number_of_what_happened_leads_to_the_list_behind_it(review: Served, registry: Registry) -> None:
    page = review.get("/happened").text
    for reason, count in [("member", 25), ("recognised", 2)]:
        assert f'href="/happened/faces/{reason}" aria-label="{count} faces: {reason}"' in page
        assert review.get(f"/happened/faces/{reason}").text.count("<img") == count
    assert 'href="/happened/files/embedded"' in page
    files = review.get("/happened/files/embedded").text
    assert "p1_" in files
    assert review.get("/happened/files/nonsense").status == 404
    assert review.get("/happened/registry/member").status == 404


def test_pages_show_how_far_a_run_is_and_that_it_has_ended(tab: Page, workspace: Workspace, registry: Registry) -> None:
    expect(tab.locator("[data-busy]")).to_be_hidden()
    with workspace.lock():
        run = runs.start(registry, "stage embed cluster write")
        with ProgressFile(Silent(), workspace.progress_file).task("finding and embedding faces", 2400, "photos") as task:
            task.advance(57)
            busy = tab.locator("[data-busy]")
            expect(busy).to_contain_text("facesets run is at work: finding and embedding faces: 0 of 2,400 photos")
    runs.finish(registry, run, 0, {})
    expect(tab.locator("[data-busy]")).to_be_hidden()


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("/people?show=likely", "#total", "1"),
        ("/person/faceset_001", "[data-section=likely] h2", "Likely 2"),
        ("/happened", "table >> nth=1", "2likely"),
        ("/decide", "[data-left=eyes]", "2"),
    ],
)
def test_a_page_shows_what_a_run_has_found_once_it_has_ended(
    tab: Page, workspace: Workspace, registry: Registry, path: str, before: str, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(questions, "_AGAIN", -1.0)
    tab.goto(path)
    expect(tab.locator(before)).not_to_contain_text(after)
    keys = [key for _, key, _ in sets.members(registry, TWO)][:2]
    with workspace.lock():
        run = runs.start(registry, "run")
        expect(tab.locator("[data-busy]")).to_be_visible()
        with registry.transaction():
            for key in keys:
                sets.remove_member(registry, key)
                people.give(registry, key, 1, Reason.LIKELY, 0.5)
        runs.finish(registry, run, 0, {})
    expect(tab.locator(before)).to_contain_text(after)


def test_the_stream_of_events_is_for_whoever_has_the_session(review: Served) -> None:
    assert review.ask("GET", "/live").status == 403
    connection = http.client.HTTPConnection("127.0.0.1", review.options.port, timeout=30)
    connection.request("GET", "/live", headers={"Cookie": review.cookie, "Host": review.host})
    answer = connection.getresponse()
    assert answer.getheader("Content-Type", "").startswith("text/event-stream")
    assert json.loads(answer.readline().removeprefix(b"data: "))["busy"] is None
    connection.close()


def test_a_queue_never_asks_what_was_answered_before_its_search_began(registry: Registry, doubts: list[str]) -> None:
    found = questions.questions(registry)
    assert {each.kind for each in found} == {"merge", "look", "extend", "who"}
    assert [each.left for each in found if each.kind == "look"] == doubts


def test_progress_is_a_small_private_file_that_goes_with_the_run(tmp_path: Path) -> None:
    published = ProgressFile(Silent(), tmp_path / ".progress.json")
    with published.task("listing", 10, "files") as task:
        task.advance(4)
        told = ProgressFile.read(tmp_path / ".progress.json")
        assert told is not None
        assert (told["what"], told["total"]) == ("listing", 10)
        assert (tmp_path / ".progress.json").stat().st_mode & 0o77 == 0
    published.close()
    assert ProgressFile.read(tmp_path / ".progress.json") is None
    (tmp_path / ".progress.json").write_text("{half")
    assert ProgressFile.read(tmp_path / ".progress.json") is None

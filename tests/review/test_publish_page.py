"""Publish in the browser, against a workspace after a run and a server that answers and changes as Immich does."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from facesets.errors import Refused
from facesets.registry import Registry, decisions, people
from facesets.review.long_work import LongWork, UntilStopped
from facesets.review.threads import RegistryThreads
from facesets.testing import faults
from facesets.workspace import Workspace
from tests.publish.conftest import _no_waiting, after_a_run, home, version  # noqa: F401 - a family in Immich, and a run over it
from tests.publish.home import Home
from tests.review.home import Answer, Served, served

WHAT = ("names", "faces", "albums")


@pytest.fixture
def workspace(home: Home) -> Workspace:
    return Workspace.open(home.cli.workspace)


def post(review: Served, name: str, **values: object) -> Answer:
    headers = {"Cookie": review.cookie, "Origin": f"http://{review.host}", "Sec-Fetch-Site": "same-origin", "X-Facesets": "1"}
    return review.ask("POST", f"/publish/{name}", urlencode(values, doseq=True).encode(), headers)


def result(review: Served) -> str:
    """What the page shows once the work is done."""
    until(lambda: "data-working" not in review.get("/publish/part").text)
    return re.sub(r"\s+", " ", review.get("/publish/part").text)


def set_of(registry: Registry, name: str) -> str:
    return next(person.set_name for person in people.select(registry) if person.name == name)


def until(done: Callable[[], bool]) -> None:
    for _ in range(1200):
        if done():
            return
        time.sleep(0.05)
    pytest.fail("it does not end")


def test_what_would_be_written_is_seen_first_and_whatever_fails_is_said(
    home: Home, review: Served, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    start = home.state()
    assert "Show what would be written" in review.get("/publish").text
    assert post(review, "look", user="anna").status == 400, "nothing was chosen"
    assert post(review, "apply", number=0).status == 400, "nothing was looked for"
    assert review.ask("POST", "/publish/look", b"user=anna&what=names", {"Cookie": review.cookie}).status == 403

    post(review, "look", user="anna", what=WHAT)
    shown = result(review)
    assert "this person is hidden in Immich, and stays as they are there" in shown
    assert "the person &#39;Old Hanna&#39; in Immich is called &#39;Hanna&#39;" in shown
    number = re.search(r'name="number" value="(\d+)"', shown)
    assert number is not None
    assert json.loads(review.act("name", {"set": set_of(registry, "Anna"), "name": "Anne"}).body)["decisions"]
    post(review, "apply", number=number[1])
    assert "something was decided" in result(review)

    anna = next(user for user in home.library.users.values() if user.name == "anna")
    for key, why in (("", "IMMICH_API_KEY"), (home.library.key(anna, ("user.read",)).secret, "person.read, person.statistics")):
        with monkeypatch.context() as other:
            other.setenv("IMMICH_API_KEY", key)
            post(review, "look", user="anna", what="names")
            assert why in result(review)
    home.server.close()
    post(review, "look", user="anna", what="names")
    assert f"{home.server.url}/api does not answer" in result(review)
    assert home.state() == start
    assert home.writes() == 0
    settings = review.workspace.settings
    settings = replace(settings, immich=replace(settings.immich, url=""))
    with served(replace(review.workspace, settings=settings)) as nowhere:
        nowhere.enter()
        post(nowhere, "look", user="anna", what="names")
        assert "Set IMMICH_URL" in result(nowhere)
    registry.set_fact("folder:anna", "/photos")
    assert "There is no Immich to publish to" in review.get("/publish").text


def test_names_and_faces_go_to_immich_while_the_page_is_used_and_the_history_takes_them_back(
    home: Home, tab: Page, registry: Registry
) -> None:  # fmt: skip
    start = home.state()
    go_on, waited = threading.Event(), list[bool]()
    home.faults.add(faults.hook("held", lambda: waited.append(go_on.wait(60))), "PUT *")
    tab.goto("/publish")
    tab.get_by_label("Albums").uncheck()
    tab.get_by_role("button", name="Show what would be written").click()
    expect(tab.locator("[data-found]")).to_contain_text("person made")
    assert not Axe().run(tab).response["violations"]
    assert tab.evaluate("document.body.scrollWidth <= innerWidth")
    tab.get_by_label("Names").uncheck()
    expect(tab.get_by_role("button", name="Write it to Immich")).to_have_count(0)  # what is shown is not what is chosen
    tab.get_by_label("Names").check()
    tab.get_by_role("button", name="Show what would be written").click()
    tab.get_by_role("button", name="Write it to Immich").click()
    expect(tab.locator("[data-working]")).to_contain_text("Writing to Immich")
    expect(tab.locator("[data-busy]")).to_contain_text("facesets publish is at work")
    other = tab.context.new_page()
    other.goto("/people")
    other.locator(".people input.name").first.fill("Somebody")
    other.keyboard.press("Enter")
    expect(other.locator(".toast")).to_contain_text("facesets publish is at work, so nothing can be changed")
    other.close()
    tab.reload()
    go_on.set()
    expect(tab.locator("[data-written]")).to_contain_text("Published to the Immich of anna")
    assert home.person("Anna")
    assert home.library.albums == {}
    tab.keyboard.press("z")
    expect(tab.locator(".toast")).to_contain_text("by the Undo beside it, under History")
    tab.get_by_role("link", name="history", exact=True).click()
    tab.get_by_role("button", name="Undo decision").first.click()
    expect(tab.locator(".toast")).to_contain_text("taken back in Immich")
    assert [made.act for made in decisions.select(registry)][-2:] == ["publish", "undo"]
    assert home.state() == start


def test_a_review_that_stops_ends_long_work_at_its_next_step_and_lets_the_workspace_go(workspace: Workspace) -> None:
    threads = RegistryThreads(workspace)
    long, begun = LongWork(threads), threading.Event()

    def endless(_: Workspace, __: Registry, progress: UntilStopped) -> None:
        with progress.task("writing to Immich") as task:
            while True:
                task.advance()
                begun.set()

    work = long.start("publish", endless)
    assert begun.wait(30)
    with pytest.raises(Refused, match="facesets publish is still at work"):
        long.start("publish", endless)
    assert workspace.is_in_use()
    long.close()
    with pytest.raises(Refused, match="ask for the publish again, and it goes on"):
        work.result(30)
    assert not workspace.is_in_use()
    threads.close()

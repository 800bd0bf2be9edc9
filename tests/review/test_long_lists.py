"""Lists of thousands: what is seen comes first and in one request, what was left behind is not waited for, nothing is left out."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from benchmarks.review import make
from playwright.sync_api import Page, Request, expect

from facesets.records import Reason
from facesets.registry import Registry, face_lists, people
from facesets.review import cache, options_of
from facesets.review.cache import PeopleCache
from facesets.review.server import bound
from facesets.review.threads import RegistryThreads
from facesets.workspace import Workspace

ONE = "faceset_001"
LIST = "ul[data-list=member]"
PARTS, PICTURES = re.compile(r"/member\?"), re.compile("/face/")
_SEEN = f"""[...document.querySelectorAll('{LIST} [data-at]')].filter(face => {{
    const at = face.getBoundingClientRect(); return at.bottom > 0 && at.top < innerHeight;
}})"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sets, one of them of 4,000 faces; no pictures."""
    return make(tmp_path_factory.mktemp("many") / "w", 3, 6000, 4000).root


@pytest.fixture
def workspace(many: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(many, tmp_path / "w")
    return Workspace.open(tmp_path / "w")


def jump(page: Page, to: int) -> None:
    page.evaluate(f"scrollTo(0, {to})")


def part(request: Request) -> tuple[int, int]:
    """The places that a request is for."""
    first, most = (int(number) for number in re.findall(r"(?:first|most)=(\d+)", request.url))
    return first, first + most


def test_after_a_jump_one_request_brings_what_is_seen_and_what_was_left_behind_is_given_up(tab: Page) -> None:
    tab.goto(f"/person/{ONE}")
    held = list[Request]()
    tab.route(PARTS, lambda route: route.continue_() if held else held.append(route.request))  # the first for ever
    with tab.expect_request(PARTS):
        jump(tab, 20_000)
    asked = list[tuple[int, int]]()
    tab.on("request", lambda request: asked.append(part(request)) if PARTS.search(request.url) else None)
    with tab.expect_event("requestfailed", lambda request: request == held[0]):
        jump(tab, 40_000)
    expect(tab.locator(f"{LIST} .waiting")).to_have_count(0)
    seen = tab.evaluate(f"{_SEEN}.map(face => Number(face.dataset.at))")
    assert len(seen) > 60
    assert [first <= seen[0] and seen[-1] < end for first, end in asked if first <= seen[-1] and end > seen[0]] == [True]
    assert tab.evaluate("document.querySelectorAll('*').length") <= 1500


def test_pictures_of_what_was_left_behind_are_given_up_and_asked_for_again_when_it_is_seen_again(tab: Page) -> None:
    tab.goto(f"/person/{ONE}")
    waits, given_up = set[str](), set[str]()
    tab.route(PICTURES, lambda route: waits.add(route.request.url))
    tab.on("requestfailed", lambda request: given_up.add(request.url))
    with tab.expect_request(PICTURES):
        jump(tab, 20_000)
    expect(tab.locator(f"{LIST} .waiting")).to_have_count(0)
    seen = set(tab.evaluate(f"{_SEEN}.map(face => face.querySelector('img').src)"))
    for _ in range(400):
        if seen <= waits:
            break
        tab.wait_for_timeout(25)
    assert seen <= waits
    jump(tab, 40_000)
    for _ in range(400):
        if seen <= given_up:
            break
        tab.wait_for_timeout(25)
    assert seen <= given_up
    tab.unroute(PICTURES)  # which lets those go that are still held
    jump(tab, 20_000)
    expect(tab.locator(f"{LIST} .waiting")).to_have_count(0)
    assert set(tab.evaluate(f"{_SEEN}.map(face => face.querySelector('img').src)")) == seen
    for _ in range(400):
        if came := tab.evaluate(f"{_SEEN}.every(face => face.querySelector('img').complete)"):
            break
        tab.wait_for_timeout(25)
    assert came


def test_all_of_a_list_is_selected_however_long_it_is(tab: Page) -> None:
    tab.goto(f"/person/{ONE}")
    tab.locator(f"{LIST} [data-id]").first.focus()
    tab.keyboard.press("a")
    expect(tab.locator("#chosen")).to_have_text("4,000 selected")
    jump(tab, 40_000)
    expect(tab.locator(f"{LIST} .waiting")).to_have_count(0)
    assert tab.locator(f"{LIST} [aria-selected=false]").count() == 0
    tab.keyboard.press("Escape")
    at = tab.evaluate(f"Number({_SEEN}[30].dataset.at)")
    tab.locator(f"{LIST} [data-at='{at}']").click()
    expect(tab.locator("#chosen")).to_have_text("1 selected")
    jump(tab, 0)
    tab.locator(f"{LIST} [data-at='5']").click(modifiers=["Shift"])
    expect(tab.locator("#chosen")).to_have_text(f"{at - 4:,} selected")


def test_a_list_whose_server_is_away_says_so_once_and_goes_on_when_it_is_back(tab: Page) -> None:
    tab.goto(f"/person/{ONE}")
    tab.context.set_offline(True)
    for place in (20_000, 40_000):
        jump(tab, place)
        expect(tab.locator(f"{LIST} .waiting").first).to_be_visible()
    expect(tab.locator(".toast.failed")).to_contain_text("does not answer")
    assert tab.locator(".toast").count() == 1
    tab.context.set_offline(False)
    jump(tab, 39_000)
    expect(tab.locator(f"{LIST} .waiting")).to_have_count(0)


def test_an_answer_goes_out_whole_and_waits_for_no_word_of_the_browser() -> None:
    """Else the body follows the head 40 ms later: Nagle's algorithm and a delayed acknowledgement wait for each other."""

    async def accepted() -> int:
        with bound(options_of(port=0)) as listening:
            told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

            async def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                told.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                writer.close()

            async with await asyncio.start_server(met, sock=listening):
                _, writer = await asyncio.open_connection(*listening.getsockname())
                writer.close()
                return await told

    with ThreadPoolExecutor(1) as thread:  # in this one a browser's loop may be running
        assert thread.submit(asyncio.run, accepted()).result() != 0


@pytest.fixture
def registry(workspace: Workspace) -> Any:
    with workspace.registry() as opened:
        yield opened


@pytest.mark.parametrize("years", [None, (1990, 1999)])
@pytest.mark.parametrize("order", face_lists.ORDERS)
def test_the_parts_of_a_list_are_the_whole_list_in_its_order(
    registry: Registry, order: str, years: tuple[int, int] | None
) -> None:  # fmt: skip
    rows = registry.db.execute(
        "SELECT m.key, k.rank, s.distance, s.runner_up_distance AS other, s.ambiguous, a.taken_at AS taken, s.face_id AS id "
        "FROM memberships AS s JOIN measurements AS m ON m.face_id = s.face_id JOIN assets AS a ON a.photo_id = m.photo_id "
        "LEFT JOIN set_faces AS k ON k.measurement_id = m.id WHERE s.person_id = 1 AND s.standing = 'member'"
    ).fetchall()
    by = {
        "best": lambda r: (r["rank"], r["id"]),
        "near": lambda r: (r["distance"], r["id"]),
        "far": lambda r: (-r["distance"], r["id"]),
        "doubtful": lambda r: (-r["ambiguous"], r["other"] - r["distance"], -r["distance"], r["id"]),
        "old": lambda r: (r["taken"], r["id"]),
    }
    within = [row for row in rows if years is None or years[0] <= int(row["taken"][:4]) <= years[1]]
    expected = [row["key"] for row in sorted(within, key=by.get(order, by["old"]))]
    if order == "new":
        by_day: dict[str, list[str]] = {}
        for row in sorted(within, key=by["old"]):
            by_day.setdefault(row["taken"], []).append(row["key"])
        expected = [key for day in sorted(by_day, reverse=True) for key in by_day[day]]
    found = list[str]()
    for first in range(0, len(expected) + 300, 300):
        total, some = face_lists.faces(registry, 1, Reason.MEMBER, order=order, years=years, first=first, most=300)
        assert total == len(expected)
        found += [face.key for face in some]
    assert found == expected


def test_years_follow_what_another_process_dated_anew(
    workspace: Workspace, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    threads = RegistryThreads(workspace)
    known = PeopleCache(threads)
    everybody = known.people(registry)
    assert set(known.years(registry, everybody).values()) == {("1985", "2024")}
    monkeypatch.setattr(cache, "_EVERY", -1.0)  # at once
    registry.db.execute("UPDATE assets SET taken_at = '1999-05-04T10:00:00'")
    known.years(registry, everybody)
    threads.close()  # what was asked for is done by then
    assert people.of_set(registry, ONE) is not None
    assert set(known.years(registry, everybody).values()) == {("1999", "1999")}

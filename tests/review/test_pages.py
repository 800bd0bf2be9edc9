"""The real page in a real browser: naming, picking, rejecting, moving, merging, splitting, undo; two tabs, a run meanwhile, a crash."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from facesets import people as acts
from facesets.records import Reason
from facesets.registry import Registry, decisions, people, runs, sets
from facesets.review import options_of
from facesets.workspace import Workspace
from tests.review.home import Served, decided

ONE, TWO, THREE = "faceset_001", "faceset_002", "faceset_003"
FACES = "ul[data-list={}] [data-id]"
MEMBERS, RECOGNISED = FACES.format("member"), FACES.format("recognised")


def tile(page: Page, name: str) -> str:
    return f".people [data-id={name}]"


def members(registry: Registry, name: str) -> list[str]:
    return [key for _, key, _ in sets.members(registry, name)]


def names(registry: Registry) -> list[str | None]:
    return [person.name for person in people.select(registry)]


def test_names_are_typed_straight_into_the_tiles_one_after_the_other(tab: Page, registry: Registry) -> None:
    tab.locator(f"{tile(tab, ONE)} input.name").click()
    tab.keyboard.type("Zoë")
    tab.keyboard.press("Enter")
    expect(tab.locator(f"{tile(tab, TWO)} input.name")).to_be_focused()
    tab.keyboard.type("שרה")
    tab.keyboard.press("Enter")
    expect(tab.locator(".toast").last).to_contain_text("faceset_002 is שרה")
    assert names(registry) == ["Zoë", "שרה", None]
    assert tab.locator(f"{tile(tab, TWO)} input.name").evaluate("e => getComputedStyle(e).direction") == "rtl", "as the name runs"
    tab.locator(f"{tile(tab, THREE)} input.name").click()
    tab.keyboard.type("zoe")
    expect(tab.locator("#names option")).to_have_attribute("value", "Zoë")
    tab.keyboard.press("Escape")
    assert tab.locator(f"{tile(tab, THREE)} input.name").input_value() == "", "closing it means that nothing happened"
    assert decided(registry) == ["name", "name"]


def test_two_of_one_name_are_offered_to_be_merged_and_the_undo_brings_both_back(tab: Page, registry: Registry) -> None:
    for name in (ONE, TWO):
        tab.locator(f"{tile(tab, name)} input.name").fill("Anna")
        tab.keyboard.press("Enter")
    tab.get_by_role("button", name="Merge with faceset_001").click()
    expect(tab.locator(".people [data-id]")).to_have_count(2)
    assert len(members(registry, ONE)) == 18
    tab.locator(".toast").last.get_by_role("button", name="Undo").click()
    expect(tab.locator(".people [data-id]")).to_have_count(3)
    assert len(members(registry, ONE)) == 9
    assert decided(registry) == ["name", "name", "merge", "undo"]


def test_a_name_that_is_taken_back_is_seen_nowhere_any_more(tab: Page, registry: Registry) -> None:
    field = tab.locator(f"{tile(tab, ONE)} input.name")
    field.fill("Anna")
    tab.keyboard.press("Enter")
    expect(tab.locator(".toast")).to_contain_text("Anna")
    field.focus()
    tab.keyboard.press("Escape")
    tab.keyboard.press("z")
    expect(field).to_have_value("")
    expect(tab.locator(f"{tile(tab, ONE)} a")).to_be_focused()
    tab.goto(f"/person/{ONE}")
    tab.locator("input.title").fill("Berta")
    tab.keyboard.press("Enter")
    expect(tab.locator("h1")).to_have_text("Berta")
    tab.keyboard.press("z")
    expect(tab.locator("h1")).to_have_text(ONE)
    expect(tab.locator("input.title")).to_have_value("")
    assert names(registry) == [None, None, None]


def test_a_persons_page_shows_what_is_so_after_each_act_and_says_it_where_it_leads_elsewhere(tab: Page, registry: Registry) -> None:
    tab.goto(f"/person/{ONE}")
    extend = tab.get_by_role("button", name="Put 2 recognised into the set")
    extend.click()
    expect(extend).to_have_count(0)
    tab.get_by_role("button", name="Ignore").click()
    back = tab.get_by_role("button", name="Bring back")
    expect(back).to_be_focused()
    expect(tab.locator(".who")).to_contain_text("ignored")
    back.click()
    tab.get_by_role("button", name="Merge into …").click()
    tab.get_by_role("combobox", name="Who are they the same as?").fill(TWO)
    tab.keyboard.press("Enter")
    tab.wait_for_url(f"**/person/{TWO}")
    expect(tab.locator(".toast")).to_contain_text(f"{ONE} is part of {TWO} now")
    tab.goto(f"/person/{ONE}")
    expect(tab.get_by_role("heading", name=f"{ONE} is retired")).to_be_visible()
    for key in ("ArrowDown", "a", "r"):
        tab.keyboard.press(key)
    tab.go_back()
    tab.keyboard.press("z")
    expect(tab.locator(".toast").last).to_contain_text("taken back")
    assert decided(registry) == ["extend", "ignore", "undo", "merge", "undo"]


def test_many_are_selected_by_key_and_range_and_become_one_person_with_a_new_name(tab: Page, registry: Registry) -> None:
    tab.locator(f"{tile(tab, ONE)} a").focus()
    tab.keyboard.press("x")
    tab.locator(f"{tile(tab, THREE)} input[type=checkbox]").click(modifiers=["Shift"])
    expect(tab.locator("#chosen")).to_have_text("3 selected")
    tab.keyboard.press("m")
    tab.get_by_role("combobox", name="Who are these 3?").fill("Omar")
    tab.keyboard.press("Enter")
    expect(tab.locator(".people [data-id]")).to_have_count(1)
    assert [person.name for person in people.select(registry, standing=["active"])] == ["Omar"]
    assert len(members(registry, ONE)) == 25
    tab.keyboard.press("z")
    expect(tab.locator(".people [data-id]")).to_have_count(3)
    assert names(registry) == [None, None, None]


def test_the_ignored_have_a_view_of_their_own_and_one_key_brings_them_back(tab: Page, registry: Registry) -> None:
    tab.locator(f"{tile(tab, TWO)} input[type=checkbox]").check()
    tab.keyboard.press("i")
    expect(tab.locator(".people [data-id]")).to_have_count(2)
    tab.get_by_role("link", name="Ignored").click()
    tab.locator(f"{tile(tab, TWO)} a").focus()
    tab.keyboard.press("b")
    expect(tab.get_by_role("heading", name="Nobody is ignored")).to_be_visible()
    assert [person.standing for person in people.select(registry)] == ["active"] * 3


def test_the_grid_is_searched_sorted_and_filtered(tab: Page, registry: Registry) -> None:
    tab.locator(f"{tile(tab, THREE)} input.name").fill("Zoë")
    tab.keyboard.press("Enter")
    expect(tab.locator(".toast")).to_be_visible()
    tab.keyboard.press("Escape")
    order = "[...document.querySelectorAll('.people [data-id]')].map(t => t.dataset.id.slice(-1)).join('')"
    for field, value, shown in (
        ("q", "zoe", "3"), ("q", "2", "2"), ("q", "", "312"), ("show", "unnamed", "12"), ("show", "recognised", "1"),
        ("show", "all", "312"),
        ("sort", "new", "321"), ("sort", "unnamed", "123"), ("sort", "size", "123"), ("least", "8", "12"), ("least", "99", ""),
    ):  # fmt: skip
        element = tab.locator(f"[data-filters] [name={field}]")
        element.select_option(value) if field in ("show", "sort") else element.fill(value)
        for _ in range(200):
            if tab.evaluate(order) == shown:
                break
            tab.wait_for_timeout(25)
        assert tab.evaluate(order) == shown, (field, value)
    assert tab.get_by_role("heading", name="Nobody here").is_visible()
    tab.reload()
    assert tab.locator("[data-filters] [name=least]").input_value() == "99", "the address keeps what was asked for"


def test_faces_are_picked_by_click_range_and_drag_and_rejected_by_a_key(tab: Page, registry: Registry) -> None:
    tab.goto(f"/person/{ONE}")
    before = members(registry, ONE)
    tab.locator(MEMBERS).nth(1).click()
    tab.locator(MEMBERS).nth(3).click(modifiers=["Shift"])
    expect(tab.locator("#chosen")).to_have_text("3 selected")
    tab.keyboard.press("Escape")
    expect(tab.locator("#actions")).to_be_hidden()
    first, last = tab.locator(MEMBERS).nth(0).bounding_box(), tab.locator(MEMBERS).nth(1).bounding_box()
    assert first is not None
    assert last is not None
    tab.mouse.move(first["x"] + 10, first["y"] + first["height"] + 12)
    tab.mouse.down()
    tab.mouse.move(last["x"] + 20, last["y"] + 20, steps=4)
    tab.mouse.up()
    expect(tab.locator("#chosen")).to_have_text("2 selected")
    tab.keyboard.press("r")
    expect(tab.locator(".toast")).to_contain_text("2 faces are not of faceset_001")
    expect(tab.locator(MEMBERS)).to_have_count(7)
    assert members(registry, ONE) == before[2:]
    tab.locator(".toast").get_by_role("button", name="Undo").click()
    expect(tab.locator(MEMBERS)).to_have_count(9)
    assert sorted(members(registry, ONE)) == sorted(before)


def test_faces_are_moved_to_somebody_found_by_name_and_split_off_as_somebody_new(tab: Page, registry: Registry) -> None:
    tab.goto(f"/person/{ONE}")
    tab.locator(MEMBERS).nth(2).focus()
    tab.keyboard.press("m")
    box = tab.get_by_role("combobox", name="Whose face is it?")
    expect(tab.locator("#picker [role=option]").first).to_be_visible()
    tab.keyboard.press("Escape")
    assert decided(registry) == [], "closing it means that nothing happened"
    tab.keyboard.press("m")
    box.fill("2")
    expect(tab.locator("#picker [role=option]").first).to_contain_text(TWO)
    tab.keyboard.press("Enter")
    expect(tab.locator(MEMBERS)).to_have_count(8)
    assert len(members(registry, TWO)) == 10
    tab.locator(MEMBERS).nth(0).focus()
    tab.keyboard.press("x")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("x")
    tab.keyboard.press("s")
    tab.get_by_role("combobox", name="Who is it?").fill("Nobody yet")
    expect(tab.locator("#picker [role=option]").last).to_contain_text("Somebody new")
    tab.keyboard.press("ArrowUp")
    tab.keyboard.press("Enter")
    expect(tab.locator(MEMBERS)).to_have_count(6)
    assert len(members(registry, "faceset_004")) == 2
    assert names(registry)[-1] == "Nobody yet"


def test_a_face_is_seen_large_with_its_photo_and_looking_decides_nothing(tab: Page, registry: Registry) -> None:
    tab.goto(f"/person/{ONE}")
    tab.locator(MEMBERS).nth(0).focus()
    tab.keyboard.press("Enter")
    look = tab.locator("#look")
    expect(look).to_contain_text("It is in faceset_001")
    expect(look.locator("svg rect.mine")).to_be_visible()
    assert look.locator("image").evaluate("async i => (await fetch(i.href.baseVal)).headers.get('content-type')") == "image/webp"
    first = look.locator(".more code").inner_text()
    tab.keyboard.press("ArrowRight")
    expect(look.locator(".more code")).not_to_have_text(first)
    tab.keyboard.press("Escape")
    expect(look).to_be_hidden()
    expect(tab.locator(MEMBERS).nth(1)).to_be_focused()
    assert decided(registry) == []
    tab.keyboard.press("p")
    expect(tab.locator(".toast")).to_contain_text("faceset_001 is shown by this face now")
    chosen = tab.locator(MEMBERS).nth(1).get_attribute("data-id")
    tab.goto("/people")
    assert str(chosen) in (tab.locator(f"{tile(tab, ONE)} img").get_attribute("src") or "")


def test_a_face_that_is_seen_large_is_told_of_as_it_is_after_each_act(tab: Page, registry: Registry) -> None:
    key = members(registry, TWO)[0]
    with registry.transaction():
        sets.remove_member(registry, key)
        people.give(registry, key, 1, Reason.LIKELY, 0.5)
    tab.goto(f"/person/{ONE}")
    tab.locator(FACES.format("likely")).dblclick()
    expect(tab.locator("#look .about")).to_contain_text("may be the person of a set")
    tab.keyboard.press("c")
    expect(tab.locator("#look .about")).not_to_contain_text("may be the person of a set")
    tab.keyboard.press("z")
    expect(tab.locator("#look .about")).to_contain_text("may be the person of a set")
    assert decided(registry) == ["confirm", "undo"]


def test_a_face_that_is_seen_large_is_rejected_there_and_the_next_one_shown(tab: Page, registry: Registry) -> None:
    tab.goto(f"/person/{THREE}")
    keys = members(registry, THREE)
    tab.locator(MEMBERS).nth(5).focus()
    tab.keyboard.press("Enter")
    look = tab.locator("#look")
    for key in keys[5:]:
        expect(look.locator(".more code")).to_have_text(f"facesets explain {key[:16]}")
        tab.keyboard.press("r")
    expect(look.locator(".more code")).to_have_text(f"facesets explain {keys[4][:16]}")
    look.locator(".toast").last.get_by_role("button", name="Undo").click()
    expect(tab.locator(MEMBERS)).to_have_count(6)
    tab.keyboard.press("z")
    expect(tab.locator(MEMBERS)).to_have_count(7)
    assert decided(registry) == ["reject", "reject", "undo", "undo"]


def test_recognised_faces_are_confirmed_and_put_into_the_set(tab: Page, registry: Registry) -> None:
    for key in members(registry, ONE)[:3]:
        of = "photo_id = (SELECT photo_id FROM measurements WHERE key = ?)"
        registry.db.execute(f"UPDATE assets SET taken_at = '2012-05-04T10:00:00' WHERE {of}", (key,))
    tab.goto(f"/person/{ONE}")
    expect(tab.locator(RECOGNISED)).to_have_count(2)
    tab.get_by_role("button", name="2012: 3 faces").click()
    expect(tab.get_by_text("Only 2012")).to_be_visible()
    expect(tab.locator(MEMBERS)).to_have_count(3)
    tab.keyboard.press("ArrowRight")
    expect(tab.get_by_text("Only 2020")).to_be_visible()
    expect(tab.locator(MEMBERS)).to_have_count(6)
    tab.get_by_role("button", name="All years").click()
    tab.get_by_role("button", name="Put 2 recognised into the set").click()
    expect(tab.locator(MEMBERS)).to_have_count(11)
    expect(tab.locator(RECOGNISED)).to_have_count(0)
    tab.get_by_role("button", name="Confirm all").click()
    expect(tab.locator(".toast").last).to_contain_text("11 faces of faceset_001 confirmed")
    assert decided(registry) == ["extend", "confirm"]


def test_what_was_confirmed_is_not_rejected_along_with_the_next_one(tab: Page, registry: Registry) -> None:
    tab.goto(f"/person/{ONE}")
    confirmed, rejected = members(registry, ONE)[:2]
    tab.locator(f"[data-id='{confirmed}']").click()
    tab.keyboard.press("c")
    expect(tab.locator("#actions")).to_be_hidden()
    tab.locator(f"[data-id='{rejected}']").click()
    tab.keyboard.press("r")
    expect(tab.locator(MEMBERS)).to_have_count(8)
    assert confirmed in members(registry, ONE)
    assert decided(registry) == ["confirm", "reject"]


def test_the_history_takes_back_what_nothing_stands_on(tab: Page, registry: Registry) -> None:
    for name in ("Anna", "Anne"):
        tab.locator(f"{tile(tab, ONE)} input.name").fill(name)
        tab.keyboard.press("Enter")
        expect(tab.locator(".toast").last).to_contain_text(name)
    tab.goto("/history")
    expect(tab.locator("#d1")).to_contain_text("needed by 2")
    assert tab.locator("#d1 button").count() == 0
    tab.get_by_role("button", name="Undo decision 2").click()
    expect(tab.locator("#d2")).to_contain_text("taken back by 3")
    tab.get_by_role("button", name="Undo decision 1").click()
    expect(tab.locator("#d1")).to_contain_text("taken back by 4")
    assert names(registry)[0] is None


def test_a_face_that_moved_in_another_tab_is_left_alone_and_said(tab: Page, registry: Registry) -> None:
    tab.goto(f"/person/{ONE}")
    other = tab.context.new_page()
    other.goto(f"/person/{ONE}")
    for page in (tab, other):
        page.locator(MEMBERS).nth(0).click()
    other.locator(MEMBERS).nth(1).click()
    tab.keyboard.press("r")
    expect(tab.locator(MEMBERS)).to_have_count(8)
    other.keyboard.press("r")
    expect(other.locator(".toast")).to_contain_text("1 face had moved meanwhile and was left alone")
    assert len(members(registry, ONE)) == 7
    expect(tab.locator(MEMBERS)).to_have_count(8)
    tab.locator(MEMBERS).nth(0).click()
    tab.keyboard.press("r")
    expect(tab.locator(".toast.failed")).to_contain_text("1 face had moved meanwhile; nothing was changed")
    assert decided(registry) == ["reject", "reject"]
    expect(tab.locator(MEMBERS)).to_have_count(7)
    expect(tab.locator("#actions")).to_be_hidden()


def test_an_act_goes_on_while_its_page_is_loaded_again_which_then_shows_it(tab: Page, registry: Registry) -> None:
    tab.goto(f"/person/{ONE}")
    blocker = sqlite3.connect(registry.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")  # the act has begun and cannot end
    tab.locator(MEMBERS).nth(0).click()
    with tab.expect_request("**/act/reject"):
        tab.keyboard.press("r")
    tab.reload()
    expect(tab.locator(MEMBERS)).to_have_count(9)
    blocker.execute("ROLLBACK")
    blocker.close()
    for _ in range(400):
        if decided(registry):
            break
        tab.wait_for_timeout(25)
    assert decided(registry) == ["reject"]
    tab.locator(MEMBERS).nth(0).click()
    tab.keyboard.press("r")
    expect(tab.locator(".toast.failed")).to_contain_text("1 face had moved meanwhile; nothing was changed")
    expect(tab.locator(MEMBERS)).to_have_count(8)
    assert decided(registry) == ["reject"]


def test_whose_whole_name_or_number_was_typed_comes_before_larger_ones_that_only_begin_so(review: Served) -> None:
    for name, called in ((ONE, "Zoë 3"), (TWO, "3 Graces"), (THREE, "Zoe")):
        assert review.act("name", {"set": name, "name": called}).status == 200
    for typed, first in (("zoë", THREE), ("3", THREE), ("faceset_003", THREE), ("zo", ONE), ("3 g", TWO)):
        assert json.loads(review.get(f"/names?{urlencode({'q': typed})}").body)[0]["set"] == first, typed


def test_what_is_not_there_is_missing_and_leads_nowhere_else(review: Served) -> None:
    for path in ("/look/" + "0" * 64, "/people/", f"/person/{ONE}/"):
        assert review.get(path).status == 404, path


def test_named_people_are_offered_before_anything_is_typed(review: Served) -> None:
    assert review.act("name", {"set": THREE, "name": "Zoë"}).status == 200
    assert [each["set"] for each in json.loads(review.get("/names?q=").body)] == [THREE, ONE, TWO]


def test_keys_go_on_from_where_a_face_was(tab: Page, registry: Registry) -> None:
    tab.goto(f"/person/{ONE}")
    keys = members(registry, ONE)
    face = "ul[data-list=member] [data-id='{}']"
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowRight")
    expect(tab.locator(face.format(keys[1]))).to_be_focused()
    tab.keyboard.press("r")
    expect(tab.locator(face.format(keys[2]))).to_be_focused()
    tab.keyboard.press("m")
    tab.get_by_role("combobox", name="Whose face is it?").fill("2")
    expect(tab.locator("#picker [role=option]").first).to_contain_text(TWO)
    tab.keyboard.press("Enter")
    expect(tab.locator(face.format(keys[3]))).to_be_focused()
    tab.keyboard.press("End")
    expect(tab.locator(face.format(keys[-1]))).to_be_focused()
    tab.keyboard.press("r")
    expect(tab.locator(face.format(keys[-2]))).to_be_focused()
    tab.keyboard.press("c")
    expect(tab.locator(".toast").last).to_contain_text("confirmed")
    expect(tab.locator(face.format(keys[-2]))).to_be_focused()
    tab.goto("/people")
    last = tab.locator(".people [data-id]").nth(2)
    last.locator("a").focus()
    tab.keyboard.press("x")
    tab.keyboard.press("i")
    expect(tab.locator(".people [data-id]")).to_have_count(2)
    expect(tab.locator(".people [data-at='1'] a")).to_be_focused()
    tab.goto("/history")
    tab.get_by_role("button", name="Undo decision 5").focus()
    tab.keyboard.press("Enter")
    expect(tab.locator("#d5 a")).to_be_focused()
    assert decided(registry) == ["reject", "move", "reject", "confirm", "ignore", "undo"]


def test_a_page_that_runs_from_right_to_left_is_as_wide_as_its_window(tab: Page) -> None:
    for path in ("/people", f"/person/{ONE}", "/decide", "/happened", "/publish", "/history"):
        tab.goto(path)
        tab.evaluate("document.documentElement.dir = 'rtl'")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_looking_for_somebody_says_that_the_server_is_away(tab: Page, registry: Registry) -> None:
    tab.goto(f"/person/{ONE}")
    tab.locator(MEMBERS).nth(0).focus()
    tab.keyboard.press("m")
    expect(tab.locator("#picker [role=option]").first).to_be_visible()
    tab.context.set_offline(True)
    tab.keyboard.type("3")
    expect(tab.locator("#picker .toast.failed").last).to_contain_text("does not answer")
    expect(tab.locator("#picker [role=option]")).to_have_count(0)
    tab.keyboard.press("Enter")
    tab.keyboard.press("Escape")
    tab.keyboard.press("n")
    tab.keyboard.type("Zoë")
    tab.context.set_offline(False)
    tab.keyboard.press("Enter")
    expect(tab.locator(".toast").last).to_contain_text("faceset_001 is Zoë")
    assert decided(registry) == ["name"]


def test_while_a_run_is_at_work_all_can_be_seen_and_nothing_changed(tab: Page, workspace: Workspace, registry: Registry) -> None:
    with workspace.lock():
        run = runs.start(registry, "run")
        tab.locator(f"{tile(tab, ONE)} input.name").fill("Anna")
        tab.keyboard.press("Enter")
        expect(tab.locator(".toast.failed")).to_contain_text("facesets run is at work")
        assert tab.locator(f"{tile(tab, ONE)} input.name").input_value() == "", "it does not look as if it were kept"
        tab.goto(f"/person/{ONE}")
        expect(tab.locator("[data-busy]")).to_contain_text("facesets run is at work")
        expect(tab.locator(MEMBERS)).to_have_count(9)
        runs.finish(registry, run, 0, {})
    tab.locator(MEMBERS).nth(0).click()
    tab.keyboard.press("r")
    expect(tab.locator(MEMBERS)).to_have_count(8)
    assert decided(registry) == ["reject"]


def test_a_server_killed_in_mid_act_has_done_it_whole_or_not_at_all(browser: Browser, workspace: Workspace, registry: Registry) -> None:
    command = [sys.executable, "-m", "facesets", "-C", str(workspace.root), "review", "--no-browser", "--port", "0"]

    def started(port: str = "0") -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen([*command[:-1], port], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        found = re.search(r"http\S+", process.stdout.readline())
        assert found is not None
        return process, found.group()

    process, link = started()
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto(link)
        base = page.url.removesuffix("/people")
        page.goto(f"{base}/person/{ONE}")
        blocker = sqlite3.connect(registry.path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")  # the act has begun and cannot end
        page.locator(MEMBERS).nth(0).click()
        with page.expect_request("**/act/reject"):
            page.keyboard.press("r")
        process.kill()
        process.communicate()
        blocker.execute("ROLLBACK")
        blocker.close()
        expect(page.locator(".toast.failed")).to_contain_text("does not answer")
        assert (len(members(registry, ONE)), decided(registry)) == (9, [])
        process, link = started(base.rpartition(":")[2])
        page.locator(MEMBERS).nth(0).click()
        page.keyboard.press("r")
        expect(page.locator(".toast.failed").last).to_contain_text("Open the new link")
        page.goto(link)
        page.goto(f"{base}/person/{ONE}")
        page.locator(MEMBERS).nth(0).click()
        page.keyboard.press("r")
        expect(page.locator(MEMBERS)).to_have_count(8)
        assert decided(registry) == ["reject"]
    finally:
        context.close()
        process.send_signal(signal.SIGTERM)  # as a service manager stops it
        process.communicate(timeout=60)
    assert not [made for made in decisions.select(registry) if not made.stands]
    assert len(list((workspace.facesets / ONE / "faces").iterdir())) == 8, "when it ends, folders follow what was decided"


def test_a_name_without_end_makes_no_page_wider_and_no_message_higher_than_a_phone(tab: Page, registry: Registry) -> None:
    tab.set_viewport_size({"width": 360, "height": 740})
    for name in ("W" * 500, "ש" * 500):
        tab.goto("/people")
        tab.locator(f"{tile(tab, ONE)} input.name").fill(name)
        tab.keyboard.press("Enter")
        expect(tab.locator(".toast")).to_contain_text(name[:100])
        box = tab.locator(".toast").bounding_box()
        assert box is not None
        assert box["height"] < 370
        for path in ("/people", f"/person/{ONE}", "/decide?lane=bulk", "/history"):
            tab.goto(path)
            assert tab.evaluate("document.documentElement.scrollWidth") <= 360, path
    assert decided(registry) == ["name", "name"]


@pytest.mark.parametrize("path", ["/people", "/ignored", f"/person/{ONE}", "/history"])
def test_a_page_is_for_everybody(tab: Page, path: str, workspace: Workspace, registry: Registry) -> None:
    tab.locator(f"{tile(tab, ONE)} input.name").fill("Anna")
    tab.keyboard.press("Enter")
    expect(tab.locator(".toast")).to_be_visible()
    for dark in ("light", "dark"):
        tab.emulate_media(color_scheme=dark)
        tab.goto(path)
        if path.startswith("/person"):
            tab.locator(MEMBERS).nth(0).click()
        found = Axe().run(tab, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
        assert found.violations_count == 0, found.generate_report()
    tab.set_viewport_size({"width": 360, "height": 740})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.evaluate("[...document.querySelectorAll('button')].filter(b => b.checkVisibility() && b.offsetHeight < 24).length") == 0
    tab.emulate_media(media="print")
    assert tab.locator(".top").is_visible() is False


def test_dialogs_are_for_everybody(tab: Page) -> None:
    tab.goto(f"/person/{ONE}")
    tab.keyboard.press("?")
    expect(tab.get_by_role("dialog", name="Keys")).to_be_visible()
    assert Axe().run(tab).violations_count == 0
    tab.keyboard.press("Escape")
    tab.locator(MEMBERS).nth(0).focus()
    tab.keyboard.press("Enter")
    expect(tab.locator("#look .facts")).to_be_visible()
    found = Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()
    tab.keyboard.press("m")
    expect(tab.locator("#picker [role=option]").first).to_be_visible()
    found = Axe().run(tab)
    assert found.violations_count == 0, found.generate_report()


def test_a_touch_picks_and_opens_on_a_phone(browser: Browser, review: Served, registry: Registry) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    name, _, value = review.cookie.partition("=")
    context.add_cookies([{"name": name, "value": value, "url": f"http://{review.host}", "httpOnly": True, "sameSite": "Strict"}])
    page = context.new_page()
    page.goto(f"http://{review.host}/person/{ONE}")
    page.locator(MEMBERS).nth(0).locator("img").tap()
    page.locator(MEMBERS).nth(1).locator("img").tap()
    expect(page.locator("#chosen")).to_have_text("2 selected")
    page.locator(MEMBERS).nth(1).locator("span").tap()
    expect(page.locator("#look")).to_contain_text("It is in")
    page.get_by_role("button", name="Close", exact=True).tap()
    page.get_by_role("button", name="Not this person").tap()
    expect(page.locator(MEMBERS)).to_have_count(7)
    context.close()


def test_only_what_can_be_seen_of_a_long_list_is_in_the_page(tab: Page, registry: Registry) -> None:
    """Of 3,000 people: the end is reached in one step, and a range of hundreds is selected."""
    db = registry.db
    with registry.transaction():
        for number in range(10, 3010):
            db.execute("INSERT INTO people (id, number) VALUES (?1, ?1)", (number,))
            db.execute(
                "INSERT INTO sets (person_id, name, origin, pack, written, run_id) VALUES (?, ?, 'made', 'x@1', 1, 1)",
                (number, f"faceset_{number:04d}"),
            )
    tab.goto("/people?sort=new")
    expect(tab.locator("#total")).to_have_text("3,003")
    nodes = "document.querySelectorAll('*').length"
    assert tab.evaluate(nodes) <= 1500
    tab.locator(f"{tile(tab, 'faceset_3009')} input[type=checkbox]").check()
    tab.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    expect(tab.locator(tile(tab, ONE))).to_be_visible()
    assert tab.locator(".people [data-at]").count() < 120
    assert tab.evaluate(nodes) <= 1500
    tab.evaluate("scrollTo(0, 20000)")
    expect(tab.locator(tile(tab, ONE))).to_have_count(0)  # drawn anew, and then filled
    expect(tab.locator(".people .waiting")).to_have_count(0)
    name = tab.locator(".people [data-id]").nth(20).get_attribute("data-id") or ""
    tab.locator(f"{tile(tab, name)} input[type=checkbox]").click(modifiers=["Shift"])
    at = int(tab.locator(tile(tab, name)).get_attribute("data-at") or 0)
    assert at > 300
    expect(tab.locator("#chosen")).to_have_text(f"{at + 1} selected")
    assert tab.evaluate(nodes) <= 1500


def test_pictures_are_kept_private_and_by_the_face(review: Served, workspace: Workspace, registry: Registry) -> None:
    key = members(registry, ONE)[0]
    made = sorted((workspace.root / "thumbnails" / "faces" / key[:2]).glob(f"{key}-*.webp"))
    assert [path.name for path in made] == [f"{key}-{size}.webp" for size in ("large", "medium", "small")]
    assert {path.stat().st_mode & 0o077 for path in made} == {0}
    made[0].write_bytes(b"")  # as a power cut leaves it
    assert review.get(f"/face/{key}/large").body[:4] == b"RIFF"
    for path in made:
        path.unlink()
    (workspace.facesets / ONE).rename(workspace.root / "elsewhere")
    answer = review.get(f"/face/{key}/small")
    assert answer.headers["content-type"] == "image/webp", "cut from its photo where the set's own crop is not there"
    (workspace.root / "photos").rename(workspace.root / "gone")
    made[0].unlink()
    assert review.get(f"/face/{key}/large").headers["content-type"] == "image/svg+xml", "a drawing, where there are no pixels"


def test_acts_of_several_pages_come_one_after_the_other(review: Served, registry: Registry) -> None:
    keys = members(registry, ONE)[:6]
    threads = [threading.Thread(target=review.act, args=("reject", {"set": ONE, "faces": key})) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert decided(registry) == ["reject"] * 6
    assert len(members(registry, ONE)) == 3


def test_of_several_decisions_those_are_taken_back_that_can_be(review: Served, workspace: Workspace, registry: Registry) -> None:
    assert json.loads(review.act("ignore", {"sets": f"{ONE},{TWO}"}).body)["decisions"] == [1, 2]
    acts.undo(workspace, registry, 2)
    answer = json.loads(review.act("undo", {"decisions": "1,2"}).body)
    assert answer["undone"] == [1]
    assert "taken back already" in answer["notes"][0]
    assert [person.standing for person in people.select(registry)] == ["active"] * 3


def test_options_of_the_command_line_are_checked_before_anything_is_served(workspace: Workspace, tmp_path: Path) -> None:
    assert options_of(port=0).is_loopback
    command = [sys.executable, "-m", "facesets", "-C", str(workspace.root), "review", "--no-browser", "--host", "192.0.2.1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "FACESETS_REVIEW_PASSWORD" in done.stderr

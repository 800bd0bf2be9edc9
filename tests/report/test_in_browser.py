"""The report in a real browser: by keyboard, on a phone, on paper, and without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks import chromium
from PIL import Image

from facesets.report import write_report
from tests.export.home import Home

WIDTHS = (360, 1280)


@pytest.fixture(scope="module")
def browser() -> Iterator[chromium.Page]:
    path = chromium.program()
    if path is None:
        pytest.skip("needs Chromium on the PATH (apt-get install chromium)")
    with chromium.browser(path) as page:
        yield page


@pytest.fixture
def page(browser: chromium.Page) -> chromium.Page:
    browser.scripts(allowed=True)
    browser.size(1280, 900)
    browser.messages.clear()
    return browser


@pytest.fixture
def report(done: Home) -> Path:
    return write_report(done.workspace, done.registry, done.out)


def a_set(report: Path) -> str:
    return (report.with_suffix("") / "faceset_003.html").as_uri()


def test_pages_keep_their_own_policy_and_show_every_picture(page: chromium.Page, report: Path) -> None:
    for address in (report.as_uri(), a_set(report), a_set(report) + "#f0002"):
        page.open(address)
        page.ask("Promise.all([...document.images].filter(i => i.checkVisibility()).map(i => (i.loading = 'eager', i.decode())))")
        assert page.ask("[...document.images].every(i => !i.checkVisibility() || i.naturalWidth > 0)")
    assert page.messages == []


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(page: chromium.Page, report: Path, width: int) -> None:
    page.size(width, 800)
    for address in (report.as_uri(), a_set(report), a_set(report) + "#f0001"):
        page.open(address)
        assert page.ask("document.documentElement.scrollWidth") <= width


def test_a_face_opens_moves_on_and_closes_by_keyboard(page: chromium.Page, report: Path) -> None:
    page.open(a_set(report))
    page.ask("document.querySelector('.faces a').focus()")
    page.press("Enter")
    shown = "document.querySelector('figure.large:target')?.id"
    assert page.ask(shown) == "f0001"
    assert page.ask(f"document.activeElement === {shown.removesuffix('?.id')}")
    page.press("ArrowRight")
    assert page.ask(shown) == "f0002"
    page.press("Escape")
    assert page.ask(shown) is None
    assert page.ask("document.activeElement.getAttribute('href')") == "#f0002", "the focus is on the face that was seen last"


def test_without_scripts_faces_still_open_and_no_dead_search_is_shown(page: chromium.Page, report: Path) -> None:
    page.scripts(allowed=False)
    page.open(a_set(report) + "#f0001")
    assert page.ask("getComputedStyle(document.querySelector('#f0001')).display") == "flex"
    assert page.ask("[...document.querySelectorAll('#f0001 nav a')].map(a => a.textContent).join()") == "Next,Close"
    page.open(report.as_uri())
    assert page.ask("document.querySelector('#search').checkVisibility()") is False
    assert page.ask("document.querySelectorAll('article').length") == 4


def test_search_leaves_the_sets_that_are_meant(page: chromium.Page, report: Path) -> None:
    page.open(report.as_uri())
    cards = "[...document.querySelectorAll('article')].filter(c => c.checkVisibility()).map(c => c.id).join()"
    everybody = "faceset_003,faceset_004,faceset_001,faceset_002"
    for words, shown, told in (
        ("zoe", "faceset_003", "1 set"),
        ("4", "faceset_004", "1 set"),
        ("2", "faceset_002", "1 set"),
        ("faceset 00", everybody, "4 sets"),
        ("nobody", "", "0 sets"),
        ("", everybody, ""),
    ):
        page.ask(f"document.querySelector('#search').value = {words!r}")
        page.ask("document.querySelector('#search').dispatchEvent(new Event('input'))")
        assert page.ask(cards) == shown, words
        assert page.ask("document.querySelector('#found').textContent") == told


def test_dark_light_and_still_are_as_the_reader_wishes(page: chromium.Page, report: Path) -> None:
    colours = set()
    for dark in (False, True):
        page.size(1280, 900, dark=dark)
        page.open(report.as_uri())
        colours.add(page.ask("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2
    page.size(1280, 900, reduced_motion=True)
    assert page.ask("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_on_paper_a_long_name_takes_no_room_from_other_cards(page: chromium.Page, report: Path) -> None:
    page.size(794, 1123, media="print")
    page.open(report.as_uri())
    page.ask("document.querySelector('article h3 strong').textContent = 'W'.repeat(90)")
    widths = "[...document.querySelectorAll('article')].map(card => Math.round(card.getBoundingClientRect().width))"
    assert page.ask(f"new Set({widths}).size") == 1


def test_on_paper_bars_are_drawn_which_prints_without_backgrounds_too(page: chromium.Page, report: Path, tmp_path: Path) -> None:
    page.size(794, 1123, media="print", dark=True)
    page.open(report.as_uri())
    page.picture(tmp_path / "paper.png")
    x, y, width, height = page.ask(
        "(({x, y, width, height}) => [x, y, width, height])(document.querySelector('svg.bar').getBoundingClientRect())"
    )
    colours = Image.open(tmp_path / "paper.png").convert("RGB").crop((int(x), int(y), int(x + width), int(y + height))).getcolors(10**6)
    assert colours is not None
    _, most = max(colours)
    assert isinstance(most, tuple)
    assert max(most) - min(most) > 30, "of a drawn bar's colour, not of paper"
    assert page.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)", "light on paper, however the screen is"
    assert page.ask("document.querySelector('.index').checkVisibility()") is False

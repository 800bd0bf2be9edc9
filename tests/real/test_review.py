"""Review in a real browser, of sets that a real pack made of real photos: a person's whole evening in one go."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from facesets.cli import main
from facesets.export import verify
from facesets.registry import people, sets
from facesets.workspace import Workspace
from tests.review.conftest import browser  # noqa: F401 - the browser of the web app's own tests
from tests.review.home import served

NAMES = ("Roger_Federer", "Tom_Ridge", "Vicente_Fox")
FACES = "ul[data-list=member] [data-id]"


@pytest.fixture
def family(shared: Path, tmp_path: Path) -> Workspace:
    """A workspace after a run over a folder with ten photos of each of three people."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in NAMES:
        of = sorted(path for part in ("lfw", "scenes") for path in (shared / "photos" / part).rglob(f"{name}*.jp*g"))
        for path in of[:10]:
            shutil.copyfile(path, photos / path.name)
    root = tmp_path / "w"
    for words in (("init",), ("run", "--user", "anna", "--folder", str(photos), "--pack", str(shared / "models" / "edge"))):
        with pytest.raises(SystemExit) as stopped:
            main(["-C", str(root), *words])
        assert stopped.value.code == 0
        if words == ("init",):
            settings = root / "facesets.toml"
            settings.write_text(re.sub("^# min_face_short = .*$", "min_face_short = 40", settings.read_text(), flags=re.MULTILINE))
    return Workspace.open(root)


def test_an_evening_with_the_family(family: Workspace, browser: Browser) -> None:
    with family.registry() as registry:
        made = [person.set_name for person in people.select(registry)]
        assert len(made) >= 2
        before = {name: sets.members(registry, name) for name in made}
    with served(family) as running:
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.goto(running.options.link)
        for n, name in enumerate(made):
            page.locator(f"[data-id={name}] input.name").fill(f"Person {n}")
            page.keyboard.press("Enter")
            expect(page.locator(".toast").last).to_contain_text(f"{name} is Person {n}")
        page.locator(f"[data-id={made[0]}] a").click()
        page.locator(FACES).nth(0).click()
        page.keyboard.press("m")
        page.get_by_role("combobox", name="Whose face is it?").fill("Person 1")
        page.keyboard.press("Enter")
        expect(page.locator(FACES)).to_have_count(len(before[made[0]]) - 1)
        page.locator(FACES).nth(0).click()
        page.keyboard.press("r")
        expect(page.locator(FACES)).to_have_count(len(before[made[0]]) - 2)
        page.locator(FACES).nth(0).dblclick()
        expect(page.locator("#look svg rect.mine")).to_be_visible()
        natural = "i => { const p = new Image(); p.src = i.href.baseVal; return p.decode().then(() => p.naturalWidth); }"
        assert page.locator("#look image").evaluate(natural) > 100
        page.keyboard.press("Escape")
        for left in (len(before[made[0]]) - 1, len(before[made[0]])):
            page.keyboard.press("z")
            expect(page.locator(FACES)).to_have_count(left)
        page.context.close()
    with family.registry() as registry:
        assert {name: sorted(key for _, key, _ in sets.members(registry, name)) for name in made} == {
            name: sorted(key for _, key, _ in rows) for name, rows in before.items()
        }
        assert verify(family, registry).ok

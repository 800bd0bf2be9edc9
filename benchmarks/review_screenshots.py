"""Pictures of the review page for the documentation: the demo's, blurred, with made-up names; light, dark and on a phone.

    python -m benchmarks.review_screenshots docs/images

Needs Chromium on the PATH. Every face is blurred in the pixels but on the page of the astronaut (NASA, public domain).
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.chromium import program
from facesets import people
from facesets.demo import demo, serving
from facesets.progress import Silent
from facesets.registry import people as known
from facesets.review import Options
from facesets.review.server import bound, uvicorn_server
from facesets.testing.sample_library import sample_library
from facesets.workspace import Workspace

_ASTRONAUT = "faceset_007"
_NAMES = ("Grandma Ruth", "Omar", "", "שרה", "Jo", "", "Eileen")


@contextmanager
def _opened(workspace: Workspace) -> Iterator[Page]:
    """A page of the review of a workspace, whose faces are blurred but the astronaut's."""
    path = program()
    assert path is not None
    options = Options(port=0, blur=True, unblurred=frozenset({_ASTRONAUT}))
    with bound(options) as listening:
        options = options.at(listening.getsockname()[1])
        server = uvicorn_server(workspace, options)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with sync_playwright() as playwright, playwright.chromium.launch(executable_path=path) as browser:
                page = browser.new_page(viewport={"width": 1240, "height": 800}, reduced_motion="reduce")
                page.goto(options.link)
                yield page
        finally:
            server.should_exit = True
            thread.join()


def _taken(page: Page, address: str, out: Path, *, dark: bool = False, width: int = 1240, height: int = 800) -> None:
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.goto(address)
    page.wait_for_timeout(1500)  # a page that listens for a run's progress is never idle
    page.screenshot(path=out)


def main(folder: Path) -> None:
    """Make the demo, name its people, and take pictures into ``folder``."""
    if program() is None:
        raise SystemExit("Chromium is not on the PATH: apt-get install chromium")
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "demo"
        sample = sample_library()
        demo(root, blur=True, progress=Silent(), sample=sample)
        workspace = Workspace.open(root)
        with workspace.lock(), workspace.registry() as registry:
            for person, name in zip(known.select(registry), _NAMES, strict=True):
                if name:
                    people.name(workspace, registry, person.set_name, name)
            people.ignore(workspace, registry, "faceset_003")
        with serving(workspace, sample, Silent()) as connected, _opened(connected) as page:
            base = page.url.removesuffix("/people")
            for name, path, dark, width, height in (
                ("people", "/people", False, 1240, 560),
                ("people-dark", "/people", True, 1240, 560),
                ("people-phone", "/people", False, 360, 740),
                ("person-dark", f"/person/{_ASTRONAUT}", True, 1240, 800),
                ("history", "/history", False, 1240, 560),
                ("decide", "/decide", False, 1240, 800),
                ("decide-dark", "/decide", True, 1240, 800),
                ("happened", "/happened", False, 1240, 800),
            ):
                _taken(page, base + path, folder / f"review-{name}.png", dark=dark, width=width, height=height)
            page.goto(f"{base}/publish")
            page.get_by_role("button", name="Show what would be written").click()
            page.locator("[data-found]").wait_for()  # it is still there when the page is opened anew
            for name, dark in (("publish", False), ("publish-dark", True)):
                _taken(page, f"{base}/publish", folder / f"review-{name}.png", dark=dark)
            _taken(page, f"{base}/person/{_ASTRONAUT}", folder / "review-person.png")
            faces = page.locator("ul[data-list=member] [data-id]")
            faces.nth(2).click()
            faces.nth(5).click(modifiers=["Shift"])
            page.screenshot(path=folder / "review-person.png")
            page.keyboard.press("Escape")
            faces.nth(1).focus()
            page.keyboard.press("Enter")
            page.locator("#look .facts").wait_for()
            page.evaluate("fetch(document.querySelector('#look image').href.baseVal).then(answer => answer.blob())")
            page.wait_for_timeout(1000)  # for it to be drawn
            page.screenshot(path=folder / "review-face.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

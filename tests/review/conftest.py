"""One workspace after a run for all of this room's tests, its thumbnails made; each test has a copy of it, and a server of its own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from benchmarks.chromium import program
from playwright.sync_api import Browser, Page, expect, sync_playwright

from facesets.registry import Registry, sets
from facesets.review import options_of
from facesets.review.images import Images
from facesets.review.threads import RegistryThreads
from facesets.workspace import Workspace
from tests.people.conftest import after_a_run, pack  # noqa: F401 - the workspace of the acts' own tests

from .home import Served, served


@pytest.fixture(scope="session")
def looked_at(after_a_run: Path) -> Path:
    """Three sets of 9, 9 and 7 faces, two recognised; every picture made."""
    workspace = Workspace.open(after_a_run)
    threads = RegistryThreads(workspace)
    images = Images(workspace, threads, options_of())

    async def make(keys: list[str]) -> None:
        await asyncio.gather(*(images.get(key, "medium") for key in keys))

    with workspace.registry() as registry:
        keys = [key for faceset in sets.select(registry) for _, key, _ in sets.members(registry, faceset.name)]
        keys += [row[0] for row in registry.db.execute("SELECT key FROM measurements ORDER BY key") if row[0] not in keys]
    with ThreadPoolExecutor(1) as thread:  # in this one a browser's loop may be running
        thread.submit(asyncio.run, make(keys)).result()
    images.close()
    threads.close()
    return after_a_run


@pytest.fixture
def workspace(looked_at: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(looked_at, tmp_path / "w")
    return Workspace.open(tmp_path / "w")


@pytest.fixture
def registry(workspace: Workspace) -> Iterator[Registry]:
    with workspace.registry() as opened:
        yield opened


@pytest.fixture
def review(workspace: Workspace) -> Iterator[Served]:
    """A review with a session."""
    with served(workspace) as running:
        running.enter()
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = program()
    if path is None:
        pytest.skip("needs Chromium on the PATH (apt-get install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path)
        expect.set_options(timeout=15_000)  # where many tests share few cores
        yield started
        started.close()


@pytest.fixture
def tab(browser: Browser, workspace: Workspace) -> Iterator[Page]:
    """A page of a browser in which the printed link was opened; what its console says must be nothing."""
    said: list[str] = []
    with served(workspace) as running:
        context = browser.new_context(
            viewport={"width": 1280, "height": 900}, reduced_motion="reduce", base_url=f"http://{running.host}"
        )
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(running.options.link)
        yield page
        context.close()
    assert [each for each in said if "status of 4" not in each and "ERR_INTERNET_DISCONNECTED" not in each] == []

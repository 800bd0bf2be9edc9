"""Fixtures that more than one room's tests use. Real parts: real SQLite, real HTTP on loopback, real models and photos."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, settings
from skimage import data

from facesets.models.load import load_pack
from facesets.models.pack import Pack
from facesets.photos.decoder_pool import DecoderPool
from facesets.testing.twins import twin_pack

from . import tiers
from .decoders import LentDecoders
from .postgres import running

# Results are to be the same on every machine; tests of other engines name them.
os.environ["FACESETS_ENGINE"] = "cpu"


ROOT = Path(__file__).parent

# a busy machine must not decide whether a claim holds
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The fast tier imports no other modules: what these ask for takes longer to import than many tests to run."""
    if config.option.markexpr != "fast" or not collection_path.name.startswith("test_"):
        return None
    return None if tiers.has_fast(collection_path.relative_to(ROOT).as_posix()) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each test into its tiers; see tiers.py."""
    tests = [item for item in items if isinstance(item, pytest.Function)]
    newest: dict[str, tuple[int, ...]] = {}
    for item in tests:
        newest[_test(item)] = max(newest.get(_test(item), ()), _dialect(item))
    for item in tests:
        asked = frozenset(item.fixturenames)
        module = item.path.relative_to(ROOT).as_posix()
        slow = item.get_closest_marker(tiers.SLOW) is not None or _dialect(item) < newest[_test(item)]
        if not slow and tiers.is_fast(module, item.originalname, asked):
            item.add_marker("fast")
        if tiers.BROWSER in asked:
            item.add_marker("browser")


def _test(item: pytest.Function) -> str:
    return item.nodeid.partition("[")[0]


def _dialect(item: pytest.Function) -> tuple[int, ...]:
    return tiers.dialect(item.callspec.params.values()) if hasattr(item, "callspec") else ()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many tests ran in a browser: they skip where there is none, which CI must not overlook."""
    counts = dict.fromkeys(("passed", "failed", "error", "skipped"), 0)
    for outcome in counts:
        reports = [r for r in terminalreporter.stats.get(outcome, []) if isinstance(r, pytest.TestReport)]
        counts[outcome] = sum("browser" in r.keywords and r.when != "teardown" for r in reports)
    terminalreporter.write_line(
        f"browser tests: {counts['passed'] + counts['failed'] + counts['error']} ran, {counts['skipped']} skipped"
    )


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with labelled photos, a real model pack and recordings; not part of the project, so its tests may skip."""
    folder = Path(os.environ.get("FACESETS_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "photos" / "labels.csv").is_file():
        pytest.skip(f"needs the labelled photos, model pack and recordings in {folder} (set FACESETS_SHARED)")
    return folder


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that the session's tests share, so that the open pack is converted once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def open_pack(model_cache: Path) -> Pack:
    """The permissive pack, with real weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACESETS_CACHE", str(model_cache))
        return load_pack("open")


@pytest.fixture(scope="session")
def decoders() -> Iterator[DecoderPool]:
    """Processes that decode for everything these tests run; see ``lend``."""
    started = LentDecoders()
    yield started
    started.end()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a Postgres of our own, with pgvector."""
    with running() as url:
        yield url


@pytest.fixture(scope="session")
def twin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A twin pack with buffalo_l's shapes."""
    return twin_pack(tmp_path_factory.mktemp("packs") / "twin")


@pytest.fixture(scope="session")
def twin(twin_folder: Path) -> Pack:
    """The twin pack, loaded once."""
    return load_pack(twin_folder)


@pytest.fixture(scope="session")
def astronaut() -> npt.NDArray[np.uint8]:
    """The astronaut of scikit-image (NASA, public domain)."""
    return np.asarray(data.astronaut(), np.uint8)

"""Photos whose originals are not here are Immich's previews, asked for when looked at: slow, gone, odd or of somebody else."""

from __future__ import annotations

import io
import shutil
import threading

import pytest
from PIL import Image

from facesets.registry import Registry, sets
from facesets.review import previews
from facesets.testing import faults
from facesets.workspace import Workspace
from tests.pipeline.world import tree
from tests.publish.conftest import _no_waiting, after_a_run, home, version  # noqa: F401 - a family in Immich, and a run over it
from tests.publish.home import Home
from tests.review.home import Served, served

THUMBNAIL = "GET /api/assets/{id}/thumbnail"


@pytest.fixture
def workspace(home: Home) -> Workspace:
    return Workspace.open(home.cli.workspace)


@pytest.fixture
def key(registry: Registry) -> str:
    return sets.members(registry, "faceset_001")[0][1]


def go_away(workspace: Workspace) -> None:
    """The originals and all crops: what is left of a photo is in Immich."""
    for folder in (workspace.root / "photos", workspace.root / "crops", workspace.facesets):
        shutil.rmtree(folder, ignore_errors=True)


def files(workspace: Workspace) -> dict[str, str]:
    """All but pictures of faces, which are made ahead."""
    return {path: digest for path, digest in tree(workspace.root).items() if not path.startswith("thumbnails/faces/")}


def size_of(data: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(data)).size


def test_an_original_that_is_here_is_shown_and_immich_not_asked(home: Home, review: Served, key: str) -> None:
    assert size_of(review.get(f"/photo/{key}").body)[0] > 100
    assert home.server.count(THUMBNAIL) == 0


def test_else_immich_shows_its_preview_which_is_kept_in_no_file(home: Home, review: Served, workspace: Workspace, key: str) -> None:
    original = size_of(review.get(f"/photo/{key}").body)
    go_away(workspace)
    before = files(workspace)
    answer = review.get(f"/photo/{key}")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/webp")
    assert size_of(answer.body)[0] / size_of(answer.body)[1] == pytest.approx(original[0] / original[1], rel=0.02)
    assert home.server.count(THUMBNAIL) == 1
    assert files(workspace) == before
    cut = review.get(f"/face/{key}/medium")
    assert (cut.headers["content-type"], size_of(cut.body)) == ("image/webp", (256, 256)), "the face is cut out of it"


def test_a_slow_immich_holds_up_no_picture_of_what_is_here(
    home: Home, workspace: Workspace, registry: Registry, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(previews, "_PATIENCE", 120.0)
    photo = registry.db.execute(
        "SELECT p.path FROM photos AS p JOIN measurements AS m ON m.photo_id = p.id WHERE m.key = ?", (key,)
    ).fetchone()[0]
    (workspace.root / photo).unlink()
    go_on, held = threading.Event(), threading.Semaphore(0)

    def hold() -> None:
        held.release()
        go_on.wait(120)

    home.faults.add(faults.hook("held", hold), THUMBNAIL)
    answers = list[int]()
    with served(workspace) as review:
        review.enter()
        lookers = [threading.Thread(target=lambda: answers.append(review.get(f"/photo/{key}").status)) for _ in range(6)]
        for looker in lookers:
            looker.start()
        assert held.acquire(timeout=30)
        for _, other, _ in sets.members(registry, "faceset_002"):
            assert review.get(f"/face/{other}/small").headers["content-type"] == "image/webp"
        go_on.set()
        for looker in lookers:
            looker.join()
        assert answers == [200] * 6


def test_an_immich_that_is_gone_is_asked_once_and_later_again(
    home: Home, workspace: Workspace, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    go_away(workspace)  # before review is opened, which makes pictures ahead
    home.faults.add(faults.dropped())
    with served(workspace) as review:
        review.enter()
        assert review.get(f"/photo/{key}").status == 404
        asked = home.faults.counts["dropped"]
        assert asked > 0
        for _ in range(5):
            assert review.get(f"/photo/{key}").status == 404
            assert review.get(f"/face/{key}/medium").headers["content-type"] == "image/svg+xml", "a drawing"
        assert home.faults.counts["dropped"] == asked
        home.faults.clear()
        monkeypatch.setattr(previews, "_AGAIN", 0.0)
        assert review.get(f"/photo/{key}").status == 200


@pytest.mark.parametrize(
    "fault", [faults.html(), faults.swapped(b"no picture at all"), faults.truncated(), faults.status(403), faults.status(500)],
    ids=lambda fault: fault.name,
)  # fmt: skip
def test_an_odd_answer_is_no_picture_and_the_next_one_may_be(
    home: Home, review: Served, workspace: Workspace, key: str, monkeypatch: pytest.MonkeyPatch, fault: faults.Fault
) -> None:  # fmt: skip
    monkeypatch.setattr(previews, "_AGAIN", 0.0)
    go_away(workspace)
    home.faults.add(fault, THUMBNAIL)
    assert review.get(f"/photo/{key}").status == 404
    assert home.faults.counts[fault.name] == 1, "somebody waits: it is not tried again and again"
    home.faults.clear()
    assert review.get(f"/photo/{key}").status == 200


def test_a_photo_that_is_somebody_elses_by_now_is_not_shown(home: Home, review: Served, workspace: Workspace, key: str) -> None:
    go_away(workspace)
    bob = next(user for user in home.library.users.values() if user.name == "bob")
    for asset in home.library.assets.values():
        asset.owner_id = bob.id
    answer = review.get(f"/photo/{key}")
    assert (answer.status, answer.body) == (404, b"")
    assert home.server.count(THUMBNAIL) == 1

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facesets import people
from facesets.changes import plan
from facesets.identity import growth
from facesets.models import Pack, load_pack
from facesets.progress import Silent
from facesets.records import Asset, Face, Reason, SourcePerson
from facesets.registry import Found, Registry, assets, measurements, source_people
from facesets.testing.twins import twin_pack
from facesets.workspace import Workspace
from tests.clustering import people as made

OLD = 260


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return load_pack(twin_pack(tmp_path_factory.mktemp("pack"), others=False))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.init(tmp_path / "home")


@pytest.fixture
def registry(workspace: Workspace) -> Iterator[Registry]:
    with workspace.registry() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "FEWEST", 100)


def vectors() -> NDArray[np.float32]:
    x, _ = made.people([12, 11, 10, 9, 8, 7, 4, 4, 3, *[2] * 20, *[1] * 167], d=128, spread=0.8)
    between = x[0] + x[1] + x[12] + x[13]  # of two people: near to both
    order = np.random.default_rng(1).permutation(len(x))
    return np.concatenate([between[None] / np.linalg.norm(between), x[order]])


def add(registry: Registry, x: NDArray[np.float32], rows: Sequence[int], pack: Pack) -> None:
    """Photos of one face each, embedded; their source calls them all p0, p1 ..."""
    with registry.transaction():
        assets.add_listed(registry, "anna", "immich", [Asset("owner", f"a{n:04d}") for n in rows], 1)
        for row in assets.select(registry, reasons=[Reason.LISTED]):
            n = int(row.asset.asset_id[1:])
            face = Face(f"{n:032x}", f"{n:064x}", 0, (10.0, 10.0, 210.0, 210.0), (), 0.9, 200.0, 0.5, pack.id)
            assets.settle(registry, row.id, Reason.EMBEDDED, sha256=face.sha256)
            measurements.add(registry, [Found(face, x[n], source_person_id=f"p{n}")])


def planned(workspace: Workspace, registry: Registry, pack: Pack, *, classic: bool = False) -> dict[str, Any]:
    return plan(workspace, registry, ["anna"], pack, 1, Silent(), classic=classic)


def standings(registry: Registry) -> list[tuple[Any, ...]]:
    sql = (
        "SELECT m.key, s.standing, s.person_id, round(s.distance, 6) FROM measurements AS m "
        "JOIN memberships AS s ON s.face_id = m.face_id ORDER BY m.key"
    )
    return [tuple(row) for row in registry.db.execute(sql)]


def test_a_plan_with_a_few_new_faces_ends_as_one_that_decides_on_all(
    workspace: Workspace, registry: Registry, pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = vectors()
    other = Workspace.init(tmp_path / "other")
    with other.registry() as all_again:
        for where, opened, fewest in ((workspace, registry, 100), (other, all_again, 10**9)):
            monkeypatch.setattr(growth, "FEWEST", fewest)
            add(opened, x, range(OLD), pack)
            assert planned(where, opened, pack)["unchanged"] == 0
            add(opened, x, range(OLD, len(x)), pack)
            counts = planned(where, opened, pack)
            assert (counts["unchanged"] > 100) == (fewest == 100), counts
            assert counts["unmatched"] > 0
        assert standings(registry) == standings(all_again)


def test_where_nothing_came_nothing_is_decided_again_whichever_way_it_was(workspace: Workspace, registry: Registry, pack: Pack) -> None:
    x = vectors()
    for rows in (range(OLD), range(OLD, len(x))):
        add(registry, x, rows, pack)
        planned(workspace, registry, pack)
        before = standings(registry)
        assert "likely" in {standing for _, standing, *_ in before}
        counts = planned(workspace, registry, pack)
        assert (counts["unmatched"], counts["already_covered"], counts["unchanged"]) == (0, 0, 0)
        assert standings(registry) == before


def test_more_new_faces_than_a_tenth_have_all_decided_on(workspace: Workspace, registry: Registry, pack: Pack) -> None:
    x = vectors()
    add(registry, x, range(OLD - 60), pack)
    planned(workspace, registry, pack)
    add(registry, x, range(OLD - 60, len(x)), pack)
    assert planned(workspace, registry, pack)["unchanged"] == 0


def test_after_linkage_alone_all_are_decided_on_again(workspace: Workspace, registry: Registry, pack: Pack) -> None:
    x = vectors()
    for n, classic in enumerate((True, True, False, False)):
        add(registry, x, range(OLD) if n == 0 else [OLD + n], pack)
        assert (planned(workspace, registry, pack, classic=classic)["unchanged"] > 0) == (n == 3)


def test_a_tenth_that_came_bit_by_bit_has_all_decided_on_again(workspace: Workspace, registry: Registry, pack: Pack) -> None:
    x = vectors()
    add(registry, x, range(OLD - 60), pack)
    planned(workspace, registry, pack)
    unchanged = []
    for start in range(OLD - 60, len(x), 6):
        add(registry, x, range(start, min(start + 6, len(x))), pack)
        unchanged.append(planned(workspace, registry, pack)["unchanged"])
    assert unchanged[0] > 0
    assert 0 in unchanged
    assert unchanged[unchanged.index(0) + 1] > 0, "and then bit by bit again"


def test_a_name_for_a_face_that_was_left_over_has_all_decided_on_again(workspace: Workspace, registry: Registry, pack: Pack) -> None:
    x = vectors()
    add(registry, x, range(OLD), pack)
    planned(workspace, registry, pack)
    (left,) = registry.db.execute("SELECT min(f.source_person_id) FROM memberships AS s JOIN faces AS f ON f.id = s.face_id "
                                  "WHERE s.standing = 'few_faces'").fetchone()  # fmt: skip
    people.name(workspace, registry, "1", "Anna")
    add(registry, x, [OLD], pack)
    assert planned(workspace, registry, pack)["unchanged"] > 0, "that a set has a name says nothing of faces in none"
    source_people.put(registry, "anna", {left: SourcePerson("owner", left, "Anna")})
    add(registry, x, [OLD + 1], pack)
    assert planned(workspace, registry, pack)["unchanged"] == 0
    add(registry, x, [OLD + 2], pack)
    assert planned(workspace, registry, pack)["unchanged"] > 0

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from facesets.records import Reason
from facesets.testing import ImmichServer, Library, User, faults
from tests.immich.photos import BIG, photo

from .home import Home

NAMES = (
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\windows\\system32\\x.jpg",
    "nul\0byte.jpg",
    "x" * 4000 + ".jpg",
    "🧓🏽👵.jpg",
    "CON",
    "aux.jpg",
    "LPT1.jpeg",
    "trailing dot.",
    "con.jpg:stream",
    ".",
    "..",
    "",
    "a\nb\r.jpg",
    "$(touch x).jpg",
    "'; DROP TABLE assets; --.jpg",
    "%2e%2e%2fx.jpg",
    "lone<HERE>surrogate.jpg",
    "\u202egpj.exe",
    ".jpg/../../../x",
    "x.JPG",
)


def test_names_from_the_server_are_data_and_never_paths(library: Library, anna: User, server: ImmichServer, home: Home) -> None:
    for number, name in enumerate(NAMES):
        asset = library.photo(anna, photo(number), file_name="x.jpg", faces=[BIG])
        asset.file_name = name
        asset.original_path = name
    # JSON can carry a lone surrogate, though no database could have held it
    lone = faults.Fault("surrogate", change=lambda answer, _: replace(answer, body=answer.body.replace(b"<HERE>", b"\\ud800")))
    server.faults.add(lone, "POST /api/search/metadata")
    before = {path.name for path in home.workspace.root.parent.iterdir()}
    home.stage(server, anna)
    assert home.counts() == {Reason.STAGED: len(NAMES)}
    stored = {row.asset.file_name for row in home.rows()}
    assert stored == {name.replace("<HERE>", "\\ud800") for name in NAMES}
    assert {row.asset.original_path for row in home.rows()} == stored
    root = home.workspace.root
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        assert name.isascii()
        assert len(name) < 100
    for row in home.rows():
        assert row.path is not None
        assert Path(row.path).name == row.asset.asset_id + Path(row.path).suffix
        assert Path(row.path).suffix in {".jpg", ".jpeg", ".bin"}
    assert {path.name for path in home.workspace.root.parent.iterdir()} == before

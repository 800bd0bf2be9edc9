"""Killed at any commit, in a library that changes before the same command is given again: no state of the world locks a workspace.

One run leaves a copy of its workspace at each commit: what a kill at that moment would have left on the disk.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from facesets.registry import Registry
from facesets.testing import Asset, Library

from .world import CommandLine, add_photos, boxes, jpeg, tree

VICTIM = "p1_1.jpg"
PHOTOS = 3  # of each person: one fewer is still enough for a set here


@pytest.fixture
def library() -> Library:
    """Two people with a few photos each."""
    library = Library()
    anna = library.user("anna")
    for person in (1, 2):
        add_photos(library, anna, [person], PHOTOS)
    return library


@dataclass(frozen=True)
class Source:
    """What a user may do to a photo where it lies; ``run`` is the command line's words for this source."""

    run: tuple[str, ...]
    delete: Callable[[], None]
    save_again: Callable[[], None]
    restore: Callable[[], None]


def server_source(library: Library) -> Source:
    """Anna's library on the server."""
    before = {asset_id: replace(asset) for asset_id, asset in library.assets.items()}
    victim = next(asset for asset in library.assets.values() if asset.file_name == VICTIM)

    def save_again() -> None:
        """As an upload that takes the place of the one before: the same id, other bytes."""
        other = Library()
        anna = other.user("anna")
        changed: Asset = other.photo(anna, data=jpeg([1], 4711), file_name=VICTIM, faces=boxes([1]))
        for name in ("data", "size", "sha1", "thumbhash"):
            setattr(library.assets[victim.id], name, getattr(changed, name))
        library.assets[victim.id].updated_at = library.now()

    def restore() -> None:
        library.assets.clear()
        library.assets.update({asset_id: replace(asset) for asset_id, asset in before.items()})

    return Source(("--user", "anna"), lambda: library.assets.__delitem__(victim.id), save_again, restore)


def folder_source(folder: Path) -> Source:
    """The same photos in a folder."""

    def restore() -> None:
        folder.mkdir(exist_ok=True)
        for person in (1, 2):
            for n in range(PHOTOS):
                (folder / f"p{person}_{n}.jpg").write_bytes(jpeg([person], 1000 * person + n))

    restore()
    victim = folder / VICTIM
    return Source(("--user", "box", "--folder", str(folder)), victim.unlink, lambda: _write(victim, jpeg([1], 4711)), restore)


def _write(file: Path, data: bytes) -> None:
    file.write_bytes(data)


def _copy_unless_renamed(source: str, target: str) -> None:
    """Downloads go on in other threads: a part that was just listed may have its name by now."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


@contextmanager
def copied_at_each_commit(workspace: Path, into: Path, monkeypatch: pytest.MonkeyPatch, when: str = "before") -> Iterator[list[Path]]:
    """Copies made just before each commit, while its transaction keeps all others from writing: what is not committed is lost.

    Or just after each: no file follows what was committed.
    """
    copies: list[Path] = []
    real = Registry.commit

    def commit(self: Registry) -> None:
        if when == "after":
            real(self)
        copies.append(into / f"{len(copies):02d}")
        # the lock dies with its process, and so does SQLite's index of its log
        ignore = shutil.ignore_patterns(".lock", "*-shm")
        shutil.copytree(workspace, copies[-1], ignore=ignore, copy_function=_copy_unless_renamed)
        if when == "before":
            real(self)

    with monkeypatch.context() as patched:
        patched.setattr(Registry, "commit", commit)
        yield copies


@pytest.mark.parametrize("change", ["deleted", "saved again", "damaged here"])
@pytest.mark.parametrize("kind", ["server", "folder"])
def test_no_commit_leaves_a_workspace_that_a_changed_library_locks(
    cli: CommandLine, library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, change: str
) -> None:
    if (kind, change) == ("folder", "damaged here"):
        change = "emptied"  # a folder's photo has no copy here: what its owner breaks is the photo itself
    source = server_source(library) if kind == "server" else folder_source(tmp_path / "box")
    cli.set("min_faces = 2")
    cli.set("min_photos = 2")
    with copied_at_each_commit(cli.workspace, tmp_path / "copies", monkeypatch) as copies:
        assert cli("run", *source.run).code == 0
    assert len(copies) >= 12  # the run's start, the user, the listing, photos, faces, sets and their plan, each set, the end
    for copy in copies:
        cli.workspace.rename(copy.with_suffix(".after"))
        copy.rename(cli.workspace)
        source.restore()
        match change:
            case "deleted":
                source.delete()
            case "saved again":
                source.save_again()
            case "emptied":
                (tmp_path / "box" / VICTIM).write_bytes(b"")
            case "damaged here":
                for file in sorted((cli.workspace / "photos").rglob("*.jpg"))[:1]:
                    file.write_bytes(file.read_bytes()[:-100] + b"?" * 100)
        _goes_on(cli, source, copy.name)


def _goes_on(cli: CommandLine, source: Source, where: str) -> None:
    """At most one run stops for a photo that is another one than was queued; then all is as ever."""
    answer = cli("run", *source.run, "--json")
    if answer.code == 3:
        answer = cli("run", *source.run, "--json")
    assert answer.code == 0, f"commit {where}: {answer.err}"
    assert answer.json["listed"] == sum(answer.json["assets_by_state"].values()), where
    before = tree(cli.workspace / "facesets")
    again = cli("run", *source.run, "--json")
    assert (again.code, again.json["sets_new"], again.json["embedded"]) == (0, [], 0), f"commit {where}: {again.err}"
    assert tree(cli.workspace / "facesets") == before, where
    assert cli("verify").code == 0, where
    assert len(list((cli.workspace / "facesets").glob("faceset_*"))) == 2, where

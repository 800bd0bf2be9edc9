"""The documentation says what is true: its links lead somewhere, its commands exist, and CI finds the two that it runs."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import click
import pytest

from facesets.cli import facesets
from facesets.sources import Reconciliation

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_MARKED = re.compile(r"^<!-- ci: (\w+) -->\n```sh\n(.*?)\n```", re.MULTILINE | re.DOTALL)


def calls(page: Path) -> list[list[str]]:
    """Every call of facesets in a page's shell blocks, as words, in order; settings of the environment before it are left out."""
    parts = [part for block in _BLOCK.findall(page.read_text(encoding="utf-8")) for part in re.split(r"&&|#.*|\n", block)]
    words = [[*itertools.dropwhile(lambda word: re.match(r"[A-Z_]+=", word), shlex.split(part))] for part in parts]
    return [call[1:] for call in words if call[:1] == ["facesets"]]


def _mentioned(page: Path) -> list[list[str]]:
    """Every call of facesets in a page's running text."""
    inline = re.findall(
        r"(?<!`)`facesets ([a-z-][^`]*)`(?!`)", re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    )
    return [shlex.split(text) for text in inline]


def _without_folder(words: list[str]) -> list[str]:
    return words[2:] if words[0] == "-C" else words


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_command_shown_is_one_that_exists(page: Path) -> None:
    mentioned = [] if page.name == "CHANGELOG.md" else _mentioned(page)  # which names several verbs at once
    for verb, *words in map(_without_folder, [*calls(page), *mentioned]):
        if verb.startswith("-"):
            assert verb in {name for option in facesets.get_params(click.Context(facesets)) for name in option.opts}
            continue
        with click.Context(facesets) as ctx:
            command = facesets.get_command(ctx, verb)
        assert command is not None, verb
        if isinstance(command, click.Group) and words and (inner := command.commands.get(words[0])):
            command = inner
        options = {name for option in command.get_params(click.Context(command)) for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= options, (verb, words)


def test_the_readme_marks_the_two_commands_that_ci_runs_as_they_stand() -> None:
    blocks = dict(_MARKED.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    assert set(blocks) == {"demo", "tests"}
    assert "facesets demo" in blocks["demo"]
    assert "pytest" in blocks["tests"]
    assert all("\n" not in command for command in blocks.values())


def test_constraints_are_names_and_versions_only() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) > 20
    marker = '(; sys_platform [!=]= "darwin" (or|and) platform_machine [!=]= "x86_64")?'  # Intel Macs
    assert [line for line in lines if not re.fullmatch(rf"[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.]*{marker}", line)] == []
    assert lines == sorted(lines)


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "explanation").glob("*.md")), ids=lambda p: p.stem)
def test_an_explanation_is_short_and_its_figures_lie_behind_a_link(page: Path) -> None:
    if not page.stem.endswith("-figures"):
        assert len(page.read_text(encoding="utf-8").split()) <= 1200


def test_every_page_is_found_from_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")} - {"index.md"}
    assert [page for page in sorted(pages) if f"({page})" not in index] == []


def test_the_counts_of_a_listing_are_shown_as_a_run_says_them() -> None:
    text = (ROOT / "docs" / "explanation" / "listing.md").read_text(encoding="utf-8")
    assert f"    anna: {Reconciliation(53_842, 53_842, 53_790, 53_842, 53_790)}.\n" in text

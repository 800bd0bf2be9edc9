"""The page model as HTML, through the templates. Pure: records in, text out. Every name is escaped where a template puts it in."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from facesets import __version__
from facesets.report import plot
from facesets.report.model import Report
from facesets.report.plot import histogram
from facesets.wording import count_of, plural, printable

LEFT_OUT_PAGE = "left-out.html"
_COVER_TILES = 16  # pictures on a card


@cache
def environment() -> Environment:
    """The report's templates."""
    return templates()


def templates(*packages: str) -> Environment:
    """The templates of these packages and the report's, which escape everything and refuse what they are not given.

    What would turn a line round is shown as an escape; where a name is data, for a form, the filter ``e`` leaves it as it is.
    """
    env = Environment(
        loader=ChoiceLoader([PackageLoader(package, "templates") for package in (*packages, "facesets.report")]),
        autoescape=True,
        finalize=lambda value: printable(value, keep="\n\t") if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    env.filters |= {"count_of": count_of, "plural": plural, "thousands": lambda n: f"{n:,}", "distance": lambda d: f"{d:.2f}"}
    return env


def render(report: Report, folder: str, state: str) -> Iterator[tuple[str | None, str]]:
    """``(file, text)`` of every page: first the one to begin with (None), then those that lie in ``folder`` beside it.

    ``state`` is put into the first page's head, so that a later run knows what this report was made of.
    """
    common = {"report": report, "version": __version__, **inline("style", "tokens.css", "style.css"), **inline("script", "script.js")}
    env = environment()
    drawn = histogram(report.distances) if report.distances and report.distances.own else None
    first: dict[str, Any] = {"pages": f"{folder}/", "plot": drawn, "frame": plot, "tiles_on_card": _COVER_TILES, "state": state}
    yield None, env.get_template("index.html").render(common | first | {"left_out_page": LEFT_OUT_PAGE})
    template, all_sets = env.get_template("set.html"), report.sets
    for at, one in enumerate(all_sets):
        before, after = all_sets[at - 1] if at else None, all_sets[at + 1] if at + 1 < len(all_sets) else None
        yield (
            one.page,
            template.render(common | {"pages": "", "home": f"../{folder}.html", "one": one, "before": before, "after": after}),
        )
    if report.gates:
        text = env.get_template("left_out.html").render(common | {"pages": "", "home": f"../{folder}.html"})
        yield LEFT_OUT_PAGE, text


@cache
def inline(key: str, *names: str) -> dict[str, Markup | str]:
    """Files of ours that stand in each page, and their hash, which is all that the page's policy allows."""
    text = "".join((files("facesets.report") / "templates" / name).read_text(encoding="utf-8") for name in names)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return {key: Markup(text), f"{key}_hash": f"sha256-{digest}"}  # noqa: S704 - a file of this package

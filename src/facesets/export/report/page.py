"""The report as HTML. Pure: facts in, text out; every name is escaped where it is put in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

from ... import __version__
from ...records import Reason, State
from ..accounting import SENTENCES, STATES
from .facts import Report, Sheet, Tile
from .plot import histogram, summary

_CSP = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_ASSET_ORDER = (State.DONE, State.DUPLICATE, State.SKIPPED, State.FAILED, State.RETRY, State.PENDING)
_FACE_ORDER = (State.IN_SET, State.MATCHED, State.LEFT_OUT, State.PENDING)


def render(report: Report) -> str:
    """The whole page."""
    style = (files(__package__) / "style.css").read_text(encoding="utf-8")
    made = [sheet for sheet in report.sheets if sheet.made]
    old = [sheet for sheet in report.sheets if not sheet.made]
    body = [
        _head(report, made, old),
        _sheets("Sets made here", "The first face is the best one; hold the pointer over a face for its distance and date.", made),
        _sheets("Sets that were there before", "Yours, and untouched. Below each, faces of your photos that were recognised.", old),
        _distances(report),
        _left_out(report),
        _books(report),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_CSP}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n'
        f"<title>facesets report</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + f"\n<footer>facesets {escape(__version__)}. This page holds all it shows and loads nothing. "
        "It shows other people’s faces: keep it to yourself.</footer>\n</body>\n</html>\n"
    )


def _head(report: Report, made: Sequence[Sheet], old: Sequence[Sheet]) -> str:
    photos, faces = sum(report.assets.values()), sum(report.faces.values())
    headline = f"{_n(len(made) + len(old), 'face set')} from {_n(photos, 'file')}" if made or old else "No face sets yet"
    origin = f"{len(made):,} made here, {len(old):,} there before and untouched. " if made and old else ""
    placed = report.faces.get(Reason.MEMBER, 0) + report.faces.get(Reason.MATCHES_SET, 0)
    waiting = f" Planned and still to be written: {len(report.planned):,}." if report.planned else ""
    figures = (
        (photos, "files listed"),
        (sum(n for reason, n in report.assets.items() if reason.state is State.DONE), "photos looked through"),
        (faces, "faces found"),
        (placed, "faces with a set"),
        (len(made) + len(old), "sets"),
    )
    return (
        f'<header>\n<p class="brand">facesets</p>\n<h1>{headline}</h1>\n'
        f'<p class="lead">{origin}Every file and every face is accounted for below.{waiting}</p>\n'
        '<dl class="figures">'
        + "".join(f"<div><dd>{n:,}</dd><dt>{what}</dt></div>" for n, what in figures)
        + "</dl>\n"
        + _flow("Where every file went", report.assets, _ASSET_ORDER)
        + _flow("Where every face went", report.faces, _FACE_ORDER)
        + "</header>"
    )


def _flow(title: str, counts: Mapping[Reason, int], order: Sequence[State]) -> str:
    """One bar that is all of them, cut by state, with its legend."""
    total = sum(counts.values())
    if not total:
        return ""
    states = [(state, n) for state in order if (n := sum(c for reason, c in counts.items() if reason.state is state))]
    bar = "".join(f'<i class="s-{state}" style="flex-grow:{n}"></i>' for state, n in states)
    legend = "".join(f'<li><i class="s-{state}"></i>{STATES[state]} <b>{n:,}</b></li>' for state, n in states)
    return f'<div class="flow"><h3>{title}</h3><div class="bar" aria-hidden="true">{bar}</div><ul class="legend">{legend}</ul></div>\n'


def _sheets(title: str, told: str, sheets: Sequence[Sheet]) -> str:
    if not sheets:
        return ""
    cards = "\n".join(_card(sheet) for sheet in sheets)
    head = f'<h2>{title} <span>{len(sheets):,}</span></h2>\n<p class="told">{told}</p>'
    return f'<section>\n{head}\n<div class="cards">\n{cards}\n</div>\n</section>'


def _card(sheet: Sheet) -> str:
    number = escape(sheet.name.removeprefix("faceset_"))
    who = f"<strong>{escape(sheet.person)}</strong>" if sheet.person else ""
    facts = [_n(sheet.images, "face" if sheet.made else "picture")]
    if sheet.years:
        facts.append(sheet.years[0] if sheet.years[0] == sheet.years[1] else "–".join(sheet.years))
    if sheet.distances:
        low, high = (f"{value:.2f}" for value in sheet.distances)
        facts.append(f"distance {low}" if low == high else f"distance {low}–{high}")
    extra = ""
    if sheet.matched:
        told = f"{_n(sheet.matched, 'more face' if sheet.made else 'face')} of your photos recognised"
        extra = f'<p class="sub">{told}</p><div class="strip">{_tiles(sheet.recognised, sheet.matched)}</div>'
    near = f'<p class="sub">nearest other: {escape(sheet.neighbour[0])} at {sheet.neighbour[1]:.2f}</p>' if sheet.neighbour else ""
    return (
        f'<article id="{escape(sheet.name)}"><h3><span class="no"><small>faceset_</small>{number}</span>{who}</h3>'
        f'<p class="facts">{" · ".join(facts)}</p><div class="sheet">{_tiles(sheet.tiles, sheet.images)}</div>{extra}{near}</article>'
    )


def _tiles(tiles: Sequence[Tile], count: int) -> str:
    """The tiles; where there are more pictures than tiles, the last place tells how many more."""
    if count <= len(tiles):
        return "".join(map(_tile, tiles))
    return "".join(map(_tile, tiles[:-1])) + f'<span class="more">+{count - len(tiles[:-1]):,}</span>'


def _tile(tile: Tile) -> str:
    told = f' title="{escape(tile.told)}"' if tile.told else ""
    if tile.uri is None:
        return f'<span class="missing"{told}>not<br>readable</span>'
    return f'<img src="{tile.uri}" alt="{escape(tile.told)}" loading="lazy" decoding="async"{told}>'


def _distances(report: Report) -> str:
    data = report.distances
    if data is None or not data.own:
        return ""
    cuts = {name: data.cuts[name] for name in ("match", "outlier") if name in data.cuts}
    told = {
        "match": "a face this near to a set that exists is that set’s",
        "outlier": "a face farther than this from its new set is left out of it",
    }
    lines = "".join(f"<li><b>{name} {value:.2f}</b>: {told[name]}</li>" for name, value in cuts.items())
    return (
        '<section>\n<h2>How sure is it?</h2>\n<p class="told">The distance of each face to its own set, and to the nearest other one, '
        f"as {escape(data.pack)} measures it. The farther apart the two hills, the surer the sets.</p>\n"
        '<ul class="legend"><li><i class="own"></i>to its own set: ' + summary(data.own) + "</li>"
        '<li><i class="other"></i>to the nearest other set: ' + summary(data.other) + "</li></ul>\n"
        f'{histogram(data)}\n<ul class="cuts">{lines}</ul>\n</section>'
    )


def _left_out(report: Report) -> str:
    if not report.left_out:
        return ""
    rows = []
    for reason, tiles in sorted(report.left_out.items(), key=lambda item: (-report.faces[item[0]], item[0])):
        count = report.faces[reason]
        rows.append(
            f'<div class="gate"><h3>{_words(reason)} <span>{count:,}</span></h3><p>{escape(SENTENCES[reason])}</p>'
            f'<div class="strip">{_tiles(tiles, count)}</div></div>'
        )
    count = sum(report.faces[reason] for reason in report.left_out)
    return (
        f'<section>\n<h2>Left out <span>{count:,}</span></h2>\n'
        '<p class="told">Faces that are in no set, by the gate that kept them out.</p>\n'
        + "\n".join(rows)
        + "\n</section>"
    )


def _books(report: Report) -> str:
    return (
        '<section>\n<h2>The books</h2>\n<p class="told">Every file and every face has one reason for being where it is. '
        "The sums are all there is.</p>\n"
        + _table("Files", report.assets, _ASSET_ORDER)
        + _table("Faces", report.faces, _FACE_ORDER)
        + "</section>"
    )


def _table(title: str, counts: Mapping[Reason, int], order: Sequence[State]) -> str:
    total = sum(counts.values())
    rows = []
    for state in order:
        of_state = sorted(((reason, n) for reason, n in counts.items() if reason.state is state), key=lambda item: (-item[1], item[0]))
        for at, (reason, n) in enumerate(of_state):
            head = (
                f'<th scope="rowgroup" rowspan="{len(of_state)}"><i class="s-{state}"></i>{STATES[state]}'
                f"<b>{sum(count for _, count in of_state):,}</b></th>"
                if at == 0
                else ""
            )
            rows.append(
                f'<tr{" class=first" if at == 0 else ""}>{head}<td class="n">{n:,}</td><td class="code">{reason.value}</td>'
                f"<td>{escape(SENTENCES[reason])}</td></tr>"
            )
    return (
        f'<table><caption>{title}</caption><thead><tr><th scope="col">state</th><th scope="col" class="n">count</th>'
        f'<th scope="col">reason</th><th scope="col">meaning</th></tr></thead><tbody>{"".join(rows)}</tbody>'
        f'<tfoot><tr><th scope="row">all {title.lower()}</th><td class="n">{total:,}</td><td></td><td></td></tr></tfoot></table>\n'
    )


def _words(reason: Reason) -> str:
    return reason.value.replace("_", " ")


def _n(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"

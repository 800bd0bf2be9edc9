from __future__ import annotations

import base64
import io
import re
import stat
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from facesets.errors import FacesetsError
from facesets.export.accounting import SENTENCES
from facesets.export.report import write_report
from facesets.export.report.facts import Distances
from facesets.export.report.plot import histogram
from facesets.records import Reason
from facesets.registry import assets, faces
from facesets.workspace import Workspace

from .home import EVIL, PACK, Home

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that tags are balanced, and collects what tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def written(home: Home, blur_except: set[str] | None = None) -> str:
    return write_report(home.workspace, home.registry, home.out, blur_except=blur_except).read_text(encoding="utf-8")


def tiles_of(text: str, name: str) -> list[np.ndarray]:
    """The pictures on a set's card, without those of recognised faces."""
    card = text[text.index(f'<article id="{name}"') :]
    sheet = card[card.index('<div class="sheet">') : card.index("</div>")]
    return [pixels(uri) for uri in re.findall(r'src="data:image/webp;base64,([^"]+)"', sheet)]


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))).convert("RGB"))


def detail(picture: np.ndarray) -> float:
    """How strong the edges are: the ninety-eighth percentile of the step from a pixel to the next, at 56 pixels a side."""
    small = np.asarray(Image.fromarray(picture).convert("L").resize((56, 56), Image.Resampling.BOX), float)
    return float(np.quantile(np.abs(np.diff(small, axis=1)), 0.98))


def test_the_page_holds_all_it_shows_and_loads_nothing(done: Home) -> None:
    text = written(done)
    page = Page(text)
    (policy,) = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "base", "form", "a"}
    for _, attrs in page.tags:
        assert all(not name.startswith("on") and name != "href" for name in attrs)
        assert (attrs.get("src") or "data:").startswith("data:image/webp;base64,") or "src" not in attrs
    assert not re.search(r"https?:|@import|url\(", text)


def test_names_of_persons_and_files_are_text_and_never_markup(done: Home) -> None:
    with done.registry.transaction():
        done.registry.db.execute("UPDATE assets SET file_name = ?", ('"><img src=x onerror=alert(2)>',))
    text = written(done)
    page = Page(text)
    assert EVIL in page.texts
    assert "<script" not in text
    assert not [attrs for _, attrs in page.tags if "onerror" in attrs or attrs.get("src") == "x"]
    titles = [attrs.get("title") or "" for _, attrs in page.tags]
    assert "a <b>.jpg" in titles
    assert any(title.endswith('"><img src=x onerror=alert(2)>') for title in titles)


def test_every_reason_is_there_with_its_count_and_sentence_and_the_sums_agree(done: Home) -> None:
    text = written(done)
    tables = re.findall(r"<table>.*?</table>", text)
    counts = {"files": assets.counts(done.registry), "faces": faces.counts(done.registry)}
    for table, (what, counted) in zip(tables, counts.items(), strict=True):
        rows = re.findall(r'<td class="n">(\d+)</td><td class="code">(\w+)</td><td>(.*?)</td>', table)
        told = {Reason(reason): int(n) for n, reason, _ in rows}
        assert told == counted
        assert f'<tfoot><tr><th scope="row">all {what}</th><td class="n">{sum(told.values())}</td>' in table
        assert all(ET.fromstring(f"<p>{sentence}</p>").text == SENTENCES[Reason(reason)] for _, reason, sentence in rows)
        assert sum(map(int, re.findall(r"<b>(\d+)</b></th>", table))) == sum(told.values())


def test_every_set_is_a_contact_sheet_best_face_first_and_largest(done: Home) -> None:
    text = written(done)
    made = tiles_of(text, "faceset_003")
    assert [tile.shape[0] for tile in made] == [320, 112, 112, 112, 112]
    first = np.asarray(Image.open(done.sets / "faceset_003/faces/0001.png").resize((320, 320)), float)
    assert np.abs(made[0] - first).mean() < 6
    assert len(tiles_of(text, "faceset_001")) == 1
    assert "5 faces of your photos recognised" in text
    assert "nearest other: faceset_00" in text


def test_a_large_set_shows_as_many_tiles_as_there_is_room_for_and_says_how_many_more(done: Home) -> None:
    text = write_report(done.workspace, done.registry, done.out, tiles_per_set=3).read_text()
    assert len(tiles_of(text, "faceset_003")) == 2
    assert '<span class="more">+3</span>' in text


def test_blurring_leaves_no_feature_in_the_pixels_but_of_the_sets_that_are_named(done: Home) -> None:
    plain, blurred = written(done), written(done, {"faceset_003"})
    assert min(map(detail, tiles_of(plain, "faceset_004"))) > 25
    assert min(map(detail, tiles_of(blurred, "faceset_003"))) > 25
    every = [pixels(uri) for uri in re.findall(r'src="data:image/webp;base64,([^"]+)"', blurred)]
    assert sum(detail(tile) > 12 for tile in every) == len(tiles_of(blurred, "faceset_003"))
    assert len(every) == plain.count("<img ")


def test_a_blurred_report_names_nobody_and_no_file(done: Home) -> None:
    done.registry.db.execute("UPDATE assets SET file_name = 'grandma.jpg'")
    assert "grandma.jpg" in written(done)
    text = written(done, set())
    assert "Zoë" not in text
    assert ".jpg" not in text


def test_the_same_workspace_gives_the_same_bytes_for_its_owner_alone(done: Home) -> None:
    assert written(done) == written(done)
    assert stat.S_IMODE(done.out.stat().st_mode) == 0o600


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"no picture")])
def test_a_picture_that_cannot_be_read_is_shown_as_that(done: Home, harm: Callable[[Path], object]) -> None:
    harm(done.sets / "faceset_003/faces/0002.png")
    text = written(done)
    assert text.count('class="missing"') == 1
    assert len(tiles_of(text, "faceset_003")) == 4


def test_a_new_workspace_has_a_report_too(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path / "w")
    with workspace.registry() as registry:
        text = write_report(workspace, registry, tmp_path / "r.html").read_text()
    Page(text)
    assert "No face sets yet" in text


def test_what_is_still_to_be_written_is_said(home: Home) -> None:
    assert "Planned and still to be written: 2." in written(home)


def test_a_place_that_cannot_be_written_is_said(home: Home) -> None:
    with pytest.raises(FacesetsError, match="could not be written"):
        write_report(home.workspace, home.registry, home.workspace.root / "facesets.toml/report.html")


def test_the_plot_shows_each_face_once_and_each_cut_with_its_distance(done: Home) -> None:
    text = written(done)
    plot = ET.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    labels = ["".join(label.itertext()) for label in plot.iter("text") if label.get("class") == "cut-label"]
    assert labels == ["match 0.25", "outlier 0.30"]
    (told,) = (element.text or "" for element in plot.iter("desc"))
    assert told.startswith("20 faces.")
    assert PACK in text


@pytest.mark.parametrize(
    "data",
    [
        Distances("p", [0.2], [], {}),
        Distances("p", [0.0] * 5000, [2.0] * 7, {"match": 0.45, "outlier": 0.45}),
        Distances("p", [1e-9], [1e-9], {"match": 0.0, "outlier": 1.9}),
    ],
)
def test_odd_distances_still_make_a_plot_inside_its_frame(data: Distances) -> None:
    plot = ET.fromstring(histogram(data))
    _, _, width, height = map(float, plot.attrib["viewBox"].split())
    for line in plot.iter("line"):
        assert 0 <= float(line.attrib["x1"]) <= width
        assert 0 <= float(line.attrib["y1"]) <= height
    columns = {path.attrib["class"]: path.attrib["d"].count("M") for path in plot.iter("path")}
    assert columns == {"own": 1, "other": 1 if data.other else 0}
    labels = [label.text for label in plot.iter("text") if label.get("class") == "cut-label"]
    assert labels == ([] if not data.cuts else ["match and outlier 0.45"] if data.cuts["match"] else ["outlier 1.90"])

"""The report's pages: what they hold, what they may load, what is blurred, and what is left of an earlier report."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from jinja2 import UndefinedError
from PIL import Image

from facesets.errors import FacesetsError
from facesets.reason_texts import SENTENCES, STATES
from facesets.records import Reason
from facesets.registry import assets, faces
from facesets.report import write_report
from facesets.report.model import Distances
from facesets.report.pages import environment
from facesets.report.plot import HEIGHT, WIDTH, histogram
from facesets.workspace import Workspace
from tests.export.home import EVIL, PACK, Home

VOID = {"meta", "img", "br", "input"}
HOSTILE = '"><img src=x onerror=alert(2)>'


class Page(HTMLParser):
    """Checks that tags are balanced, and collects what tests ask about."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.text = path, path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(self.text)
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

    def values(self, tag: str, name: str) -> list[str]:
        return [str(attrs[name]) for each, attrs in self.tags if each == tag and name in attrs]

    def pictures(self, cut: str = "") -> list[np.ndarray]:
        """The pictures of the part of the page that begins with ``cut``, as far as that part's list or sheet goes."""
        text = self.text[self.text.index(cut) :] if cut else self.text
        text = re.split(r"</ul>|</div>", text, maxsplit=1)[0] if cut else text
        return [np.asarray(Image.open(self.at(src)).convert("RGB")) for src in re.findall(r'<img src="([^"]+)"', text)]

    def at(self, address: str) -> Path:
        return self.path.parent / unquote(address)


def written(home: Home, blur_except: set[str] | None = None) -> Page:
    return Page(write_report(home.workspace, home.registry, home.out, blur_except=blur_except))


def all_pages(home: Home, blur_except: set[str] | None = None) -> list[Page]:
    first = written(home, blur_except)
    return [first, *(Page(path) for path in sorted(home.out.with_suffix("").glob("*.html")))]


def of_set(home: Home, number: int) -> Page:
    return Page(home.out.with_suffix("") / f"faceset_{number:03d}.html")


def detail(picture: np.ndarray) -> float:
    """How strong the edges are: the ninety-eighth percentile of the step from a pixel to the next, at 56 pixels a side."""
    small = np.asarray(Image.fromarray(picture).convert("L").resize((56, 56), Image.Resampling.BOX), float)
    return float(np.quantile(np.abs(np.diff(small, axis=1)), 0.98))


def test_a_page_may_load_pictures_of_this_machine_and_nothing_else(done: Home) -> None:
    for page in all_pages(done):
        (policy,) = [attrs["content"] for _, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
        assert policy is not None
        assert policy.startswith("default-src 'none'; img-src 'self' file:; style-src 'sha256-")
        assert "unsafe" not in policy
        assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "base", "form"}
        assert all(not name.startswith("on") and name != "style" for _, attrs in page.tags for name in attrs)
        for address in page.values("img", "src") + page.values("a", "href"):
            assert not re.match(r"[a-z]+:|//|/", address), address
        assert not re.search(r"https?:|@import|url\(", page.text)


def test_every_link_and_picture_is_there(done: Home) -> None:
    for page in all_pages(done):
        ids = set(page.values("figure", "id") + page.values("section", "id") + page.values("article", "id") + page.values("main", "id"))
        for address in page.values("img", "src"):
            assert page.at(address).stat().st_size > 0
        for address in page.values("a", "href"):
            path, _, anchor = address.partition("#")
            if path:
                assert page.at(path).is_file(), address
            else:
                assert anchor in ids


def test_headings_are_in_order_and_a_card_is_one_tab_stop(done: Home) -> None:
    for page in all_pages(done):
        levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        for card in re.findall(r"<article.*?</article>", page.text, re.DOTALL):
            assert len(re.findall(r"<a |<button|tabindex|<summary", card)) == 1


def test_names_of_people_and_files_are_text_and_never_markup(done: Home) -> None:
    done.registry.db.execute("UPDATE assets SET file_name = ?", (HOSTILE,))
    pages = all_pages(done)
    assert any(EVIL in page.texts for page in pages)
    assert any(HOSTILE in page.texts for page in pages)
    for page in pages:
        assert page.text.count("<script") == 1
        assert not [attrs for _, attrs in page.tags if "onerror" in attrs or attrs.get("src") == "x"]
    assert f"<bdi>{'Zoë &lt;script&gt;alert(1)&lt;/script&gt;'}</bdi>" in of_set(done, 3).text, "a name may run from right to left"


def test_a_name_turns_no_line_round(done: Home) -> None:
    done.registry.db.execute("UPDATE people SET name = '\u202eZoë' WHERE number = 3")
    assert not [page for page in all_pages(done) if "\u202e" in page.text]
    assert r"<bdi>\u202eZoë</bdi>" in of_set(done, 3).text


def test_a_template_that_is_not_given_what_it_shows_says_so() -> None:
    with pytest.raises(UndefinedError):
        environment().get_template("set.html").render()


def test_every_reason_is_there_with_its_count_and_sentence_and_the_sums_agree(done: Home) -> None:
    text = written(done).text
    tables = re.findall(r"<table>\n<caption>.*?</table>", text, re.DOTALL)
    bars = re.findall(r'<ul class="legend">(.*?)</ul>', text)[:2]
    counts = {"files": assets.counts(done.registry), "faces": faces.counts(done.registry)}
    for table, bar, (what, counted) in zip(tables, bars, counts.items(), strict=True):
        rows = re.findall(r'<td class="n">(\d+)</td><td class="code">(\w+)</td><td>(.*?)</td>', table)
        shown = {Reason(reason): int(n) for n, reason, _ in rows}
        assert shown == counted
        assert f'<th scope="row">all {what}</th><td class="n">{sum(shown.values())}</td>' in table
        assert all(ET.fromstring(f"<p>{sentence}</p>").text == SENTENCES[Reason(reason)] for _, reason, sentence in rows)
        states = re.findall(r"</svg>([^<]+) <b>(\d+)</b></th>", table)
        assert states == re.findall(r"</svg>([^<]+) <b>(\d+)</b></li>", bar), "the bar and the table say the same"
        assert sum(int(n) for _, n in states) == sum(shown.values())
        assert {name for name, _ in states} <= set(STATES.values())


def test_every_set_is_a_card_best_face_first_and_largest_and_a_page_of_its_own(done: Home) -> None:
    first = written(done)
    made = first.pictures('<article id="faceset_003"')
    assert [tile.shape[0] for tile in made] == [320, 112, 112, 112, 112]
    original = np.asarray(Image.open(done.sets / "faceset_003/faces/0001.png").resize((320, 320)), float)
    assert np.abs(made[0] - original).mean() < 6
    assert "5 faces recognised" in first.text
    assert "nearest other: faceset_00" in first.text
    page = of_set(done, 3)
    assert len(page.values("figure", "id")) == 5
    assert "was made by facesets of 5 faces in 5 photos." in page.text
    assert "facesets explain faceset_003" in page.text


def test_every_face_opens_large_with_its_date_photo_and_distance(done: Home) -> None:
    done.registry.db.execute("UPDATE assets SET file_name = 'p' || id || '.jpg', taken_at = '2019-05-04T10:00:00'")
    written(done)
    for number in (1, 3):
        page = of_set(done, number)
        figures = re.findall(r'<figure class="large" id="f(\w+)".*?</figure>', page.text, re.DOTALL)
        assert [f"f{key}" for key in figures] == [link[1:] for link in re.findall(r'<li><a href="([^"]+)"', page.text)]
        facts = re.findall(r'<p class="facts">(Taken|No date)(.*?)</p>', page.text)
        assert sum("2019-05-04 · 0." in rest and ".jpg" in rest for _, rest in facts) >= 5
    assert of_set(done, 3).text.count("<span>2019-05-04 · 0.") == 5, "it stands under the small one too"
    assert not re.search(r"\btitle=", of_set(done, 3).text), "nothing is told to a pointer alone"


def test_a_large_set_shows_on_its_card_what_there_is_room_for_and_says_how_many_more(done: Home) -> None:
    folder = done.sets / "faceset_002"
    for n in range(20):
        (folder / f"more {n:02d}.jpg").write_bytes((folder / "a <b>.jpg").read_bytes())
    assert len(written(done).pictures('<article id="faceset_002"')) == 15
    assert '<span class="more">+6</span>' in written(done).text
    assert len(of_set(done, 2).values("figure", "id")) == 21 + 5


def test_blurring_leaves_no_feature_in_the_pixels_but_of_the_sets_that_are_named(done: Home) -> None:
    plain = written(done)
    assert min(map(detail, plain.pictures('<article id="faceset_004"'))) > 25
    pages = all_pages(done, {"faceset_003"})
    assert min(map(detail, pages[0].pictures('<article id="faceset_003"'))) > 25
    for page in pages:
        if page.path.name != "faceset_003.html":
            sharp = [picture for picture in page.pictures() if detail(picture) > 12]
            assert len(sharp) == (5 if page.path == done.out else 0), page.path.name
    shown = {page.at(src).resolve() for page in pages for src in page.values("img", "src")}
    kept = {path.resolve() for path in done.out.with_suffix("").glob("*.webp")}
    assert kept <= shown, "no picture of the report that was not blurred is left"


def test_a_blurred_report_names_nobody_and_no_file(done: Home) -> None:
    done.registry.db.execute("UPDATE assets SET file_name = 'grandma.jpg'")
    assert any("grandma.jpg" in page.text for page in all_pages(done))
    for page in all_pages(done, set()):
        assert "Zoë" not in page.text
        assert "grandma" not in page.text
        assert "a <b>" not in unquote(page.text)


def test_the_same_workspace_gives_the_same_bytes_for_its_owner_alone(done: Home) -> None:
    before = [(page.path, page.text) for page in all_pages(done)]
    assert [(page.path, page.text) for page in all_pages(done)] == before
    folder = done.out.with_suffix("")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in [done.out, *folder.iterdir()]} == {0o600}


def test_pictures_of_an_earlier_report_are_used_again_and_those_of_none_removed(done: Home) -> None:
    written(done)
    folder = done.out.with_suffix("")
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.webp")}
    (folder / "old.webp").write_bytes(b"of a set that is gone")
    (folder / "faceset_099.html").write_text("of a set that is gone")
    written(done)
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("*.webp")} == times
    assert not (folder / "faceset_099.html").exists()


def test_a_report_is_made_anew_only_where_it_would_show_something_else(done: Home) -> None:
    def made_at() -> int:
        return write_report(done.workspace, done.registry, done.out, only_if_changed=True).stat().st_mtime_ns

    first = made_at()
    assert made_at() == first
    done.registry.db.execute("UPDATE people SET name = 'Anna' WHERE number = 4")
    second = made_at()
    assert second != first
    (done.sets / "faceset_002/a <b>.jpg").rename(done.sets / "faceset_002/b.jpg")
    assert made_at() != second


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(b"no picture")])
def test_a_picture_that_cannot_be_read_is_shown_as_that(done: Home, harm: Callable[[Path], object]) -> None:
    harm(done.sets / "faceset_003/faces/0002.png")
    page = written(done)
    assert page.text.count('class="missing"') == 1
    assert len(page.pictures('<article id="faceset_003"')) == 4
    assert of_set(done, 3).text.count('class="missing"') == 2, "small and large"


def test_a_new_workspace_has_a_report_too(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path / "w")
    with workspace.registry() as registry:
        page = Page(write_report(workspace, registry))
    assert page.path == workspace.root / "reports/latest.html"
    assert "No face sets yet" in page.text


def test_what_is_still_to_be_written_is_said(home: Home) -> None:
    assert "Planned and still to be written: 2." in written(home).text


def test_a_place_that_cannot_be_written_is_said(home: Home) -> None:
    with pytest.raises(FacesetsError, match=r"facesets\.toml: something of that name is there already"):
        write_report(home.workspace, home.registry, home.workspace.root / "facesets.toml/report.html")


def test_the_plot_shows_each_face_once_and_each_threshold_with_its_distance(done: Home) -> None:
    text = written(done).text
    plot = ET.fromstring(text[text.index('<svg class="plot"') : text.index("</svg>", text.index('<svg class="plot"')) + 6])
    labels = ["".join(label.itertext()) for label in plot.iter("text") if label.get("class") == "cut-label"]
    assert labels == ["match 0.25", "likely 0.30"]
    (described,) = (element.text or "" for element in plot.iter("desc"))
    assert described.startswith("20 faces.")
    assert PACK in text


@pytest.mark.parametrize(
    "data",
    [
        Distances("p", [0.2], [], {}),
        Distances("p", [0.0] * 5000, [2.0] * 7, {"match": 0.45, "likely": 0.45}),
        Distances("p", [1e-9], [1e-9], {"match": 0.0, "likely": 1.9}),
    ],
)
def test_odd_distances_still_make_a_plot_inside_its_frame(data: Distances) -> None:
    plot = histogram(data)
    for label in (*plot.grid, *plot.ticks, *plot.thresholds):
        assert 0 <= label.x <= WIDTH
        assert 0 <= label.y <= HEIGHT
    assert plot.own.count("M") == 1
    assert plot.other.count("M") == (1 if data.other else 0)
    labels = [label.text for label in plot.thresholds]
    assert labels == ([] if not data.thresholds else ["match and likely 0.45"] if data.thresholds["match"] else ["likely 1.90"])

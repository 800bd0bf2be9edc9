"""The gate: who may come in, from where, and what a browser is told. Each rule is attacked by a plain HTTP client."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from facesets.errors import UsageError
from facesets.registry import Registry
from facesets.review import options_of
from facesets.workspace import Workspace
from tests.review.home import Attributes, Served, decided, keys_in, served

ONE, TWO = "faceset_001", "faceset_002"


@pytest.fixture
def stranger(workspace: Workspace) -> Iterator[Served]:
    """A review whose link nobody has opened yet."""
    with served(workspace) as running:
        yield running


def test_a_request_by_another_name_or_port_is_misdirected(review: Served) -> None:
    port = review.options.port
    for host in (
        f"evil.example:{port}", "127.0.0.1", f"127.0.0.1:{port + 1}", f"127.0.0.1.evil.example:{port}", f"127.0.0.1:{port}0",
        f"127.0.0.1:{port}\nevil.example", f"user@127.0.0.1:{port}", None,
    ):  # fmt: skip
        for path in ("/people", "/static/x/app.js"):
            answer = review.ask("GET", path, headers={"Host": host, "Cookie": review.cookie})
            assert answer.status in ((421,) if host and "\n" not in host else (400, 421)), host
            assert ONE not in answer.text
    assert review.get("/people", Host=f"localhost:{port}").status == 200


def test_nothing_is_shown_or_done_without_the_link(stranger: Served, registry: Registry) -> None:
    key = registry.db.execute("SELECT key FROM measurements").fetchone()[0]
    for path in (
        "/",
        "/people",
        f"/person/{ONE}",
        f"/face/{key}/small",
        f"/photo/{key}",
        f"/look/{key}",
        "/names?q=a",
        "/tiles/active",
    ):
        answer = stranger.ask("GET", path, headers={"Cookie": f"facesets_{stranger.options.port}=guess"})
        assert answer.status == 403
        assert ONE not in answer.text
    assert stranger.act("ignore", {"sets": ONE}).status == 403
    assert decided(registry) == []


def test_the_link_opens_once_sets_a_strict_cookie_and_is_taken_out_of_the_address(stranger: Served) -> None:
    assert stranger.ask("GET", "/?token=wrong").status == 403
    assert stranger.ask("GET", f"/?token={stranger.options.token}&token=x").status == 403
    answer = stranger.enter()
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert re.search("SameSite=strict", cookie, re.IGNORECASE)
    assert stranger.options.token not in cookie
    assert stranger.get("/people").status == 200
    assert stranger.ask("GET", f"/?token={stranger.options.token}").status == 403, "in another browser"
    assert stranger.get(f"/?token={stranger.options.token}").headers["location"] == "/", "in the same one it only goes"


def test_a_change_must_come_from_a_page_of_ours(review: Served, registry: Registry) -> None:
    own = f"http://{review.host}"
    for headers in (
        {"X-Facesets": None},
        {"X-Facesets": "0"},
        {"Origin": None, "Sec-Fetch-Site": None},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{review.options.port + 1}"},
        {"Origin": f"https://{review.host}"},
        {"Origin": f"{own}\nhttp://evil.example"},
        {"Cookie": None},
    ):
        answer = review.act("ignore", {"sets": ONE}, headers)
        assert answer.status == 403, headers
    assert review.ask("PUT", "/act/ignore", headers={"Cookie": review.cookie}).status == 405
    assert review.get(f"/act/ignore?sets={ONE}").status in (404, 405)
    assert decided(registry) == []
    assert review.act("ignore", {"sets": ONE}, {"Origin": None}).status == 200
    assert review.act("undo", {}, {"Sec-Fetch-Site": None}).status == 200, "an older browser says its Origin alone"


def test_a_page_of_another_port_may_not_load_pictures(review: Served, registry: Registry) -> None:
    key = registry.db.execute("SELECT key FROM measurements").fetchone()[0]
    for site in ("cross-site", "same-site"):
        answer = review.get(f"/face/{key}/small", **{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"})
        assert answer.status == 403
    assert review.get(f"/face/{key}/small", **{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors"}).status == 200


def test_every_answer_carries_the_policy_and_only_pictures_may_be_kept(review: Served, registry: Registry) -> None:
    key = registry.db.execute("SELECT key FROM measurements").fetchone()[0]
    style = re.findall(r'href="(/static/[^"]+\.css)"', review.get("/people").text)[0]
    kept = {style: "private", f"/face/{key}/medium": "private"}
    for path in (
        "/people",
        "/ignored",
        f"/person/{ONE}",
        "/history",
        f"/look/{key}",
        "/nothing",
        "/names?q=",
        style,
        f"/face/{key}/medium",
    ):
        headers = review.get(path).headers
        policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
        assert policy == {
            "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'", "connect-src": "'self'",
            "base-uri": "'none'", "form-action": "'self'", "frame-ancestors": "'none'",
        }  # fmt: skip
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"].startswith(kept.get(path, "no-store")), path
        assert "server" not in headers


def test_no_path_of_a_request_becomes_a_path(review: Served) -> None:
    secret = (review.workspace.root / "facesets.toml").read_bytes()
    (review.workspace.root / "thumbnails" / "toml-small.webp").write_bytes(secret)
    for path in (
        "/face/../../facesets.toml/small", "/face/..%2f..%2ffacesets.toml/small", "/face/toml/small", "/face/%2e%2e/small",
        "/face/" + "0" * 32 + "/..%2f..%2fx", "/static/x/..%2f..%2f__init__.py", "/static/x/../../app.py", "/static/x/app.py",
        "/photo/..%2f..%2ffacesets.toml", "/person/..%2f..%2ffacesets.toml", "/look/..%2f..%2fregistry.sqlite",
    ):  # fmt: skip
        answer = review.get(path)
        assert answer.status in (200, 404)
        assert secret not in answer.body
        assert b"import annotations" not in answer.body
        if answer.status == 200:
            assert answer.headers["content-type"] == "image/svg+xml", "a drawing that says: no picture"


def test_what_is_of_others_is_shipped_as_its_makers_made_it(review: Served) -> None:
    """htmx 4.0.1, one file from npm; its licence lies beside."""
    ours = files("facesets.review") / "static" / "htmx"
    digests = {
        "htmx.min.js": "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
        "LICENSE": "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
    }
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in ours.iterdir() if path.is_file()} == digests


def test_names_are_text_and_never_markup(review: Served, registry: Registry) -> None:
    evil = '"><img src=x onerror=alert(1)>'
    assert review.act("name", {"set": ONE, "name": evil}).status == 200
    for path in ("/people", f"/person/{ONE}", "/history", "/tiles/active"):
        text = review.get(path).text
        assert "<img src=x" not in text
        assert "&lt;img src=x" in text
        inline = {name for name in Attributes(text).names if name == "style" or name.startswith("on")}
        assert inline == set(), "nothing inline, which the policy would refuse"
    assert review.get("/names?q=img").headers["content-type"].startswith("application/json")


def test_a_blurred_review_names_nobody(workspace: Workspace, registry: Registry) -> None:
    with served(workspace, blur=True) as running:
        running.enter()
        told = [running.act("name", {"set": name, "name": called}).text for name, called in ((ONE, "Zoë Secret"), (TWO, "Omar Secret"))]
        told.append(running.act("merge", {"sets": ONE, "into": TWO, "name": "Omar Secret"}).text)
        assert [json.loads(each)["decisions"] for each in told] == [[1], [2], [3]]
        pages = (
            "/people",
            "/people?q=secret",
            "/names?q=",
            "/names?q=o&also=sources",
            f"/person/{TWO}",
            "/decide?lane=bulk",
            "/history",
        )
        for text in [*told, *(running.get(page).text for page in pages)]:
            assert "Secret" not in text


def test_what_is_no_form_is_refused_and_changes_nothing(review: Served, registry: Registry) -> None:
    ours = {"Cookie": review.cookie, "Origin": f"http://{review.host}", "X-Facesets": "1"}
    for body in (b"\xff\xfe=1", b"a" * (5 << 20), b"not a form"):
        assert review.ask("POST", "/act/ignore", body, ours).status == 400
    assert review.act("erase", {"sets": ONE}).status == 404
    assert review.act("ignore", {"sets": "faceset_999"}).status == 404
    assert decided(registry) == []
    assert review.act("ignore", {"sets": ONE}).status == 200
    for junk in ("-1", "abc", "1,x", "9" * 40):
        assert review.act("undo", {"decisions": junk}).status == 400, "and not the last one"
    assert decided(registry) == ["ignore"]


def test_a_password_opens_where_a_link_does_not(workspace: Workspace) -> None:
    with served(workspace, password="correct horse battery") as running:
        assert "token" not in running.options.link
        assert "Password" in running.ask("GET", f"/?token={running.options.token}").text
        ours = {"Origin": f"http://{running.host}", "X-Facesets": "1"}
        wrong = running.ask("POST", "/login", b"password=guess", ours)
        assert (wrong.status, "set-cookie" in wrong.headers) == (403, False)
        assert running.ask("POST", "/login", b"password=correct+horse+battery").status == 403, "from a form of another site"
        right = running.ask("POST", "/login", b"password=correct+horse+battery", ours)
        running.cookie = right.headers["set-cookie"].partition(";")[0]
        assert running.get("/people").status == 200


def test_other_machines_are_let_in_by_a_password_alone() -> None:
    with pytest.raises(UsageError, match="FACESETS_REVIEW_PASSWORD"):
        options_of("192.168.1.5")
    with pytest.raises(UsageError, match="short"):
        options_of("192.168.1.5", password="secret")
    with pytest.raises(UsageError, match="--base"):
        options_of("0.0.0.0", password="correct horse battery")
    assert options_of("192.168.1.5", 80, password="correct horse battery").hosts == {"192.168.1.5", "192.168.1.5:80"}
    for base in ("faces", "/../x", "/a b", "ftp://x", "https://user@home.example", "/a?b", "http://h:99999/", "http://[x/"):
        with pytest.raises(UsageError, match="--base"):
            options_of(base=base)


def test_behind_a_proxy_all_addresses_begin_with_its_path_whether_or_not_it_strips_it(workspace: Workspace) -> None:
    with served(workspace, base="https://Home.example/faces/") as running:
        assert running.options.address == "https://home.example/faces/"
        proxied = {"Host": "home.example"}
        entered = running.ask("GET", f"/faces/?token={running.options.token}", headers=proxied)
        assert entered.headers["location"] == "/faces/"
        assert "Path=/faces/" in entered.headers["set-cookie"]
        assert "Secure" in entered.headers["set-cookie"]
        running.cookie = entered.headers["set-cookie"].partition(";")[0]
        pages = [running.get(path, **proxied).text for path in ("/faces/people", "/people")]
        assert len(keys_in(pages[0])) == 3
        assert pages[0] == pages[1]
        assert all(address.startswith("/faces/") for address in re.findall(r'(?:src|href)="(/[^"]*)"', pages[0]))
        home = {"Host": "home.example", "Origin": "https://home.example"}
        assert running.act("undo", {}, home).status == 404, "nothing was decided yet"
        assert running.act("undo", {}, home | {"Origin": "http://home.example"}).status == 403


def test_the_file_that_leads_a_browser_there_is_private_and_where_a_sandbox_reads(workspace: Workspace, tmp_path: Path) -> None:
    seen, browser = tmp_path / "seen", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >{seen}\nstat -c %a "$(dirname "${{1#file://}}")" >>{seen}\n')
    browser.chmod(0o755)
    command = [sys.executable, "-m", "facesets", "-C", str(workspace.root), "review", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "BROWSER": str(browser)})
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    address, mode = seen.read_text().splitlines()
    assert address.startswith(f"{workspace.root.as_uri()}/"), "not in /tmp, which a browser from a snap or flatpak sees another one of"
    assert mode == "700"
    assert not list(workspace.root.glob(".review-*"))


def test_the_token_is_in_the_printed_link_and_nowhere_else(workspace: Workspace) -> None:
    command = [sys.executable, "-m", "facesets", "-vv", "-C", str(workspace.root), "review", "--no-browser", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", process.stdout.readline())
        assert found is not None
        port, token = int(found[1]), found[2]
        running = Served(workspace, options_of(port=port))
        assert running.ask("GET", f"/?token={token}").status == 303
        assert running.ask("GET", f"/people?token={token}").status == 403
    finally:
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert token not in rest + said
    assert all(token.encode() not in path.read_bytes() for path in workspace.root.rglob("*") if path.is_file())

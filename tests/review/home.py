"""A review that is served for real on loopback, asked by a plain HTTP client, which sends exactly the headers it is told to."""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

from facesets.registry import Registry
from facesets.review import Options, options_of
from facesets.review.server import bound, uvicorn_server
from facesets.workspace import Workspace


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclass
class Served:
    """A running review; ``cookie`` is that of the session, once one was opened."""

    workspace: Workspace
    options: Options
    cookie: str = ""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.options.port}"

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str | None] | None = None) -> Answer:
        """Exactly these headers and a Host that is right, unless ``headers`` says otherwise (None: not sent)."""
        told: dict[str, str | None] = {"Host": self.host, **(headers or {})}
        connection = http.client.HTTPConnection("127.0.0.1", self.options.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in told.items():
                for each in (value or "").split("\n") if value is not None else ():
                    connection.putheader(name, each)
            if body or method == "POST":
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def enter(self) -> Answer:
        """Open the printed link, and keep the cookie."""
        answer = self.ask("GET", f"/?token={self.options.token}")
        self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers={"Cookie": self.cookie, **headers})

    def act(self, name: str, values: Mapping[str, Any], headers: Mapping[str, str | None] | None = None) -> Answer:
        """As a page of ours asks for a change; ``headers`` alters what it sends."""
        ours: dict[str, str | None] = {
            "Cookie": self.cookie, "Origin": f"http://{self.host}", "Sec-Fetch-Site": "same-origin", "X-Facesets": "1",
        }  # fmt: skip
        return self.ask("POST", f"/act/{name}", urlencode(values, doseq=True).encode(), {**ours, **(headers or {})})


@contextmanager
def served(workspace: Workspace, **how: Any) -> Iterator[Served]:
    """A review of this workspace in a thread, at a free port."""
    options = options_of(port=0, **how)
    with bound(options) as listening:
        options = options.at(listening.getsockname()[1])
        server = uvicorn_server(workspace, options)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield Served(workspace, options)
        finally:
            server.should_exit = True
            thread.join()


class Attributes(HTMLParser):
    """Every attribute of a page's tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names |= {name for name, _ in attrs}


def keys_in(html: str) -> list[str]:
    """The ids of faces, or names of sets, that a list shows."""
    return re.findall(r'data-id="([^"]+)"', html)


def decided(registry: Registry) -> list[str]:
    return [row[0] for row in registry.db.execute("SELECT act FROM decisions ORDER BY id")]

"""The gate before every page: who may come in, from where, and what a browser may do with the answer. Knows no page.

Host and port are exact (a name that resolves here by DNS rebinding is refused); a session begins with the token of the printed address,
once, or with the password; what changes something must come from a page of ours, by the browser's word and by a header that no form of
another site can send.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facesets.review.forms import read_form
from facesets.review.options import Options

HEADER: Final = "x-facesets"  # a page of another site cannot send it without being asked for leave, which is never given
_OPEN: Final = "/static/"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
_ALWAYS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_ENDED: Final = "A link works once, in one browser. Start facesets review again for a new one; nothing you decided is lost."
_SLOWLY: Final = 1.0  # seconds that a wrong password takes, one after the other

Refuse = Callable[[HTTPStatus, str, str], Response]


class Guard:
    """ASGI middleware. ``refuse`` makes a page of status, title and what to do; ``login`` the one that asks for the password."""

    def __init__(self, app: ASGIApp, options: Options, refuse: Refuse, login: Callable[[str], Response]) -> None:
        self._app, self._options, self._refuse, self._login = app, options, refuse, login
        self._token: str | None = None if options.password else options.token
        self._session = secrets.token_urlsafe(32)
        self._cookie = f"facesets_{options.port}"  # cookies are shared by all ports of a machine
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or say why not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, _with_headers(send))
        else:  # there are no websockets here
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        base = self._options.base
        if base and (scope["path"] + "/").startswith(base + "/"):  # a proxy may strip it, or not
            scope = {**scope, "path": scope["path"][len(base) :] or "/"}
        request = Request(scope, receive)
        answer = self._refusal(request) or await self._entry(request)
        if answer is None:
            await self._app(scope, receive, send)
        else:
            await answer(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        """What is refused whoever asks."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._options.hosts:
            return self._refuse(
                HTTPStatus.MISDIRECTED_REQUEST,
                "Not this address",
                f"facesets review answers at {self._options.address} and nowhere else.",
            )
        if request.method not in ("GET", "HEAD", "POST"):
            return self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "Not allowed", "Pages are read by GET and changed by POST.")
        if request.method == "POST" and not self._is_ours(request.headers):
            return self._refuse(
                HTTPStatus.FORBIDDEN,
                "Not from here",
                "Something other than a page of facesets review asked for a change. Nothing was changed.",
            )
        return None

    def _is_ours(self, headers: Headers) -> bool:
        sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
        told = (
            bool(sites or origins)
            and all(s == "same-origin" for s in sites)
            and all(o.lower() in self._options.origins for o in origins)
        )
        return told and headers.getlist(HEADER) == ["1"]

    async def _entry(self, request: Request) -> Response | None:
        """None: come in. A static file is nobody's secret."""
        path, given = request.scope["path"], request.query_params.getlist("token")
        if path.startswith(_OPEN):
            return None
        known = self._knows(request)
        if given and path == "/" and request.method == "GET":
            if self._take(given):
                return self._come_in(request)
            if known:
                return self._stripped(request)
        return self._foreign(request) if known else await self._door(request)

    async def _door(self, request: Request) -> Response:
        """What somebody meets who has no session."""
        if self._options.password and request.scope["path"] == "/login" and request.method == "POST":
            return await self._check(request)
        if self._began_elsewhere(request):
            return _again()
        if self._options.password:
            return self._login("")
        return self._refuse(HTTPStatus.FORBIDDEN, "This link does not open facesets any more", _ENDED)

    def _foreign(self, request: Request) -> Response | None:
        """Pages and pictures are shown to no page of another port or site."""
        site, mode = request.headers.get("sec-fetch-site", "none"), request.headers.get("sec-fetch-mode", "navigate")
        if site in ("none", "same-origin") or mode == "navigate":
            return None
        return self._refuse(HTTPStatus.FORBIDDEN, "Not from here", "A page that is not of facesets review asked for this.")

    def _knows(self, request: Request) -> bool:
        return hmac.compare_digest(request.cookies.get(self._cookie, "").encode(), self._session.encode())

    def _take(self, given: list[str]) -> bool:
        if self._token is None or len(given) != 1 or not hmac.compare_digest(given[0].encode(), self._token.encode()):
            return False
        self._token = None
        return True

    def _come_in(self, request: Request) -> Response:
        answer = self._stripped(request)
        answer.set_cookie(
            self._cookie, self._session, path=f"{self._options.base}/", httponly=True, samesite="strict",
            secure=(self._options.origin or "").startswith("https:"),
        )  # fmt: skip
        return answer

    def _stripped(self, request: Request) -> Response:
        """The same page by an address without the token."""
        rest = [(name, value) for name, value in parse_qsl(request.scope["query_string"].decode("latin-1")) if name != "token"]
        return RedirectResponse(f"{self._options.base}/" + (f"?{urlencode(rest)}" if rest else ""), HTTPStatus.SEE_OTHER)

    async def _check(self, request: Request) -> Response:
        form = await read_form(request)
        async with self._turn:  # one at a time, so that guessing by many at once is as slow
            right = hmac.compare_digest(form.one("password").encode(), (self._options.password or "").encode())
            if not right:
                await asyncio.sleep(_SLOWLY)
        return self._come_in(request) if right else self._login("That is not the password.")

    def _began_elsewhere(self, request: Request) -> bool:
        """A link on another page led here: then a browser leaves a strict cookie out, and sends it when our own page asks again."""
        return request.method == "GET" and request.headers.get("sec-fetch-site") in ("cross-site", "same-site") and (
            request.headers.get("sec-fetch-mode") == "navigate"
        )  # fmt: skip


def _again() -> Response:
    return Response(
        '<!doctype html><html lang="en"><title>facesets</title><p>One moment …</p></html>',
        headers={"refresh": "0"},
        media_type="text/html",
    )


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _ALWAYS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending

"""Ways in which a server can misbehave, by switch or by script, deterministic by seed and counted.

A :class:`Fault` says what goes wrong, :meth:`Faults.add` where and how often. Chance is drawn from the seed, the request's target and
how often that target was asked, so that the order in which threads arrive changes nothing.
"""

from __future__ import annotations

import fnmatch
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from facesets.testing.immich.ids import digest, make_uuid
from facesets.testing.immich.transport import Delivery, Request, Response, gzip

Draw = random.Random


@dataclass(frozen=True)
class Fault:
    """One kind of misbehaviour. ``answer`` stands in for the route (None: it answers after all), ``change`` spoils its answer,
    ``deliver`` the sending of it.
    """

    name: str
    answer: Callable[[Request], Response | None] | None = None
    change: Callable[[Response, Draw], Response] | None = None
    deliver: Callable[[Response, Draw], dict[str, Any]] | None = None
    before: Callable[[], None] | None = None
    restart: float | None = None


@dataclass(frozen=True)
class Strike:
    """The faults that hit one request."""

    faults: tuple[Fault, ...]
    draw: Draw

    def answer(self, request: Request) -> Response | None:
        """What is answered in the route's place, if anything."""
        for fault in self.faults:
            if fault.before:
                fault.before()
        return next(filter(None, (fault.answer(request) for fault in self.faults if fault.answer)), None)

    def spoil(self, response: Response) -> tuple[Response, Delivery]:
        """The response and its delivery after every fault had its turn."""
        delivery = Delivery()
        if response.stream is not None:
            response = replace(response, body=b"".join(response.stream), stream=None)
        for fault in self.faults:
            if fault.change:
                response = fault.change(response, self.draw)
            if fault.deliver:
                delivery = replace(delivery, **fault.deliver(response, self.draw))
        if delivery.spoils_body:  # its numbers count bytes of the body as it is
            response = replace(response, compress=False)
        return response, delivery

    @property
    def restart(self) -> float | None:
        """Seconds for which the server shall go away, where it shall."""
        return next((fault.restart for fault in self.faults if fault.restart is not None), None)


@dataclass
class _Rule:
    route: str
    needle: str
    script: tuple[Fault | None, ...]  # one entry a request; a switch has one entry, repeated
    times: int | None
    skip: int
    rate: float
    seen: int = 0
    struck: int = 0


class Faults:
    """What goes wrong on a testing server. ``counts`` says by name what did; a running server takes new rules at once."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.counts: Counter[str] = Counter()
        self._rules: list[_Rule] = []
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(
        self,
        fault: Fault,
        route: str = "*",
        *,
        containing: str = "",
        times: int | None = None,
        skip: int = 0,
        rate: float = 1.0,
    ) -> Faults:
        """Switch ``fault`` on for routes like ``route`` (``GET /api/assets/{id}/original``; ``*`` and ``?`` match as in file names).

        ``containing``: only targets with this text, an asset's id say; ``times``: then heal; ``skip``: let so many pass first;
        ``rate``: the share of requests that are hit. Gives itself back, so that rules can be chained.
        """
        return self._enter(_Rule(route, containing, (fault,), times, skip, rate))

    def script(self, route: str, faults: Sequence[Fault | None], *, containing: str = "") -> Faults:
        """The first request to such a route meets the first entry, the second the second; None and all after the last go well."""
        return self._enter(_Rule(route, containing, tuple(faults), len(faults), 0, 1.0))

    def note(self, name: str) -> None:
        """Count what the transport did by itself."""
        with self._lock:
            self.counts[name] += 1

    def clear(self) -> None:
        """Switch everything off; the counts stay."""
        with self._lock:
            self._rules.clear()

    def _enter(self, rule: _Rule) -> Faults:
        with self._lock:
            self._rules.append(rule)
        return self

    def strike(self, route: str, request: Request) -> Strike | None:
        """The faults for this request; counts them."""
        with self._lock:
            if not self._rules:
                return None
            self._asked[request.target] += 1
            draw = random.Random(digest(self.seed, request.method, request.target, self._asked[request.target]))  # noqa: S311
            hits = [fault for rule in self._rules if (fault := self._hit(rule, route, request, draw))]
            self.counts.update(fault.name for fault in hits)
        return Strike(tuple(hits), draw) if hits else None

    @staticmethod
    def _hit(rule: _Rule, route: str, request: Request, draw: Draw) -> Fault | None:
        if rule.needle not in request.target or not (rule.route == route or fnmatch.fnmatchcase(route, rule.route)):
            return None
        rule.seen += 1
        chance = draw.random()
        if rule.seen <= rule.skip or chance >= rule.rate or (rule.times is not None and rule.struck >= rule.times):
            return None
        fault = rule.script[min(rule.struck, len(rule.script) - 1)]
        rule.struck += 1
        return fault


# what the answer says


def status(code: int, *, headers: dict[str, str] | None = None) -> Fault:
    """An error status with a proxy's plain text, whatever was asked."""
    text = f"{code} from the testing server\n".encode()
    return Fault(f"status {code}", answer=lambda _: Response(code, {"Content-Type": "text/plain", **(headers or {})}, text))


def failed_after_writing(code: int = 500) -> Fault:
    """What was asked for is done, and the answer is an error all the same."""
    text = f"{code} from the testing server\n".encode()
    return Fault(f"{code} after writing", change=lambda *_: Response(code, {"Content-Type": "text/plain"}, text))


def too_many_requests(retry_after: float | str = 1) -> Fault:
    """429 with Retry-After (seconds, or a date as text)."""
    value = retry_after if isinstance(retry_after, str) else f"{retry_after:g}"
    return replace(status(429, headers={"Retry-After": value}), name="too many requests")


def html() -> Fault:
    """A login page with status 200, as a proxy in front of a server gives it."""
    page = b"<!doctype html><html><body><form action='/login'>Sign in</form></body></html>"
    return Fault("html", answer=lambda _: Response(200, {"Content-Type": "text/html; charset=utf-8"}, page))


def redirect(location: str) -> Fault:
    """302 to somewhere else, another host say; it is the client's to refuse to take its key there."""
    return Fault("redirect", answer=lambda _: Response(302, {"Location": location, "Content-Type": "text/plain"}, b"Found."))


def hook(name: str, action: Callable[[], None]) -> Fault:
    """Call ``action`` before the request is answered: change the library while it is listed, say."""
    return Fault(name, before=action)


def swapped(other: bytes) -> Fault:
    """Another file's bytes under this one's headers (but its length), as a confused cache gives them."""
    return Fault("swapped", change=lambda r, _: replace(r, body=other) if r.status == 200 else r)


# what the JSON holds


def _json_fault(name: str, change: Callable[[Any, Draw], Any]) -> Fault:
    def spoil(response: Response, draw: Draw) -> Response:
        if response.status >= 400 or not response.headers.get("Content-Type", "").startswith("application/json"):
            return response
        body = json.dumps(change(json.loads(response.body), draw), ensure_ascii=False, separators=(",", ":")).encode()
        return replace(response, body=body)

    return Fault(name, change=spoil)


def _walk(value: Any, visit: Callable[[dict[str, Any]], None]) -> Any:
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _walk(inner, visit)
    if isinstance(value, dict):
        visit(value)  # after its values, so that what it adds is not walked in turn
    return value


def unknown_fields() -> Fault:
    """Every object carries fields that no client has heard of."""

    def visit(one: dict[str, Any]) -> None:
        one.setdefault("fieldFromTheFuture", {"nested": [1, None, "x"]})

    return _json_fault("unknown fields", lambda body, _: _walk(body, visit))


def unknown_values() -> Fault:
    """Enumerations carry values that no client has heard of."""

    def visit(one: dict[str, Any]) -> None:
        names = ("visibility", "type", "sourceType", "avatarColor", "status")
        one.update({k: "value-from-the-future" for k in names if isinstance(one.get(k), str)})

    return _json_fault("unknown values", lambda body, _: _walk(body, visit))


def null_people() -> Fault:
    """Persons and lists of people are null."""

    def visit(one: dict[str, Any]) -> None:
        one.update({k: None for k in ("person", "people", "unassignedFaces") if k in one})

    return _json_fault("null people", lambda body, _: _walk(body, visit))


def zero_sized() -> Fault:
    """Pictures and frames of boxes measure 0 by 0."""

    def visit(one: dict[str, Any]) -> None:
        names = ("imageWidth", "imageHeight", "width", "height", "exifImageWidth", "exifImageHeight")
        one.update({k: 0 for k in names if k in one})

    return _json_fault("zero sized", lambda body, _: _walk(body, visit))


def foreign_owner() -> Fault:
    """Every listed item belongs to somebody else, as where a search ignores whose photos were asked for."""

    def visit(one: dict[str, Any]) -> None:
        if "ownerId" in one:
            one["ownerId"] = make_uuid("somebody else")

    return _json_fault("foreign owner", lambda body, _: _walk(body, visit))


# how it is sent


def slow(seconds: float, up_to: float | None = None) -> Fault:
    """Wait before answering: always as long, or as long as is drawn between two times."""
    return Fault("slow", deliver=lambda _, d: {"delay": seconds if up_to is None else d.uniform(seconds, up_to)})


def dropped(*, reset: bool = False) -> Fault:
    """The connection ends without an answer; ``reset``: by RST."""
    return Fault("dropped", deliver=lambda *_: {"drop": True, "reset": reset})


def stalled(seconds: float = 30, *, after: int = 0) -> Fault:
    """Headers and ``after`` bytes come, then nothing for so long, then the connection ends."""
    return Fault("stalled", deliver=lambda *_: {"stall_after": after, "stall": seconds})


def truncated(share: float = 0.5, *, reset: bool = False) -> Fault:
    """The connection ends after this share of the body that was announced."""
    return Fault("truncated", deliver=lambda r, _: {"cut_after": int(len(r.body) * share), "reset": reset})


def cut_clean(share: float = 0.5) -> Fault:
    """A shorter body under an honest Content-Length: only its checksum tells."""
    return Fault("cut clean", change=lambda r, _: replace(r, body=r.body[: int(len(r.body) * share)]) if r.status == 200 else r)


def padded(extra: bytes = b"one more byte") -> Fault:
    """A longer body under an honest Content-Length: only its checksum or its known size tells."""
    return Fault("padded", change=lambda r, _: replace(r, body=r.body + extra) if r.status == 200 else r)


def overlong(extra: bytes = b"more bytes than were announced") -> Fault:
    """Further bytes follow the body."""
    return Fault("overlong", deliver=lambda *_: {"extra": extra})


def wrong_length(difference: int) -> Fault:
    """Content-Length is off by so many bytes; the connection ends after the body."""
    return Fault("wrong length", deliver=lambda r, _: {"length": max(0, len(r.body) + difference), "close": True})


def bad_gzip() -> Fault:
    """The body says it is gzip, begins like it and breaks (no block of deflate begins with these bits)."""

    def spoil(response: Response, _: Draw) -> Response:
        broken = gzip(b"")[:10] + b"\xff" * 32
        return replace(response, headers={**response.headers, "Content-Encoding": "gzip"}, body=broken, compress=False)

    return Fault("bad gzip", change=spoil)


def restarting(seconds: float = 0.2) -> Fault:
    """The server goes down under this request: every connection ends, new ones are refused for so long, then it is back."""
    return Fault("restarting", deliver=lambda *_: {"drop": True}, restart=seconds)


def closed_after() -> Fault:
    """A whole answer, then the connection ends though it was said to stay."""
    return Fault("closed after", deliver=lambda *_: {"close": True})

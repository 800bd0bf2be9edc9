"""HTTP to the services that take faces: one client, retries only where they are safe, and a record of what each was sent.

A face is sent once: before each upload it is written down that it is under way, with what the service had then; where the answer is
lost, the service's list says next time whether it came. Touches the network, and the registry for the record.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

import msgspec
from urllib3.filepost import encode_multipart_formdata

from facesets.connections import LONGEST_RETRY_AFTER, TOLD_FROM, Connections, HTTPError, HTTPResponse, address, describe, retry_after
from facesets.errors import BadAnswer, ServerError, ServerFailed, Unreachable, WrongKey
from facesets.secrets import remember
from facesets.targets.job import Job
from facesets.targets.ledger import Ledger
from facesets.targets.names import one_line
from facesets.targets.terms import Candidate

T = TypeVar("T")

_MOST, _PIECE = 32 * 2**20, 2**16  # bytes of an answer, and read at a time
_SILENCES = 4  # so many times as long as it may be silent, an answer that has begun may take
_WORDS = 200  # characters of a service's own
_PAUSE = 0.05  # seconds between uploads: these services train while they answer
_ATTEMPTS = 4
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_SENSIBLE = frozenset({425, 429, 503})  # nothing was done: sending again is safe whatever the request
KEYS = {"frigate": "FRIGATE_TOKEN", "compreface": "COMPREFACE_API_KEY", "doubletake": "DOUBLETAKE_TOKEN"}


class ServiceRefused(ServerError):
    """The service said no to one face, in its own words."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a service answered."""

    where: str
    status: int
    body: bytes
    patience: float = 0.0  # seconds that it asks for before the next request

    def json(self) -> Any:
        """The answer as JSON. Raises BadAnswer."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as err:
            kind = "HTML" if self.body.lstrip()[:1] == b"<" else "something else"
            raise BadAnswer(
                f"{self.where} answered {kind} where JSON was due. Is the address right, without a path behind it?"
            ) from err

    def read(self, form: type[T], otherwise: str = "answered something else than was due") -> T:
        """The answer in the form that is due, as msgspec knows it. Raises BadAnswer, with the words of ``otherwise``."""
        try:
            return msgspec.convert(self.json(), form, strict=False)
        except msgspec.ValidationError as err:
            raise BadAnswer(f"{self.where} {otherwise} ({err}). Is the address right?") from err

    def code(self) -> int | None:
        """The number that CompreFace gives to what went wrong."""
        try:
            said = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return said.get("code") if isinstance(said, dict) else None

    def words(self) -> str:
        """What it said, on one line."""
        said = self._message()
        return one_line(said if said is not None else self.body[:120].decode("utf-8", "replace"))[:_WORDS]

    def refusal(self) -> ServerError:
        """Its no to one face, in its words; a BadAnswer where it is not the service that speaks (a proxy's page, say)."""
        if self._message() is None:
            return BadAnswer(f"{self.where} answered {self.status}: {self.words()!r}. Is that the service, or something before it?")
        return ServiceRefused(self.words())

    def _message(self) -> str | None:
        try:
            said = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        words = next((said[k] for k in ("message", "error", "detail") if isinstance(said, dict) and said.get(k)), None)
        return words if isinstance(words, str | None) else json.dumps(words)


class Service:
    """A service at ``job.url``. Use as a context manager. ``auth``: header -> form of its value, for the key where there is one."""

    sleep: Callable[[float], object] = staticmethod(time.sleep)

    def __init__(self, job: Job, name: str, auth: Mapping[str, str]) -> None:
        self.url, self._name, self._note = job.url, name, job.progress.note
        key = os.environ.get(KEYS[name], "").strip()
        self._headers = {h: form.format(remember(key)) for h, form in auth.items()} if key else {}
        settings = job.workspace.settings.immich
        self._silent = settings.timeout
        self._connections = Connections(1, settings.timeout, settings.ca_file)

    def __enter__(self) -> Service:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._connections.close()

    def get(self, path: str) -> Response:
        """Ask; tried again where it fails."""
        return self._checked(self._send("GET", path, {}, None, safe=True))

    def post(self, path: str, body: Any) -> Response:
        """Send JSON."""
        return self._send("POST", path, {"Content-Type": "application/json"}, json.dumps(body).encode(), safe=False)

    def delete(self, path: str) -> Response:
        """Have something removed; doing so twice is doing it once."""
        return self._send("DELETE", path, {}, None, safe=True)

    def upload(self, path: str, file_name: str, data: bytes, field: str = "file", kind: str = "image/jpeg") -> Response:
        """Send one picture; never again where it may have come."""
        self.sleep(_PAUSE)
        body, content_type = encode_multipart_formdata({field: (file_name, data, kind)}, boundary="facesets-7d2c0f5e1b")
        return self._send("POST", path, {"Content-Type": content_type}, body, safe=False)

    def _checked(self, answer: Response) -> Response:
        if answer.status >= 400:
            raise ServerError(f"{answer.where} answered {answer.status}: {answer.words()}")
        return answer

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, *, safe: bool) -> Response:
        where = f"{self.url}{path.partition('?')[0]}"
        for attempt in range(1, _ATTEMPTS + 1):
            pause = 0.25 * 2**attempt
            try:
                answer = self._connections.send(method, address(self.url + path), {**self._headers, **headers}, body)
                got = Response(where, answer.status, self._body(answer), retry_after(answer.headers.get("retry-after", "")))
            except HTTPError as err:
                if not safe or attempt == _ATTEMPTS:
                    raise Unreachable(
                        f"{self._name} at {self.url} does not answer: {describe(err)}. Run the same command again"
                    ) from err
            else:
                self._from_the_service(got, answer)
                if got.status in (401, 403) or self._wrong_key(got):
                    raise WrongKey(f"{where} answered {got.status}: {got.words()}. Set {KEYS[self._name]} in the environment")
                if got.status not in _AGAIN or not (safe or got.status in _SENSIBLE):
                    return self._failed(got) if got.status >= 500 else got
                if attempt == _ATTEMPTS:
                    return self._failed(got)
                pause = self._patience(got, pause)
            self.sleep(pause)
        raise AssertionError("unreachable")

    def _body(self, answer: HTTPResponse) -> bytes:
        """As much of it as matters. Raises HTTPError, and Unreachable where it comes in drops: none is late, and there is no end."""
        body, end = bytearray(), time.monotonic() + _SILENCES * self._silent
        while len(body) <= _MOST and (piece := answer.read1(_PIECE)):
            body += piece
            if time.monotonic() > end:
                answer.close()
                took = f"{_SILENCES * self._silent:.0f} s"
                raise Unreachable(f"{self._name} at {self.url} is too slow: its answer was not whole after {took}. Try again later")
        return bytes(body)

    def _from_the_service(self, got: Response, answer: HTTPResponse) -> None:
        """Raises BadAnswer for what leads elsewhere, where keys and pictures are not sent, and for what has no end."""
        if 300 <= got.status < 400:
            place = one_line(answer.headers.get("location", "nowhere"))[:_WORDS]
            raise BadAnswer(
                f"{got.where} answered {got.status}: it leads to {place}, and nothing is sent there. If that is the service, give its "
                "address; if it is a page to log in, let paths below /api pass it"
            )
        if len(got.body) > _MOST:
            answer.close()
            raise BadAnswer(f"{got.where} answered more than {_MOST // 2**20} MB. Is the address right?")

    def _patience(self, got: Response, pause: float) -> float:
        """Seconds until the next attempt: what the service asks for, within reason; a long wait is told."""
        if got.patience <= pause:
            return pause
        pause = min(got.patience, LONGEST_RETRY_AFTER)
        if pause >= TOLD_FROM:
            asked = f"{self._name} at {self.url} is busy (status {got.status}) and asks for {got.patience:.0f} s of patience"
            self._note(f"{asked}: waiting {pause:.0f} s, then it goes on")
        return pause

    def _wrong_key(self, got: Response) -> bool:
        """Whether it is CompreFace's way to say that a key is missing (code 20) or unknown (10)."""
        return self._name == "compreface" and got.status in (400, 404) and got.code() in (10, 20)

    def _failed(self, got: Response) -> Response:
        raise ServerFailed(f"{got.where} answered {got.status}: {got.words()}. Run the same command again later", got.status)


@dataclass(frozen=True, slots=True)
class Shipment:
    """How a service is spoken to of one person: ids of what it has; sending a face (its id where the answer says it); removing ids."""

    listed: Callable[[], set[str]]
    post: Callable[[Candidate, bytes], str | None]
    delete: Callable[[list[str]], None]


#: What to send beside what is there: ids of faces that the service has, and of those that it is not to get -> face id -> the face and
#: its picture, the most telling first.
Choose = Callable[[Sequence[str], Set[str]], Mapping[str, tuple[Candidate, bytes]]]


def send(job: Job, name: str, choose: Choose, way_of: Callable[[str], Shipment]) -> set[str]:
    """Send what the service has not got from us, and have removed what it got and is in the set no longer; returns what it has then.

    ``way_of``: a name -> how the service is spoken to of it. What was sent under an earlier name is removed, lest one person be two.
    What the service refuses is left out in its own words; what fails ends the export.
    """
    remove = bool(job.options.get("remove"))
    ledger, way = Ledger(job, name), way_of(name)
    if ledger.former is not None:
        _take_out_former(job, ledger, ledger.former, way_of(ledger.former))
    there = way.listed()
    ledger.settle(there)
    in_set = set() if remove else {c.face.face_id for c in job.candidates}
    lost = ledger.lost(there)
    ledger.forget(face for face in lost if face not in in_set)
    if remove:
        ledger.refused.clear()
    lost = [face for face in lost if face in in_set]
    for face in lost:  # somebody removed it there: it is not forced upon them again
        job.outcome.left_out[face] = f"was removed in {job.target} since it was sent; to send it again: --remove, then export"
    gone = {face: ref for face, ref in ledger.sent.items() if face not in in_set}
    stays = [face for face in ledger.sent if face not in gone and face not in lost]  # also where others would be chosen today
    job.outcome.left_out |= {face: why for face, why in ledger.refused.items() if face in in_set}
    chosen = {} if remove else choose(stays, set(lost))
    wanted = {face: one for face, one in chosen.items() if face not in ledger.refused}  # what was refused is not tried for ever
    new = list(wanted)[: max(job.count - len(stays), 0)]
    job.outcome.kept += len(stays)
    job.leave_out_the_rest({*stays, *new})
    if job.dry_run:
        job.outcome.new += len(new)
        job.outcome.withdrawn += len(gone)
        return set(ledger.sent)
    with job.progress.task(f"sending {name} to {job.target}", len(new), "faces") as task:
        for face in new:
            there = _send_one(job, ledger, face, *wanted[face], way, there)
            task.advance()
    if ids := sorted(ref for ref in gone.values() if ref is not None):
        way.delete(ids)
    _say_unknown(job, gone.values())
    for face in gone:
        del ledger.sent[face]
    job.outcome.withdrawn += len(gone)
    ledger.save()
    return set(ledger.sent)


def _take_out_former(job: Job, ledger: Ledger, name: str, way: Shipment) -> None:
    """Have removed what was sent when the person had another name."""
    there = way.listed()
    ledger.settle(there)
    ids = sorted(ref for ref in ledger.sent.values() if ref is not None and ref in there)
    if ledger.sent:
        job.outcome.notes.append(f"{name!r} was this person's name in {job.target} before; what was sent under it is taken out")
    if ids and not job.dry_run:
        way.delete(ids)
    _say_unknown(job, ledger.sent.values())
    job.outcome.withdrawn += len(ids)
    ledger.begin_anew()


def _say_unknown(job: Job, refs: Iterable[str | None]) -> None:
    if unknown := sum(ref is None for ref in refs):
        faces = "1 face is" if unknown == 1 else f"{unknown} faces are"
        job.outcome.notes.append(f"{faces} no longer wanted, and {job.target} does not say which they are; remove them there")


def _send_one(job: Job, ledger: Ledger, face: str, candidate: Candidate, data: bytes, way: Shipment, there: set[str]) -> set[str]:
    """Send a face; returns what the service has then."""
    ledger.begin(face, there)
    try:
        ref = way.post(candidate, data)
    except ServiceRefused as err:
        ledger.refused[face] = job.outcome.left_out[face] = f"{job.target} says: {err}"
    else:
        now = way.listed() if ref is None else there | {ref}
        came = now - there
        ledger.sent[face] = ref or (came.pop() if len(came) == 1 else None)
        there = now
        job.outcome.new += 1
    ledger.end()
    return there

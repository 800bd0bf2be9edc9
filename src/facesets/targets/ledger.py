"""A record of what a service was sent of a person, in the registry: by it the next export sends only what is new."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from facesets.errors import Refused
from facesets.registry import Registry, exports
from facesets.targets.job import Job


def ledger_of(target: str, url: str) -> str:
    """How the facts begin that say what a service was sent; the person's number follows."""
    return f"export:{target}:{url.rstrip('/')}:"


def ledger_name(registry: Registry, ledger: str, number: int) -> str | None:
    """As whom the service has a person; None where it has nothing of them."""
    known = json.loads(registry.fact(f"{ledger}{number}") or "{}")
    return str(known["name"]) if known.get("sent") or known.get("pending") else None


class Ledger:
    """What a service was sent of one person: face id -> the service's id (None: it did not say), and what it refused."""

    def __init__(self, job: Job, name: str) -> None:
        ledger = ledger_of(job.target, job.url)
        self._registry, self._fact = job.registry, f"{ledger}{job.person.number}"
        for number in exports.numbers_sent(job.registry, ledger):
            if number != job.person.number and (ledger_name(job.registry, ledger, number) or "").casefold() == name.casefold():
                raise Refused(
                    f"{name!r} is in {job.target} already as another person of yours (number {number}), and one would be taken for the "
                    "other. Rename one of them, or take the other out first (--remove)"
                )
        known = json.loads(job.registry.fact(self._fact) or "{}")
        self._name, self._writes = name, not job.dry_run
        self._known: dict[str, Any] = known or self._empty()

    def _empty(self) -> dict[str, Any]:
        return {"name": self._name, "sent": {}, "refused": {}}

    @property
    def former(self) -> str | None:
        """The name under which it was sent, where the person has another one now."""
        return self._known["name"] if self._known["name"] != self._name else None

    def begin_anew(self) -> None:
        """Nothing was sent under the name of now."""
        self._known = self._empty()
        self.save()

    @property
    def sent(self) -> dict[str, str | None]:
        """What was sent."""
        sent: dict[str, str | None] = self._known["sent"]
        return sent

    @property
    def refused(self) -> dict[str, str]:
        """What the service did not take, and why."""
        refused: dict[str, str] = self._known["refused"]
        return refused

    def settle(self, there: set[str]) -> None:
        """Whether a face whose answer was lost has come: by what the service has beyond what it had then."""
        if (pending := self._known.pop("pending", None)) and (came := there - set(pending["before"])):
            self.sent[pending["face"]] = came.pop() if len(came) == 1 else None

    def lost(self, there: set[str]) -> list[str]:
        """What was sent and is there no more."""
        return [face for face, ref in self.sent.items() if ref is not None and ref not in there]

    def forget(self, faces: Iterable[str]) -> None:
        """These may be sent again."""
        for face in faces:
            del self.sent[face]

    def begin(self, face: str, there: set[str]) -> None:
        """A face is under way."""
        self._known["pending"] = {"face": face, "before": sorted(there)}
        self.save()

    def end(self) -> None:
        """It is settled."""
        self._known.pop("pending")
        self.save()

    def save(self) -> None:
        """Put it on the disk."""
        if self._writes:
            with self._registry.transaction():
                self._registry.set_fact(self._fact, json.dumps(self._known, sort_keys=True))

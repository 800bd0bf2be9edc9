"""Every error a user can meet, with its exit code. No I/O.

    FacesetsError                    1  failed
    ├── UsageError                   2  wrong call or settings
    │   ├── SettingsError               a settings file that cannot be read, with file, line and key
    │   ├── NotAWorkspace               the folder has no facesets.toml
    │   ├── UserMismatch                a label or key belongs to somebody else
    │   ├── PackUnavailable             a model pack cannot be had here
    │   └── PackMismatch                vectors of two models would meet
    ├── RetryableLeft                3  items that may succeed next time are left
    ├── Refused                      4  refused for safety
    ├── WorkspaceInUse               5  another process works in this workspace
    ├── ServerError                  1  the server said no, or nonsense
    │   ├── Unreachable                 no answer: network, DNS, TLS, timeout (retryable)
    │   │   ├── ServerFailed               an answer that says it failed; carries the status
    │   │   ├── IncompleteBody             other bytes came than were promised
    │   │   │   └── ChecksumMismatch          a whole original came, and it is not the one that was listed
    │   │   └── SourceAway              3  it answered at first, and stopped in mid-run
    │   ├── NotImmich                   something else answers there
    │   ├── TooOld                      an Immich of before 2.0
    │   ├── WrongKey                    401
    │   ├── MissingPermission           403, names the permission
    │   │   └── MissingGrant               the role may not read a table of Immich's database; names the GRANT
    │   ├── NotFound                    the server does not know or not show it
    │   └── BadAnswer                   an answer that lacks what matters, or lies
    ├── UnreadableImage              1  bytes that no decoder takes; carries the reason
    └── CorruptFile                  1  a file of ours (cache, manifest, queue, registry) that cannot be trusted

Messages say what happened, where, and what to do. They never carry a key: ``facesets.secrets.scrub`` guards logs and what is shown.
"""

from __future__ import annotations

from pathlib import Path

EXIT_CODES = {
    0: "done",
    1: "failed",
    2: "usage or settings",
    3: "retryable items left",
    4: "refused for safety",
    5: "workspace in use",
    130: "interrupted",
}


class FacesetsError(Exception):
    """Anything facesets reports in one line instead of a traceback."""

    exit_code = 1


class UsageError(FacesetsError):
    """The call or the settings are wrong; nothing was done."""

    exit_code = 2


class SettingsError(UsageError):
    """A settings file that cannot be read: names file, line and key where known."""

    def __init__(self, problem: str, *, path: Path | None = None, line: int | None = None, key: str | None = None) -> None:
        where = str(path) if path else "settings"
        if line is not None:
            where += f", line {line}"
        if key:
            where += f", {key}"
        super().__init__(f"{where}: {problem}")
        self.path, self.line, self.key = path, line, key


class NotAWorkspace(UsageError):
    """The folder is not a facesets workspace."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not a facesets workspace (no facesets.toml). Make one with: facesets init {path}")


class UserMismatch(UsageError):
    """A label is bound to one user id and the key belongs to another."""


class PackUnavailable(UsageError):
    """A model pack, or the package that carries it, is not here; the message says how to get it."""


class PackMismatch(UsageError):
    """Vectors of two different models would have to be compared; names both."""

    def __init__(self, have: str, want: str, where: str) -> None:
        super().__init__(
            f"{where} holds vectors of {have}, this run uses {want}: vectors of different models cannot be compared. "
            f"Use --pack {have.split('@', maxsplit=1)[0]}, or embed again into another workspace."
        )
        self.have, self.want = have, want


class RetryableLeft(FacesetsError):
    """Some items failed in a way that may heal; run again, or pass --accept-missing."""

    exit_code = 3


class Refused(FacesetsError):
    """Refused for the safety of people or of existing sets."""

    exit_code = 4


class WorkspaceInUse(FacesetsError):
    """Another process holds this workspace's lock."""

    exit_code = 5


class ServerError(FacesetsError):
    """The server refused or answered something that cannot be used."""


class Unreachable(ServerError):
    """No (whole) answer came; retryable."""


class ServerFailed(Unreachable):
    """The server answered, and said that it failed or is too busy (``status``: 5xx, 408, 425, 429), for ``retry_after`` seconds."""

    def __init__(self, message: str, status: int, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class IncompleteBody(Unreachable):
    """Bytes came that are not the promised ones; trying again may help, but not often."""


class ChecksumMismatch(IncompleteBody):
    """A whole original came, and it is not the one that was listed."""


class SourceAway(Unreachable):
    """The source answered at first and then no more; what came is kept, and the same command goes on from there."""

    exit_code = 3


class NotImmich(ServerError):
    """Something answers at this address, but it is not an Immich API."""

    exit_code = 2


class TooOld(ServerError):
    """The server is an Immich whose API this program does not speak any more; names both versions."""

    exit_code = 2


class WrongKey(ServerError):
    """The server does not accept the key."""

    exit_code = 2


class MissingPermission(ServerError):
    """The key lacks permissions; ``permission`` is the first of them."""

    exit_code = 2

    def __init__(self, *permissions: str, user: str | None = None) -> None:
        whose = f" of user {user!r}" if user else ""
        one = len(permissions) == 1
        super().__init__(
            f"the API key{whose} lacks the permission{'' if one else 's'} {', '.join(permissions)}. "
            f"In Immich: Account settings > API keys > edit the key, and tick {'it' if one else 'them'}."
        )
        self.permission = permissions[0]


class MissingGrant(MissingPermission):
    """The role in Immich's database lacks a privilege."""

    def __init__(self, problem: str, role: str, tables: str) -> None:
        FacesetsError.__init__(
            self,
            f"[sources.immich_db]: {problem}. Let its role read there, as the owner of Immich's database: "
            f'GRANT SELECT ON {tables} TO "{role}";  (docs/how-to/immich-database.md)',
        )
        self.permission = f"SELECT ON {tables}"


class NotFound(ServerError):
    """The server does not know the item, or does not show it to this key."""


class BadAnswer(ServerError):
    """The answer lacks a field that matters or contradicts itself; names it."""


class UnreadableImage(FacesetsError):
    """Bytes that no decoder here takes. ``reason`` is a name of :class:`facesets.records.Reason`."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class CorruptFile(FacesetsError):
    """A file in one of our own formats that cannot be trusted; names the file and what is wrong with it."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path, self.problem = path, problem


def redact(text: str, *secrets: str) -> str:
    """``text`` with every secret replaced by ``***``; the last door before a log, a report or a screen."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text

"""How the app is reached: address, port, password, and the path behind a reverse proxy. Pure."""

from __future__ import annotations

import ipaddress
import re
import secrets
from dataclasses import dataclass, field, replace
from urllib.parse import SplitResult, urlsplit

from facesets.errors import UsageError

DEFAULT_PORT = 8473
LOOPBACK = "127.0.0.1"
_SHORTEST_PASSWORD = 10


@dataclass(frozen=True, slots=True)
class Options:
    """``base`` is the path before every address ("" or "/faces"), ``origin`` that of a reverse proxy ("https://home.example").

    ``token`` opens one session, once. ``blur``: faces are beyond recognition, but those of the sets ``unblurred``; ``names``: whether
    they are shown. Both are for a picture that may be shown around.
    """

    host: str = LOOPBACK
    port: int = DEFAULT_PORT
    base: str = ""
    origin: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    blur: bool = False
    unblurred: frozenset[str] = frozenset()
    names: bool = True

    @property
    def is_loopback(self) -> bool:
        """Whether this machine alone can reach it."""
        return _is_loopback(self.host)

    @property
    def _own(self) -> frozenset[str]:
        names = {_bracketed(self.host)} | ({"localhost", LOOPBACK, "[::1]"} if self.is_loopback else set())
        return frozenset({f"{name}:{self.port}" for name in names} | (names if self.port == 80 else set()))

    @property
    def hosts(self) -> frozenset[str]:
        """What a request's Host may be, exactly: a page of another name that resolves to this machine is refused."""
        return self._own | ({urlsplit(self.origin).netloc} if self.origin else set())

    @property
    def origins(self) -> frozenset[str]:
        """What the Origin of a request that changes something may be."""
        return frozenset({f"http://{host}" for host in self._own} | ({self.origin} if self.origin else set()))

    @property
    def address(self) -> str:
        """Where the app is, without the token."""
        return f"{self.origin or f'http://{_bracketed(self.host)}:{self.port}'}{self.base}/"

    @property
    def link(self) -> str:
        """The address that opens a session; where a password is asked for, that does it."""
        return self.address if self.password else f"{self.address}?token={self.token}"

    def at(self, port: int) -> Options:
        """The same at another port."""
        return replace(self, port=port)


def options_of(
    host: str = LOOPBACK, port: int = DEFAULT_PORT, base: str = "", password: str | None = None, *, blur: bool = False
) -> Options:
    """Options as a user gives them; ``base`` is a path or the whole address under which a proxy shows the app. Raises UsageError."""
    if not _is_loopback(host) and not password:
        raise UsageError(
            f"--host {host}: other machines could see every face. Set a password in FACESETS_REVIEW_PASSWORD, or leave --host out and "
            "reach this machine through SSH: ssh -L 8473:127.0.0.1:8473 USER@THIS-MACHINE"
        )
    if password is not None and len(password) < _SHORTEST_PASSWORD:
        raise UsageError(f"the password in FACESETS_REVIEW_PASSWORD is short; {_SHORTEST_PASSWORD} characters at least")
    given = _address_of(base)
    origin = f"{given.scheme}://{given.netloc}".lower() if given.netloc else None
    path = given.path.rstrip("/")
    if (origin and given.scheme not in ("http", "https")) or given.query or given.fragment or given.username is not None:
        raise UsageError(f"--base {base}: a path (/faces) or an address (https://home.example/faces)")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", path) or {".", ".."} & {*path.split("/")}:
        raise UsageError(f"--base {base}: a path of letters, digits, dots and hyphens that begins with /, such as /faces")
    if _is_wildcard(host) and origin is None:
        raise UsageError(f"--host {host} is no address to open: say which one by --base http://NAME:{port}")
    return Options(host, port, path, origin, password, blur=blur, names=not blur)


def _address_of(base: str) -> SplitResult:
    try:
        given = urlsplit(base)
        _ = given.port
    except ValueError as err:  # a port beyond 65535, an open bracket
        raise UsageError(f"--base {base}: {err}") from err
    return given


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _is_wildcard(host: str) -> bool:
    address = _address(host)
    return not host or (address is not None and address.is_unspecified)


def _bracketed(host: str) -> str:
    return f"[{host.strip('[]')}]" if ":" in host else host

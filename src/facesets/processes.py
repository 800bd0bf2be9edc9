"""What a child process may know. Pure but for reading the environment."""

from __future__ import annotations

import os
import re
from typing import Final

#: Names of variables that hold keys, passwords or ways into a database, in any case.
_SECRET_NAMES: Final = re.compile(r"^(IMMICH_|PG|POSTGRES|DB_|DATABASE_)|PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|KEY", re.IGNORECASE)
_NEEDED: Final = frozenset({"IMMICH_MACHINE_LEARNING_URL"})  # an address, which a worker with the pack immich-ml asks
# an address with a name or a password in it, before the host, in its query or as libpq's words
_SECRET_VALUE: Final = re.compile(r"://[^/@\s]+@|\bpass(word|wd|phrase|file)?\s*=", re.IGNORECASE)


def child_environment(**more: str) -> dict[str, str]:
    """This process' environment without keys, passwords, tokens and database addresses, with ``more`` set."""
    return {name: value for name, value in os.environ.items() if not _secret(name, value)} | more


def _secret(name: str, value: str) -> bool:
    return (name not in _NEEDED and _SECRET_NAMES.search(name) is not None) or _SECRET_VALUE.search(value) is not None

"""The settings file as it is begun, and what the reference says of each key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import get_type_hints

from facesets import secrets
from facesets.settings.fields import as_toml, takes_in_words
from facesets.settings.sections import SECTIONS


def documented(section: str) -> list[tuple[str, str, str]]:
    """``(key, default as TOML, sentence)`` of each key of a section; the template and the reference are made of it."""
    record = SECTIONS[section]()
    return [(f.name, as_toml(getattr(record, f.name)), str(f.metadata["doc"])) for f in fields(record)]


def takes(section: str, key: str) -> str:
    """What a key takes, in words, with its range."""
    return takes_in_words(get_type_hints(SECTIONS[section], include_extras=True)[key])


def template(*, url: str = "", users: Mapping[str, str] | None = None) -> str:
    """A facesets.toml with every setting, its default and its reason; only what differs from the default is uncommented."""
    lines = [
        "# Settings of this facesets workspace. A line with a leading # shows the default.",
        "# Keys are not in here: set IMMICH_API_KEY (or IMMICH_API_KEY_<LABEL> for several people),",
        f'# or put them into {secrets.KEY_FILE} beside this file, readable by you alone (chmod 600): label = "key".',
        "",
        "[users]  # label = user id in Immich; a label used for the first time is bound to its key's owner",
        *(f"{label} = {json.dumps(user_id)}" for label, user_id in (users or {}).items()),
    ]
    for section, kind in SECTIONS.items():
        lines += ["", f"[{section}]  # {(kind.__doc__ or '').strip()}"]
        for key, default, sentence in documented(section):
            lines += [f"# {sentence}"]
            lines += [f"url = {json.dumps(url)}" if (section, key) == ("immich", "url") and url else f"# {key} = {default}"]
    return "\n".join(lines) + "\n"

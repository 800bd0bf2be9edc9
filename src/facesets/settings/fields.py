"""How a setting is said: its default, range and sentence, and how its value is put into words."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from facesets import secrets


def setting(default: Any, doc: str, *, check: Callable[[Any], Any] | None = None, secret: bool = False) -> Any:
    """A field with its default and the sentence that the settings file and the reference print beside it.

    ``check`` returns the value as it is used, or raises ValueError; a ``secret`` is in no message and no ``repr``.
    """
    metadata = {"doc": doc, "check": check, "secret": secret}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, repr=not secret, metadata=metadata)


def between(ge: float, le: float) -> msgspec.Meta:
    """A range, both ends included; NaN is in none."""
    return msgspec.Meta(ge=ge, le=le)


Seconds = Annotated[float, msgspec.Meta(gt=0, le=3600)]
Pixels = Annotated[int, between(0, 10_000)]
Distance = Annotated[float, between(0, 2)]  # a cosine distance


def expand_path(text: str) -> str:
    """A path with ~ and $VARIABLES filled in."""
    filled = os.path.expandvars(os.path.expanduser(text))  # noqa: PTH111 - Path would make "" into "."
    if "\0" in filled:
        raise ValueError("a path holds no zero byte")
    if unset := re.search(r"\$(?:\w+|\{\w+\})", filled):
        raise ValueError(f"{text}: the variable {unset[0]} is not set; set it, or write the whole path")
    if filled.startswith("~"):
        raise ValueError(f"{text}: the home folder that ~ stands for is not known; write the whole path")
    return filled


def expand_paths(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Paths, each with ~ and $VARIABLES filled in."""
    return tuple(map(expand_path, texts))


def expand_prefixes(table: Mapping[str, str]) -> Mapping[str, str]:
    """A table of prefixes, ours with ~ and $VARIABLES filled in."""
    return {expand_path(ours): theirs for ours, theirs in table.items()}


def checked_database(url: str) -> str:
    """A database's address. Raises ValueError where it cannot be one."""
    if problem := secrets.database_problem(url):
        raise ValueError(problem)
    return url


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def takes_in_words(hint: Any) -> str:
    """What a type takes, in words."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(takes_in_words(arg) for arg in args)
    if origin is Literal:
        return " or ".join(json.dumps(arg) for arg in args)
    if origin is Annotated:
        limits = args[1]
        least = f"above {limits.gt:g}" if limits.gt is not None else f"from {limits.ge:g}"
        return f"{_KINDS[args[0]]} {least} {'and up to' if limits.gt is not None else 'to'} {limits.le:,g}"
    return {tuple: "a list of texts", Mapping: "a table of texts"}.get(origin) or _KINDS[hint]


def as_toml(value: object) -> str:
    """A value as the settings file has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(json.dumps(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items()) + " }" if value else "{}"
    return json.dumps(value) if isinstance(value, str) else str(value)

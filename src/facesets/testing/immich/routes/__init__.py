"""Testing room: the routes, a module a subject; importing this enters all of them into the table."""

from . import assets, people, search, server, timeline, users

__all__ = ["assets", "people", "search", "server", "timeline", "users"]

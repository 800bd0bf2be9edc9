"""Fixtures that more than one room's tests use. Real parts: real SQLite, real HTTP on loopback, real models and photos."""

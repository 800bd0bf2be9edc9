"""Processes that decode photos, lent to what tests run: starting new ones for each command would be most of a small run's time."""

from __future__ import annotations

from importlib import import_module

import pytest

from facesets.photos.decoder_pool import DecoderPool

_BORROWERS = ("pipeline.runner", "report.write", "sources.open_source")  # whatever a run starts decoders for


class LentDecoders(DecoderPool):
    """A pool that outlasts those who use it; ``end`` is for whoever made it."""

    def close(self) -> None:
        pass

    def end(self) -> None:
        super().close()


def lend(decoders: DecoderPool, patch: pytest.MonkeyPatch, *borrowers: str) -> None:
    """Let runs, and the other modules named, use these decoders in place of their own."""
    # import_module: where a door leads to a function of the module's name, monkeypatch would take that
    for module in (*_BORROWERS, *borrowers):
        patch.setattr(import_module(f"facesets.{module}"), "DecoderPool", lambda: decoders)

"""Ctrl-C while modules are still being loaded: nothing has begun, so the process ends at once, and no library answers for it.

Imports only what Python has loaded itself, since it stands guard over all other imports: not ``signal``, which takes ``enum`` along,
but the built-in module behind it, and no ``__future__`` either.
"""

import _signal as signal  # type: ignore[import-not-found]  # typeshed has no entry for it
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def end(*_: object) -> "NoReturn":
    """End the process with the documented code and one line."""
    os.write(2, b"facesets: interrupted; nothing had begun\n")
    os._exit(130)


class WhileLoading:
    """A context in which Ctrl-C calls :func:`end`. A shell's background job, which ignores Ctrl-C, goes on to; so do threads."""

    def __enter__(self) -> None:
        self.ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self.ours:
            try:
                signal.signal(signal.SIGINT, end)
            except ValueError:  # not the main thread, which alone is asked
                self.ours = False

    def __exit__(self, *_: object) -> None:
        if self.ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)

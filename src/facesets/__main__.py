"""``python -m facesets`` and the script ``facesets``: the command line; Ctrl-C ends it in one line from the first import on."""

import facesets.interrupt as interrupt  # noqa: PLR0402 - "from facesets" asks the package first, which loads importlib for its answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Load the command line and run it."""
    try:
        with interrupt.WhileLoading():
            from facesets.cli import main as command_line  # noqa: PLC0415 - loaded under the handler
        command_line()
    except KeyboardInterrupt:  # between two handlers, or a second one while the first is being said
        interrupt.end()


if __name__ == "__main__":
    main()
